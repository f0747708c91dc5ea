"""The alternative: the same events in a table as one would make it without much thought.

The same columns, as String, Int64, Float64 and DateTime64, default codec, `ORDER BY ts`.
"""

from __future__ import annotations

import re
from typing import Final

from streamgauge.storage.client import StoreClient

DATABASE: Final = "plain"
LEFT_OUT: Final = ("kind", "next")
_INTEGER: Final = re.compile(r"\bU?Int(8|16|32|64)\b")


def plain_type(type_: str) -> str:
    """The type that somebody in a hurry would take.

    >>> plain_type("LowCardinality(String)"), plain_type("Nullable(UInt16)")
    ('String', 'Nullable(Int64)')
    """
    return _INTEGER.sub("Int64", type_.replace("LowCardinality(String)", "String"))


def copy(client: StoreClient, database: str, events: int) -> bool:
    """The events of `database` in the plain table; False if they were there already."""
    if _count(client) == events:
        return False
    columns = client.query(
        "SELECT name, type FROM system.columns WHERE database = {database:String}"
        " AND table = 'events' AND name NOT IN {left_out:Array(String)} ORDER BY position",
        {"database": database, "left_out": list(LEFT_OUT)},
    )
    described = ", ".join(f"`{c['name']}` {plain_type(c['type'])}" for c in columns)
    names = ", ".join(f"`{c['name']}`" for c in columns)
    client.command(f"DROP DATABASE IF EXISTS {DATABASE} SYNC", use_database=False)
    client.command(f"CREATE DATABASE {DATABASE}", use_database=False)
    client.command(
        f"CREATE TABLE {DATABASE}.events ({described}) ENGINE = MergeTree ORDER BY ts",
        use_database=False,
    )
    days = client.query(f"SELECT DISTINCT written_on FROM `{database}`.events ORDER BY 1")
    for day in days:
        client.command(
            f"INSERT INTO {DATABASE}.events SELECT {names} FROM `{database}`.events"
            " WHERE kind = 0 AND written_on = {day:Date}",
            {"day": day["written_on"]},
            use_database=False,
        )
    if _count(client) != events:
        raise RuntimeError(f"{_count(client)} of {events} events are in the plain table")
    return True


def _count(client: StoreClient) -> int:
    there = f"SELECT 1 FROM system.tables WHERE database = '{DATABASE}' AND name = 'events'"
    if not client.query(there):
        return 0
    return int(client.query(f"SELECT count() AS n FROM {DATABASE}.events")[0]["n"])

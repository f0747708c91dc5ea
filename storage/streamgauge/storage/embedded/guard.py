"""Compare-and-set of an insert (the rule that closes the door on zombies).

A guarded insert names the position that it expects to be stored for each of its source partitions.
Under the table's lock the server reads the table's markers; unless they are exactly so, nothing is
inserted and the answer is error 395, the same as `throwIf` gives in the SQL form for a real server.

In: header `X-Streamgauge-Expect: {"src/partition": next, ..}`. 0 means: never stored.
"""

from __future__ import annotations

import json

from streamgauge.storage.embedded.engine import Handle
from streamgauge.storage.embedded.errors import BAD_ARGUMENTS, REFUSED_BY_GUARD, EngineError
from streamgauge.storage.handshake import EXPECT_HEADER, REFUSED_MESSAGE
from streamgauge.storage.sqltext import quote_name, quote_string


def parse_expectation(text: str) -> dict[str, int]:
    """Expectation from its JSON; BAD_ARGUMENTS if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value.values()
    ):
        raise EngineError.of(
            BAD_ARGUMENTS, f"{EXPECT_HEADER}: expected a JSON object of partition -> position"
        )
    return value


def check(handle: Handle, database: str | None, table: str, expected: dict[str, int]) -> None:
    """Refuse unless the stored positions are the expected ones. Call under the table's lock."""
    name = quote_name(table) if database is None else f"{quote_name(database)}.{quote_name(table)}"
    keys = "[" + ", ".join(quote_string(key) for key in expected) + "]"
    wanted = f"has(CAST({keys}, 'Array(String)'), k)"
    sql = f"SELECT toJSONString(mapFilter((k, v) -> {wanted}, maxMap(next))) FROM {name}"  # noqa: S608 quoted
    body = handle.run(f"{sql} WHERE kind = 1".encode(), "RawBLOB").body
    stored = {key: int(value) for key, value in json.loads(body).items()}
    for key, position in expected.items():
        if stored.get(key, 0) != position:
            raise EngineError.of(
                REFUSED_BY_GUARD,
                f"{REFUSED_MESSAGE}: {key}: stored {stored.get(key, 0)}, expected {position}",
            )

"""The ten queries as the reader asks them: over HTTP, ours and the plain one in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.store.queries import QUERIES, Query, difference
from streamgauge.storage.client import StoreClient


@dataclass(slots=True)
class Times:
    """Seconds of each run, from the first."""

    query: Query
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """How many times longer the plain table takes."""
        return median(self.plain) / median(self.ours)

    def as_line(self) -> str:
        """For people."""
        return (
            f"  {self.query.question:48} {median(self.ours):7.3f} s (first {self.ours[0]:6.3f},"
            f" then {median(self.ours[1:]):6.3f}); plain {median(self.plain):7.3f}"
            f" (first {self.plain[0]:6.3f}), {self.ratio:6.1f}x"
        )


def ask(client: StoreClient, parameters: Mapping[str, Any], rounds: int) -> list[Times]:
    """All queries, so many times.

    Nothing is dropped from a cache before the first round: it is only the first of this process.
    """
    all_times = [Times(query) for query in QUERIES]
    for number in range(rounds):
        for times in all_times:
            sides = [(times.query.ours, times.ours), (times.query.plain, times.plain)]
            for sql, into in sides if number % 2 == 0 else reversed(sides):
                began = time.perf_counter()
                client.query(sql, parameters)
                into.append(time.perf_counter() - began)
    return all_times


def compare(client: StoreClient, parameters: Mapping[str, Any]) -> None:
    """RuntimeError: an answer of ours is another than that of the plain table."""
    for query in QUERIES:
        ours = client.query(query.ours, parameters)
        if found := difference(ours, client.query(query.check or query.plain, parameters)):
            raise RuntimeError(f"{query.question}: {found}")


def parameters(client: StoreClient) -> dict[str, Any]:
    """The end of the data, and a request in its midst."""
    (row,) = client.query(
        "SELECT toStartOfHour(max(t)) + INTERVAL 1 HOUR AS end, toStartOfHour(min(t)) AS begin"
        " FROM v_hour"
    )
    midst = row["begin"] + (row["end"] - row["begin"]) / 2
    (request,) = client.query(
        "SELECT id, trace_id AS trace FROM v_requests WHERE ts >= {midst:DateTime} LIMIT 1",
        {"midst": midst},
    )
    return {"end": row["end"], **request}

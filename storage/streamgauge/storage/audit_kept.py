"""From which day on two tables can be compared: what retention has left of both.

Retention takes rows by the day on which their block was cut, and never a marker. A day of a table
is whole while its rows are younger than the TTL, unless they are gone by other means (a retention
that was shorter before, a hand): then markers tell of days of which there is no row. And the rows
of two tables are of the same events only if both stood at one position when the first of these days
began: a worker that died between two tables may have left the rest of its flush to another day.
In: a store. Out: days. Not here: what is compared (audit.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from streamgauge.storage.audit_model import EPOCH, Since
from streamgauge.storage.client import StoreClient
from streamgauge.storage.retention import read_days

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that retention takes together. name: for people."""

    table: str
    data_class: str
    name: str
    condition: str = "kind = 0"


RAW: Final = Rows("events", "events", "raw rows")
OFFSETS: Final = Rows("ingest_log", "ingest", "counts of offsets")
CLIENTS: Final = Rows("producers", "ingest", "counts of clients")


def windows(resolution_s: int) -> Rows:
    """Windows of one resolution."""
    return Rows(
        "windows",
        f"windows_{resolution_s}s",
        f"{resolution_s} s windows",
        f"kind = 0 AND resolution = {resolution_s}",
    )


FIRST_DAYS = """
SELECT
    (SELECT min(written_on) FROM {table} WHERE kind = 1) AS began,
    (SELECT min(written_on) FROM {table} WHERE kind = 1 AND written_on >= {{young:Date}}) AS marker,
    (SELECT min(written_on) FROM {table} WHERE {condition} AND written_on >= {{young:Date}}) AS data
"""

# Only source partitions: `windows` has positions that others lack (block.REVISION). The day is that
# of the partition: so the projection `positions` answers, and not years of markers.
POSITION = """
SELECT mapFilter((k, v) -> position(k, '/') > 0, maxMap(next)) AS at
FROM {table} WHERE kind = 1 AND _partition_value.1 < {{day:Date}}
"""

Position = dict[str, int]


class Kept:
    """What the tables of a store still have. Queries raise Retryable if the store is away."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self._days = read_days(client)
        self._today: date = client.query("SELECT today() AS today")[0]["today"]
        self._whole: dict[Rows, Since] = {}
        self._at: dict[tuple[str, date], Position] = {}

    def whole(self, rows: Rows) -> Since:
        """The first day of which all rows are there."""
        if rows not in self._whole:
            self._whole[rows] = self._first_whole(rows)
        return self._whole[rows]

    def both(self, a: Rows, b: Rows) -> Since:
        """The first day from which on the rows of two tables are of the same offsets."""
        since = max(self.whole(a), self.whole(b), key=lambda found: found.day)
        if since.day == EPOCH:
            return since
        day = self._first(since.day, lambda d: self.at(a.table, d) == self.at(b.table, d))
        if day == since.day:
            return since
        rest = f"blocks of the same events lie on different days until {day - DAY}"
        return Since(day, f"{since.why}; {rest}")

    def caught_up(self, table: str, since: date, at: Position) -> date:
        """The first day, from `since` on, before which the table had come to these positions."""
        return self._first(
            since, lambda d: all(self.at(table, d).get(key, 0) >= at[key] for key in at)
        )

    def at(self, table: str, day: date) -> Position:
        """Where the table stood when this day began."""
        if (table, day) not in self._at:
            asked = POSITION.format(table=table)
            stored = dict(self._client.query(asked, {"day": day})[0]["at"])
            position = {str(key): int(value) for key, value in stored.items() if value}
            if day > self._today:  # it still grows
                return position
            self._at[table, day] = position
        return self._at[table, day]

    # -- inside -------------------------------------------------------------------------------

    def _first(self, since: date, holds: Callable[[date], bool]) -> date:
        """The first day that holds; the one after all blocks if none does."""
        last = self._today + 2 * DAY  # the clock of a writer may be ahead
        day = since
        while day < last and not holds(day):
            day += DAY
        return day

    def _first_whole(self, rows: Rows) -> Since:
        days = self._days.get((rows.table, rows.data_class))
        young = EPOCH if days is None else self._today - (days - 1) * DAY
        asked = FIRST_DAYS.format(table=rows.table, condition=rows.condition)
        (found,) = self._client.query(asked, {"young": young})
        began, marker, data = (found[name] or EPOCH for name in ("began", "marker", "data"))
        kept = "for good" if days is None else f"{days} days"
        if EPOCH < marker < data:
            return Since(data, f"no {rows.name} written before {data} are there (kept {kept})")
        if EPOCH < began < young:
            return Since(young, f"{rows.name} are kept {kept}")
        return Since()

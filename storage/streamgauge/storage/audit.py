"""Does what is stored add up? Offsets, raw rows, windows and clients' numbers, exactly.

Four laws, each a query or two; whatever breaks one is a `Difference`, and none is expected:

1. Offsets. Of each source partition, offsets by outcome (`ingest_log`) add up to the position that
   the markers of `ingest_log` state, and raw rows are those with outcome stored or unknown_type.
2. Raw rows. No offset and no (producer, seq) is stored twice.
3. Windows. Per hour, requests, errors, tokens, cost and duration in the windows of each resolution
   are those of the raw rows as the stream counted them (revision 0). Of hours that were reprocessed
   views show the same requests; all else may be by other prices, or another rule, so it is not
   compared.
4. Clients. The rows that `producers` counts for each client are its raw rows.

2 and 3 look at a period of event time, 1 and 4 at the days that both of their tables keep, and 4 at
the clients that came after the first of these days, if retention has cut what was before. While a
worker writes, its tables are a flush apart (`producers` ten seconds): each law is looked at when
its tables are at one position before and after the look, else it is said to be unsettled.
In: a store. Out: differences. Not here: what an app lost before Kafka had it (`v_loss`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.storage.client import StoreClient

Law = Literal["offsets", "twice", "windows", "clients"]
RESOLUTIONS_S = (10, 60, 3600)
LOOKS = 60
PAUSE_S = 0.3


@dataclass(frozen=True, slots=True)
class Difference:
    """Two figures that should be one."""

    law: Law
    where: str
    what: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what differs. unsettled: laws whose tables never stood together."""

    requests: int
    offsets: int
    differences: tuple[Difference, ...]
    unsettled: tuple[Law, ...]


# The first day that both tables still have; 1970 if retention has cut neither of them: markers are
# kept for good, so a table that was cut has markers of days of which it has no rows.
SINCE = """
WITH
    (SELECT min(written_on) FROM events WHERE kind = 0) AS events_rows,
    (SELECT min(written_on) FROM events WHERE kind = 1) AS events_markers,
    (SELECT min(written_on) FROM {table} WHERE kind = 0) AS other_rows,
    (SELECT min(written_on) FROM {table} WHERE kind = 1) AS other_markers
SELECT greatest(
    if(events_markers < events_rows, events_rows, toDate(0)),
    if(other_markers < other_rows, other_rows, toDate(0))
) AS day
"""

# ingest_log counts from the first offset that its writer ever took, or still keeps.
OFFSETS = """
SELECT l.src AS src, l.partition AS partition, l.begin AS begin, l.counted AS counted,
    l.kept AS kept, m.position AS position, r.n AS raw
FROM (
    SELECT src, partition, min(first_offset) AS begin, sum(n) AS counted,
        sumIf(n, outcome IN ('stored', 'unknown_type')) AS kept
    FROM ingest_log WHERE kind = 0 AND written_on >= {day:Date} GROUP BY src, partition
) AS l
LEFT JOIN (
    SELECT arrayJoin(stored) AS entry, entry.1 AS key, entry.2 AS position
    FROM (SELECT CAST(maxMap(next), 'Array(Tuple(String, UInt64))') AS stored
        FROM ingest_log WHERE kind = 1)
) AS m ON m.key = concat(l.src, '/', toString(l.partition))
LEFT JOIN (
    SELECT src, partition, count() AS n
    FROM events WHERE kind = 0 AND written_on >= {day:Date} GROUP BY src, partition
) AS r ON r.src = l.src AND r.partition = l.partition
ORDER BY src, partition
"""

PERIOD = """
    ts >= fromUnixTimestamp64Milli({start:Int64}) AND ts < fromUnixTimestamp64Milli({end:Int64})
"""

TWICE = f"""
SELECT concat(src, '/', toString(partition)) AS place, 'offset' AS what,
    uniqExact(offset) AS expected, count() AS found
FROM events WHERE kind = 0 AND {PERIOD}
GROUP BY src, partition HAVING expected != found
UNION ALL
SELECT concat('producer ', producer_id, ' in ', src, '/', toString(partition)) AS place,
    'seq' AS what, uniqExact(seq) AS expected, count() AS found
FROM events WHERE kind = 0 AND producer_id != '' AND seq IS NOT NULL AND {PERIOD}
GROUP BY producer_id, src, partition HAVING expected != found
ORDER BY place LIMIT 1000
"""  # noqa: S608  # PERIOD is ours

RAW_HOURS = f"""
SELECT toStartOfHour(ts) AS hour, count() AS n, countIf(status = 'error') AS errors,
    sum(coalesce(input_tokens, 0)) AS input_tokens,
    sum(coalesce(output_tokens, 0)) AS output_tokens,
    sum(coalesce(cost_nano_usd, 0)) AS cost_nano_usd,
    sum(toInt64(roundBankers(coalesce(duration_ms, 0) * 1000))) AS duration_us_sum
FROM events WHERE kind = 0 AND type = 'llm.request' AND {PERIOD}
GROUP BY hour ORDER BY hour
"""  # noqa: S608  # PERIOD is ours

WINDOW_HOURS = """
SELECT toStartOfHour(t) AS hour, sum(n) AS n, sum(errors) AS errors,
    sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cost_nano_usd) AS cost_nano_usd, sum(duration_us_sum) AS duration_us_sum
FROM windows AS s WHERE kind = 0 AND resolution = {resolution:UInt16} AND REVISION
    AND t >= fromUnixTimestamp64Milli({start:Int64}) AND t < fromUnixTimestamp64Milli({end:Int64})
GROUP BY hour ORDER BY hour
"""

COUNTED = "revision = 0"
SHOWN = """
(revision = 0
    AND (tenant, toStartOfHour(s.t)) NOT IN (SELECT tenant, t FROM revisions FINAL)
    OR (tenant, toStartOfHour(s.t), revision) IN (SELECT tenant, t, revision FROM revisions FINAL))
"""

REBUILT_HOURS = """
SELECT DISTINCT t AS hour FROM revisions FINAL WHERE revision > 0
    AND t >= fromUnixTimestamp64Milli({start:Int64}) AND t < fromUnixTimestamp64Milli({end:Int64})
"""

# `producers` is written every 10 s: of the first day it may have rows of the day before.
CLIENTS = """
WITH (
    SELECT groupUniqArray(producer_id) FROM (
        SELECT toString(producer_id) AS producer_id FROM producers
        WHERE kind = 0 AND written_on = {day:Date}
        UNION ALL
        SELECT toString(producer_id) AS producer_id FROM events
        WHERE kind = 0 AND written_on = {day:Date}
    )
) AS older
SELECT concat('producer ', c.producer_id) AS place, r.n AS expected, c.n AS found
FROM (
    SELECT producer_id, sum(n) AS n
    FROM producers WHERE kind = 0 AND written_on >= {day:Date} GROUP BY producer_id
) AS c
FULL OUTER JOIN (
    SELECT toString(producer_id) AS producer_id, count() AS n
    FROM events WHERE kind = 0 AND written_on >= {day:Date} AND producer_id != ''
    GROUP BY producer_id
) AS r ON r.producer_id = c.producer_id
WHERE c.n != r.n AND NOT has(older, c.producer_id) AND NOT has(older, r.producer_id)
ORDER BY place LIMIT 1000
"""

# Only of source partitions: `windows` has positions that others lack (block.REVISION).
POSITION = """
SELECT toString(mapFilter((k, v) -> position(k, '/') > 0, maxMap(next))) AS at
FROM {table} WHERE kind = 1
"""
HOUR_MS = 3_600_000
BY_RULE = frozenset({"errors", "input_tokens", "output_tokens", "cost_nano_usd", "duration_us_sum"})
"""What reprocessing may change: figures by a price or by a rule of aggregation."""


def audit(
    client: StoreClient, start: datetime, end: datetime, *, clock: Clock | None = None
) -> Audit:
    """Look at every law; start, end: whole hours of event time, start included and end not.

    Takes up to LOOKS * PAUSE_S a law while workers write. Raises Retryable if the store is away.
    """
    look = _Look(client, start, end, clock or SystemClock())
    offsets = look.settled("offsets", ("events", "ingest_log"), look.offsets)
    windows = look.settled("windows", ("events", "windows"), look.windows)
    twice = look.settled("twice", (), look.twice)
    clients = look.settled("clients", ("events", "producers"), look.clients)
    return Audit(
        look.requests, look.read, (*offsets, *twice, *windows, *clients), tuple(look.unsettled)
    )


class _Look:
    def __init__(self, client: StoreClient, start: datetime, end: datetime, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._period = {"start": _ms(start), "end": _ms(end)}
        self._hours: list[datetime] = []
        self.requests = self.read = 0
        self.unsettled: list[Law] = []

    def settled(
        self, law: Law, tables: Sequence[str], look: Callable[[], Iterable[Difference]]
    ) -> tuple[Difference, ...]:
        """What the look finds while the tables stand at one position."""
        for _ in range(LOOKS):
            before = self._positions(tables)
            if len(set(before)) <= 1:
                found = tuple(look())
                if before == self._positions(tables):
                    return found
            self._clock.sleep(PAUSE_S)
        self.unsettled.append(law)
        return tuple(look())

    def _positions(self, tables: Sequence[str]) -> list[str]:
        return [str(self._client.query(POSITION.format(table=t))[0]["at"]) for t in tables]

    def _since(self, table: str) -> dict[str, Any]:
        return {"day": self._client.query(SINCE.format(table=table))[0]["day"]}

    def offsets(self) -> Iterator[Difference]:
        """Law 1."""
        rows = self._client.query(OFFSETS, self._since("ingest_log"))
        self.read = sum(int(row["counted"]) for row in rows)
        for row in rows:
            where = f"{row['src']}/{row['partition']}"
            read, counted = int(row["position"]) - int(row["begin"]), int(row["counted"])
            if read != counted:
                yield Difference("offsets", where, "offsets with an outcome", read, counted)
            if row["kept"] != row["raw"]:
                yield Difference("offsets", where, "raw rows", int(row["kept"]), int(row["raw"]))

    def twice(self) -> Iterator[Difference]:
        """Law 2, hour by hour: an event that is there twice has one time."""
        for hour in self._hours:
            hour_ms = _ms(hour)
            for row in self._client.query(TWICE, {"start": hour_ms, "end": hour_ms + HOUR_MS}):
                yield Difference(
                    "twice", row["place"], row["what"], int(row["expected"]), int(row["found"])
                )

    def windows(self) -> Iterator[Difference]:
        """Law 3."""
        raw = {row["hour"]: row for row in self._client.query(RAW_HOURS, self._period)}
        self._hours = sorted(raw)
        self.requests = sum(int(row["n"]) for row in raw.values())
        rebuilt = {row["hour"] for row in self._client.query(REBUILT_HOURS, self._period)}
        for resolution_s in RESOLUTIONS_S:
            counted = self._cells(resolution_s, COUNTED)
            yield from _compared(raw, counted, f"{resolution_s} s", {"hour"})
            if rebuilt:
                shown = self._cells(resolution_s, SHOWN)
                yield from _compared(
                    {hour: raw[hour] for hour in raw.keys() & rebuilt},
                    {hour: shown[hour] for hour in shown.keys() & rebuilt},
                    f"{resolution_s} s, shown",
                    {"hour", *BY_RULE},
                )

    def _cells(self, resolution_s: int, revision: str) -> dict[datetime, dict[str, Any]]:
        asked = {**self._period, "resolution": resolution_s}
        sql = WINDOW_HOURS.replace("REVISION", revision)
        return {row["hour"]: row for row in self._client.query(sql, asked)}

    def clients(self) -> Iterator[Difference]:
        """Law 4."""
        for row in self._client.query(CLIENTS, self._since("producers")):
            where, expected, found = row["place"], int(row["expected"]), int(row["found"])
            yield Difference("clients", where, "events", expected, found)


def _compared(
    raw: Mapping[datetime, dict[str, Any]],
    cells: Mapping[datetime, dict[str, Any]],
    how: str,
    but: set[str],
) -> Iterator[Difference]:
    for hour in sorted(raw.keys() | cells.keys()):
        expected, found = raw.get(hour, {}), cells.get(hour, {})
        for what in sorted((expected or found).keys() - but):
            a, b = int(expected.get(what, 0)), int(found.get(what, 0))
            if a != b:
                yield Difference("windows", f"{hour:%Y-%m-%d %H:00} at {how}", what, a, b)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

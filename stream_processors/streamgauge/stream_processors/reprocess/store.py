"""What reprocessing asks of the store and writes there. docs/decisions/0023 says why it is exact.

Everything that changes what others may assume is a compare-and-set (storage/writer.py) on positions
that are no source partition:

    reprocessing  revision   the highest number that was given to a run
                  run-<id>   the number that one try gave a run; as no other writes it, none has it
    windows       revision   the highest that writers must know (block.REVISION)
                  rebuilt    blocks of the newest run that are stored
                  committed  the last revision that is, or will be, shown

In: settings. Out: rows, answers. Not here: the order of steps (run.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow as pa

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput, Retryable, Unreachable
from streamgauge.storage.block import REVISION, build_block
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import InsertOutcome, SinkWriter, insert_settings
from streamgauge.stream_processors.metrics.revisions import TenantHour
from streamgauge.stream_processors.reading.recall import LABELS
from streamgauge.stream_processors.reprocess.rebuild import COLUMNS, COST

T = TypeVar("T")
RETRY_S, PAUSE_S = 30.0, 0.2
MUTATION_S = 3_600
REBUILT, COMMITTED = "rebuilt", "committed"
BLOCKS_OF_ONE = 1 << 32

COUNTED = """
SELECT tenant, toUnixTimestamp(t), sum(n) FROM windows
WHERE kind = 0 AND resolution = 3600 AND revision = 0
    AND t >= fromUnixTimestamp({start:Int64}) AND t < fromUnixTimestamp({end:Int64})
GROUP BY tenant, t
"""
RAW = """
SELECT tenant, toUnixTimestamp(toStartOfHour(ts)) AS hour, count() FROM events
WHERE kind = 0 AND type = 'llm.request'
    AND ts >= fromUnixTimestamp({start:Int64}) AND ts < fromUnixTimestamp({end:Int64})
GROUP BY tenant, hour
"""
CUT = """
SELECT mapFilter((k, v) -> position(k, '/') > 0, maxMap(next)) FROM windows
WHERE kind = 1 AND revision < {revision:UInt32}
"""
# In no order: a run asks once for each part of an hour, and its blocks are under a number that is
# its own, so no two queries have to cut an hour into the same blocks.
EVENTS = f"""
SELECT {", ".join(COLUMNS)}, if(cost_source = 'app', {COST}, NULL) AS {COST}
FROM events
WHERE kind = 0 AND type = 'llm.request'
    AND ts >= fromUnixTimestamp({{start:Int64}}) AND ts < fromUnixTimestamp({{end:Int64}})
    AND ({{tenant:String}} = '' OR tenant = {{tenant:String}})
    AND offset < transform(concat(src, '/', toString(partition)),
        {{keys:Array(String)}}, {{cuts:Array(UInt64)}}, toUInt64(0))
"""  # noqa: S608  # names of columns are ours
SUMS = """
SELECT toUnixTimestamp(t) AS hour, sumIf(n, revision = 0) AS counted,
    sumIf(n, revision = {revision:UInt32}) AS rebuilt,
    sumIf(cost_nano_usd, revision = 0) AS cost_counted,
    sumIf(cost_nano_usd, revision = {revision:UInt32}) AS cost_rebuilt
FROM windows
WHERE kind = 0 AND resolution = 3600 AND revision IN (0, {revision:UInt32})
    AND (tenant, t) IN (
        SELECT tenant, t FROM reprocessing WHERE kind = 0 AND revision = {revision:UInt32})
GROUP BY t ORDER BY t
"""
ACTIVATE = """
INSERT INTO revisions (tenant, t, revision, reason, rev)
SELECT tenant, t, revision, reason, revision FROM reprocessing
WHERE kind = 0 AND revision = {revision:UInt32}
"""
SHOWN = "SELECT count() FROM revisions WHERE rev >= {revision:UInt32}"
LEFT = """
SELECT DISTINCT revision FROM windows
WHERE kind = 0 AND revision > 0 AND revision < {revision:UInt32}
    AND revision NOT IN (SELECT revision FROM revisions FINAL)
"""


@dataclass(frozen=True, slots=True)
class HourSums:
    """One hour, s since the epoch: requests and 1e-9 USD as the stream counted, and as rebuilt."""

    hour: int
    counted: int
    rebuilt: int
    cost_counted: int
    cost_rebuilt: int


class ReprocessStore:
    """One run's view of the store. Retries inserts for RETRY_S, then raises Retryable."""

    def __init__(self, settings: StoreSettings, clock: Clock, *, name: str) -> None:
        self._client = connect(settings, timeout_s=MUTATION_S)
        self._writer = SinkWriter(settings, instance=name, session_timeout_s=60)
        self._clock = clock
        self._blocks = 0

    def requests(self, start: int, end: int) -> tuple[dict[TenantHour, int], dict[TenantHour, int]]:
        """Requests by (tenant, hour) in [start, end): counted in windows; raw rows.

        Windows first: the stream stores raw rows before their windows.
        """
        period = {"start": start, "end": end}
        counted, raw = (self._client.rows(sql, period)[1] for sql in (COUNTED, RAW))
        return (
            {(str(tenant), int(t)): int(n) for tenant, t, n in counted},
            {(str(tenant), int(t)): int(n) for tenant, t, n in raw},
        )

    def labels(self) -> list[tuple[str, str, str]]:
        """Admitted (tenant, label, value)."""
        return [(str(t), str(label), str(v)) for t, label, v in self._client.rows(LABELS)[1]]

    def register(self, hours: Sequence[TenantHour], reason: str, price_book: str) -> int:
        """Give this run a revision that no other has, with its hours, in one block."""
        n = len(hours)
        while True:
            mine = f"run-{uuid.uuid4().hex}"  # not the last try's: that one may have landed
            given = self._writer.high_water("reprocessing").get(REVISION, 0)
            last = max(given, self._positions().get(REVISION, 0))
            rows = pa.table(
                {
                    "revision": pa.array([last + 1] * n, pa.uint32()),
                    "tenant": [tenant for tenant, _ in hours],
                    "t": pa.array([t for _, t in hours], pa.int64()).cast(pa.timestamp("s", "UTC")),
                    "reason": [reason] * n,
                    "price_book": [price_book] * n,
                }
            )
            expected, following = {REVISION: given, mine: 0}, {REVISION: last + 1, mine: last + 1}
            if self._insert("reprocessing", rows, expected, following):
                return last + 1

    def fence(self, revision: int) -> None:
        """From now on the store takes windows only from writers that know this revision."""
        while True:
            self.finish()
            stored = self._positions()
            now, committed = stored.get(REVISION, 0), stored.get(COMMITTED, 0)
            if now >= revision:
                raise _superseded(revision, now)
            expected = {REVISION: now, COMMITTED: committed}
            if self._insert_marker(expected, {REVISION: revision, COMMITTED: committed}):
                return

    def cut(self, revision: int) -> dict[str, int]:
        """By source partition: below it nobody knew the revision, from it on everybody did."""
        ((found,),) = self._client.rows(CUT, {"revision": revision})[1]
        return {str(k): int(v) for k, v in dict(found).items()}

    def wait_for_raw_rows(self, cut: Mapping[str, int]) -> None:
        """Until `events` has all below the cut; Unreachable after RETRY_S."""
        deadline = self._clock.monotonic() + RETRY_S
        while True:
            stored = self._writer.high_water("events")
            behind = [k for k, position in cut.items() if stored.get(k, 0) < position]
            if not behind:
                return
            if self._clock.monotonic() > deadline:
                key = behind[0]
                raise Unreachable(
                    f"raw rows of {key} are stored up to offset {stored.get(key, 0)}, windows up to"
                    f" {cut[key]}: waited {RETRY_S:.0f} s for a metrics worker to store the rest",
                    hint="is a metrics worker running?",
                )
            self._clock.sleep(PAUSE_S)

    def events(
        self, start: int, end: int, tenant: str, cut: Mapping[str, int]
    ) -> Iterator[pa.RecordBatch]:
        """Raw requests of [start, end), s since the epoch, below the cut. tenant: "" is all."""
        if not cut:
            return iter(())
        return self._client.arrow(
            EVENTS,
            {
                "start": start, "end": end, "tenant": tenant,
                "keys": list(cut), "cuts": list(cut.values()),
            },
        )  # fmt: skip

    def put(self, revision: int, cells: pa.Table) -> None:
        """Store cells, once; refused if another run has begun."""
        stored = self._positions().get(REBUILT, 0) if not self._blocks else self._blocks
        following = max(stored, revision * BLOCKS_OF_ONE) + 1
        expected = {REVISION: revision, REBUILT: stored}
        if not self._insert("windows", cells, expected, {REVISION: revision, REBUILT: following}):
            raise _superseded(revision, self._positions().get(REVISION, 0))
        self._blocks = following

    def sums(self, revision: int) -> list[HourSums]:
        """Both revisions of each hour that is rebuilt, at one moment."""
        rows = self._client.rows(SUMS, {"revision": revision})[1]
        return [HourSums(*(int(value) for value in row)) for row in rows]

    def commit(self, revision: int) -> None:
        """It will be shown, whatever becomes of this run; refused if another has begun."""
        stored = self._positions()
        expected = {REVISION: revision, COMMITTED: stored.get(COMMITTED, 0)}
        if stored.get(REVISION, 0) != revision or not self._insert_marker(
            expected, {REVISION: revision, COMMITTED: revision}
        ):
            raise _superseded(revision, self._positions().get(REVISION, 0))

    def finish(self) -> int:
        """Show what is committed, if it is not shown yet; its revision, 0 if there is none."""
        committed = self._positions().get(COMMITTED, 0)
        asked = {"revision": committed}
        if committed and not self._client.rows(SHOWN, asked)[1][0][0]:
            # by no token: of these rows the last one counts, so a repeat does no harm
            self._repeat(
                lambda: self._client.command(ACTIVATE, asked, settings=insert_settings(60))
            )
        return committed

    def clean(self, revision: int) -> list[int]:
        """Delete rows of older revisions that no hour shows; their revisions."""
        left = [int(row[0]) for row in self._client.rows(LEFT, {"revision": revision})[1]]
        if left:
            self._client.command(
                f"ALTER TABLE windows DELETE WHERE kind = 0 AND revision IN ({str(left)[1:-1]})",
                settings={"mutations_sync": 1, "max_execution_time": MUTATION_S},
            )
        return left

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._writer.close()

    def _positions(self) -> dict[str, int]:
        return self._writer.high_water("windows")

    def _insert_marker(self, expected: Mapping[str, int], following: Mapping[str, int]) -> bool:
        return self._insert("windows", TABLES["windows"].data.empty_table(), expected, following)

    def _insert(
        self, table: str, rows: pa.Table, expected: Mapping[str, int], following: Mapping[str, int]
    ) -> bool:
        today = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).date()
        block = build_block(table, rows, written_on=today, expected=expected, next=following)
        return self._repeat(lambda: self._writer.insert(block)) is InsertOutcome.STORED

    def _repeat(self, attempt: Callable[[], T]) -> T:
        """The same attempt until the store has answered."""
        deadline = self._clock.monotonic() + RETRY_S
        while True:
            try:
                return attempt()
            except Retryable:
                if self._clock.monotonic() > deadline:
                    raise
            self._clock.sleep(PAUSE_S)


def _superseded(revision: int, by: int) -> BadInput:
    return BadInput(
        f"another reprocessing has begun: revision {by} took the place of this run's {revision}",
        reason="superseded",
        hint="nothing of this run is shown; let the other one end, then repeat",
    )

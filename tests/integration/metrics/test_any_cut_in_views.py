"""Whatever the cut into chunks, flushes, workers, crashes, zombies and retries: the same views.

Two members share two partitions and write to the real engine with the worker's own parts
(Positions, MetricsProcessor, SlowTables, recall, SinkWriter with its compare-and-set). Kafka alone
is left out: a member reads from a list, and the drawn plan says who owns a partition. A member that
lost one does not know it until the store refuses its block, as a zombie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.storage.block import build_block
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.storage.writer import InsertOutcome, SinkWriter
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.core.positions import Positions
from streamgauge.stream_processors.core.slow_tables import SlowTables
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import SLOW_TABLES, MetricsProcessor
from streamgauge.stream_processors.reading.recall import recall
from streamgauge.stream_processors.settings import WorkerSettings
from tests.support.streams import APPEND_MS, T0, every_type, streams

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

BOOK = PriceBook()
SRC = "llm.events.v1@abcdefgh"
KEYS = (f"{SRC}/0", f"{SRC}/1")
TODAY = datetime.now(UTC).date()
DAYS = (TODAY - timedelta(days=1), TODAY)  # older blocks are due to be dropped
COMPARED = {
    **dict.fromkeys(
        (
            "v_requests", "v_steps", "v_judgements", "v_10s", "v_minute", "v_hour", "v_errors",
            "v_spend", "v_prompts", "v_dead_letters",
        ),
        "*",
    ),
    "v_loss": "* EXCEPT (tenant, app, sdk, host)",  # those of any one event of a client
    "v_freshness": "* EXCEPT (written_at)",
}  # fmt: skip
"""What is compared of each view."""
OF_OTHERS = {"v_alerts", "v_alert_history", "v_changes", "v_drift", "v_scores", "v_toxicity"}
"""Views of what other workers write."""
ALL = 99
EVERY_TYPE = (every_type(0), every_type(1))

Streams = tuple[list[bytes], list[bytes]]


@dataclass(frozen=True)
class Step:
    """A member takes messages and flushes.

    size: messages of each of its partitions. survives: tables inserted before it dies, ALL = it
    lives. again: each block is sent twice, as after an answer that was lost. gets: partitions that
    become this member's before, without the other being told.
    """

    member: int
    size: int = 1_000
    survives: int = ALL
    again: bool = False
    gets: frozenset[int] = frozenset()
    day: int = 0


steps = st.builds(
    Step,
    member=st.integers(0, 1),
    size=st.integers(1, 9),
    survives=st.just(ALL) | st.integers(1, 6),
    again=st.booleans(),
    gets=st.frozensets(st.integers(0, 1), max_size=2),
    day=st.integers(0, 1),
)


@dataclass
class Member:
    """One worker."""

    number: int
    store: StoreSettings
    writer: SinkWriter
    processor: MetricsProcessor = field(default_factory=lambda: MetricsProcessor(BOOK))
    slow: SlowTables = field(default_factory=lambda: SlowTables(SLOW_TABLES))
    positions: Positions | None = None
    epoch: int = 0

    def resume(self, partitions: Sequence[int]) -> Positions:
        """As after an assignment: what the store has, is."""
        markers = {table: self.writer.high_water(table) for table in self.processor.tables}
        positions = Positions(self.processor.tables, markers, [KEYS[p] for p in partitions])
        here = WorkerSettings(KafkaSettings("localhost:1", "llm."), self.store)
        self.epoch += 1
        self.processor.reset()
        self.processor.restore(recall(here, positions.pos))
        self.positions = positions
        return positions

    def work(self, step: Step, values: Streams, owned: Sequence[int], now_ms: int) -> None:
        """Take messages and flush them, or die on the way."""
        positions = self.positions or self.resume(owned)
        for key in positions.pos:
            self._absorb(positions, key, values[int(key[-1])], step.size)
        cut = self.processor.cut(now_ms=now_ms)
        moves = positions.moves(now_ms=now_ms, force=step.size == 1_000)
        due, made = self.slow.due_now(self.epoch, moves, cut.build())
        for i, move in enumerate(due):
            if i >= step.survives:
                self.positions = None
                return
            data = made.get(move.table, TABLES[move.table].data.empty_table())
            if not data.num_rows and not move.marker_due:
                continue
            block = build_block(
                move.table, data, written_on=DAYS[step.day], expected=move.expected, next=move.next
            )
            outcomes = [self.writer.insert(block) for _ in range(1 + step.again)]
            assert len(set(outcomes)) == 1, "the same block again is answered as before"
            if outcomes[0] is InsertOutcome.REFUSED:
                self.positions = None
                return
            positions.landed(move.table, move.next, now_ms=now_ms)

    def _absorb(self, positions: Positions, key: str, values: list[bytes], size: int) -> None:
        start = positions.pos[key]
        end = min(len(values), start + size)
        for low, high, tables in positions.split(key, start, end):
            offsets = list(range(low, high))
            append = [APPEND_MS] * len(offsets)
            self.processor.absorb(
                Chunk(SRC, int(key[-1]), low, high, offsets, values[low:high], append, tables)
            )
        positions.absorbed(key, end)


def run(store: StoreSettings, values: Streams, plan: Sequence[Step]) -> dict[str, list[str]]:
    """What the views say after the plan and a last member that takes what is left."""
    with connect(store) as client:
        for table in MetricsProcessor(BOOK).tables:
            client.command(f"TRUNCATE TABLE {table}")
        writers = [
            SinkWriter(store, instance=f"member-{number}", session_timeout_s=30)
            for number in (0, 1)
        ]
        members = [Member(number, store, writer) for number, writer in enumerate(writers)]
        owner = [0, 1]
        now_ms = T0
        last = [Step(1, gets=frozenset({0, 1})), Step(0, gets=frozenset({0, 1}))]
        for step in [*plan, *last, *last]:
            member, now_ms = members[step.member], now_ms + 3_000
            if any(owner[p] != step.member for p in step.gets):
                for partition in step.gets:
                    owner[partition] = step.member
                member.positions = None
            owned = [p for p in (0, 1) if owner[p] == step.member]
            member.work(step, values, owned, now_ms)
        for writer in writers:
            writer.close()
        return {
            view: list(map(repr, client.rows(f"SELECT {what} FROM {view} ORDER BY ALL")[1]))
            for view, what in COMPARED.items()
        }


def test_every_view_of_what_the_metrics_worker_writes_is_compared(store: StoreSettings) -> None:
    asked = (
        "SELECT name FROM system.tables"
        " WHERE database = currentDatabase() AND startsWith(name, 'v_')"
    )
    with connect(store) as client:
        views = {name for (name,) in client.rows(asked)[1]}
    assert views == COMPARED.keys() | OF_OTHERS


@settings(
    max_examples=7,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.tuples(streams(12, partition=0), streams(12, partition=1)),
    st.lists(steps, min_size=4, max_size=10),
)
@example(
    EVERY_TYPE,
    [
        Step(0, size=3),
        Step(1, size=8, survives=3, day=1),
        Step(1, size=5, gets=frozenset({0}), again=True),
        Step(0, size=6),
        Step(1, size=1, day=1),
    ],
)
def test_any_cut_among_workers_that_crash_and_come_back_gives_byte_equal_views(
    store: StoreSettings, values: Streams, plan: list[Step]
) -> None:
    cut, whole = run(store, values, plan), run(store, values, [])
    for view, rows in whole.items():
        assert rows or values != EVERY_TYPE, f"{view} is compared empty"
        assert cut[view] == rows, view

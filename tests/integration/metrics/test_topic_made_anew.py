"""A topic that is deleted and made anew is another log: read whole, and the old one closed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faust.types import TP

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.ports import free_ports
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.core.connections import Connections
from streamgauge.stream_processors.core.flusher import Job, Result
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.processor import (
    SLOW_TABLES,
    TABLE_ORDER,
    MetricsProcessor,
)
from streamgauge.stream_processors.settings import WorkerSettings
from tests.support.audited import assert_audit_is_clean, until_whole
from tests.support.dead_letters import read_dead_letters
from tests.support.endpoint import metric
from tests.support.kafka import TestKafka, create_topics, delete_topic
from tests.support.metrics_worker import (
    T0,
    MetricsWorker,
    ask,
    expected_sums,
    one,
    outcomes,
    produce,
    raw,
    request,
    stored,
    sums,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
PARTITIONS = 4


class NeverLooks(MetricsWorker):
    """One whose flushes alone can notice that its topic was made anew."""

    module = "tests.support.never_looks"


@pytest.mark.parametrize(
    "session_s", [60, pytest.param(6, marks=pytest.mark.full)], ids=["within", "past its session"]
)
def test_a_topic_made_anew_that_outgrew_the_old_positions_is_read_from_its_start(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    session_s: int,
) -> None:
    """Where it stood in the old log the new one has events: these are not the next ones."""
    port = free_ports(1)[0]
    env = {"STREAMGAUGE_SESSION_S": str(session_s)}
    mine = {**env, "STREAMGAUGE_METRICS_PORT": str(port)}
    old = [request(i) for i in range(400)]
    new = [request(i, producer_id="p2") for i in range(1_000, 3_000)]
    bad = [b"{"] * PARTITIONS  # one a partition
    with (
        MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **env) as other,
        NeverLooks(kafka.bootstrap, topic_prefix, store, tmp_path, **mine) as stood,
    ):
        both = (other, stood)
        until(lambda: [w.owned for w in both] == [2, 2], "each has half")
        produce(kafka.bootstrap, topic, [raw(e) for e in old])
        until(lambda: outcomes(store) == {"stored": 400}, "the first life, but for slow tables")
        for worker in both if session_s == 60 else (stood,):
            worker.freeze()
        delete_topic(kafka.bootstrap, topic)
        create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
        produce(kafka.bootstrap, topic, [*(raw(e) for e in new), *bad])
        if session_s != 60:
            until(lambda: sum(outcomes(store).values()) == 2_404, "the other has taken over")
        for worker in both:
            worker.wake()
        until(lambda: sum(outcomes(store).values()) == 2_404, "the second life")
        slow = "SELECT sum(n) FROM producers WHERE kind = 0 AND producer_id = 'p1'"
        until(lambda: one(store, slow) == 400, "what slow tables lacked of the first life")
        until_whole(store, 2_400)  # partitions may move once more
        noticed = metric(port, "streamgauge_worker_flushes_total", result="source_changed")
        assert noticed >= 1 or session_s != 60, "a flush noticed: nobody else could"
        assert [worker.stop() for worker in both] == [0, 0]
    rows = ask(
        store,
        "SELECT src, partition, min(offset) AS low, count() AS n FROM events"
        " WHERE kind = 0 AND producer_id = 'p2' GROUP BY src, partition ORDER BY partition",
    )
    assert [(r["partition"], r["low"], r["n"]) for r in rows] == [
        (p, 0, 500) for p in range(PARTITIONS)
    ]
    (src,) = {r["src"] for r in rows}
    letters = read_dead_letters(kafka.bootstrap, f"{topic_prefix}deadletters.v1")
    assert {(d.src, d.partition, d.offset) for d, _ in letters} == {
        (src, p, 500) for p in range(PARTITIONS)
    }
    assert outcomes(store) == {"stored": 2_400, "dead": 4}
    assert one(store, "SELECT uniqExact(src) FROM events WHERE kind = 0") == 2
    assert sums(store) == expected_sums([*old, *new])
    assert one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == 2_400
    assert_audit_is_clean(store)


@pytest.mark.parametrize("whole", [True, False], ids=["slow tables wait", "a flush was cut off"])
def test_what_one_table_has_of_a_log_that_is_deleted_all_tables_have(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, whole: bool
) -> None:
    """The worker's own parts without its loop: what is written when is for the test to say."""
    outside = Connections(
        "metrics",
        WorkerSettings(kafka.settings(topic_prefix), store, instance="one"),
        [topic],
        TABLE_ORDER,
        current_epoch=lambda: 1 if whole or not stored(store) else 2,
        halt=threading.Event(),
        slow=SLOW_TABLES,
    )
    mine = frozenset({TP(topic, 0)})
    recalled = outside.recall(mine, 1, None)
    processor = MetricsProcessor(PriceBook())
    (src,) = (source.src for source in recalled.sources.values())

    def job(low: int, high: int) -> Job:
        values = [raw(request(i)) for i in range(low, high)]
        append_ms = [T0 + 60_000] * len(values)
        tables = frozenset(TABLE_ORDER)
        processor.absorb(Chunk(src, 0, low, high, range(low, high), values, append_ms, tables))
        recalled.positions.absorbed(f"{src}/0", high)
        moves = recalled.positions.moves(now_ms=T0)
        today = datetime.now(UTC).date()
        return Job(1, processor.cut(now_ms=T0), moves, recalled.sources, today)

    first = outside.flusher.write(job(0, 40))
    for move in first.landed:
        recalled.positions.landed(move.table, move.next, now_ms=T0)
    delete_topic(kafka.bootstrap, topic)
    second = outside.flusher.write(job(40, 80))  # of this log or of the next: nobody knows
    if whole:
        assert (first.result, second.result) == (Result.DONE, Result.SOURCE_CHANGED)
    else:
        assert (first.result, second.result) == (Result.ABANDONED, Result.ABANDONED)
        assert [move.table for move in first.landed] == ["label_values", "events"]
    assert one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == 0
    with pytest.raises(Misconfigured, match="does not exist"):
        outside.recall(mine, 2, None)
    assert outcomes(store) == {"stored": 40}
    assert sums(store) == expected_sums([request(i) for i in range(40)])
    assert one(store, "SELECT sum(n) FROM spend WHERE kind = 0") == 40
    assert_audit_is_clean(store)
    outside.close(1)

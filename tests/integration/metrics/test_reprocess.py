"""`streamgauge reprocess` on a real Kafka and store: late traffic of the same hours, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import BadInput
from streamgauge.storage.audit import audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.metrics.pricing import Known, PriceBook
from streamgauge.stream_processors.reprocess.run import Task, reprocess
from streamgauge.stream_processors.reprocess.store import ReprocessStore
from tests.support.audited import START, assert_audit_is_clean, until_whole
from tests.support.kafka import TestKafka, create_topics
from tests.support.metrics_worker import (
    MetricsWorker,
    ask,
    one,
    outcomes,
    produce,
    raw,
    request,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]
FULL = pytest.mark.full
PARTITIONS = 4
HOUR = timedelta(hours=1)
STATIC = {"STREAMGAUGE_STATIC_ID": "one"}
TASK = Task(START, START + 2 * HOUR, reason="test")


def event(i: int, **fields: Any) -> dict[str, Any]:
    """Requests of three hours, mixed, of two tenants; every seventh is priced by its app."""
    spread = {"ts": int(START.timestamp() * 1000) + i * 1_234_577 % (3 * 3_600_000)}
    stated = {"cost_nano_usd": 1_000 + i} if i % 7 == 0 else {}
    return request(i) | spread | {"tenant": f"t{i % 2}"} | stated | fields


def cost(e: dict[str, Any], factor: int = 1) -> int:
    stated: int | None = e.get("cost_nano_usd")
    return stated if stated is not None else factor * (
        e["input_tokens"] * 150 + e["output_tokens"] * 600
    )  # fmt: skip


def hour_of(e: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(e["ts"] // 3_600_000 * 3_600, UTC)


def recount(events: list[dict[str, Any]], *, factor: int = 1) -> dict[tuple[str, str], Any]:
    """By (tenant, hour): n, errors, tokens, duration, cost; factor: on our prices in TASK."""
    found: dict[tuple[str, str], Any] = {}
    for e in events:
        key = (e["tenant"], f"{hour_of(e):%H}")
        rebuilt = TASK.start <= hour_of(e) < TASK.end
        own = {
            "n": 1,
            "errors": int(e["status"] == "error"),
            "tokens": e["input_tokens"] + e["output_tokens"],
            "cost": cost(e, factor if rebuilt else 1),
            "ms": e["duration_ms"],
        }
        sums = found.setdefault(key, dict.fromkeys(own, 0))
        for name, value in own.items():
            sums[name] += value
    return found


def in_hours(events: list[dict[str, Any]], tenants: tuple[str, ...] = ("t0", "t1")) -> list[int]:
    """Requests of each hour of TASK."""
    hours = [f"{TASK.start:%H}", f"{TASK.start + HOUR:%H}"]
    found = recount(events)
    return [sum(found[tenant, hour]["n"] for tenant in tenants) for hour in hours]


def shown(store: StoreSettings, view: str) -> dict[tuple[str, str], Any]:
    rows = ask(
        store,
        "SELECT tenant, formatDateTime(t, '%H') AS hour, sum(requests) AS n,"
        " sum(errors) AS errors, sum(input_tokens + output_tokens) AS tokens,"
        " toInt64(sum(cost_usd) * 1000000000) AS cost,"
        " toInt64(round(sum(latency_avg_ms * requests))) AS ms"
        f" FROM {view} GROUP BY tenant, hour",
    )
    return {(r.pop("tenant"), r.pop("hour")): {k: int(v) for k, v in r.items()} for r in rows}


def assert_shown(store: StoreSettings, events: list[dict[str, Any]], *, factor: int = 1) -> None:
    for view in ("v_10s", "v_minute", "v_hour"):
        assert shown(store, view) == recount(events, factor=factor), view


def revisions(store: StoreSettings) -> set[int]:
    found = ask(store, "SELECT DISTINCT revision FROM windows WHERE kind = 0")
    return {int(row["revision"]) for row in found}


def fence(store: StoreSettings) -> int:
    return int(one(store, "SELECT maxMap(next)['revision'] FROM windows WHERE kind = 1"))


def command(store: StoreSettings, *more: str, failpoint: str = "") -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
    return subprocess.Popen(
        [
            sys.executable, "-m", "streamgauge.deploy", "reprocess",
            "--from", f"{TASK.start:%Y-%m-%dT%H:%M}", "--to", f"{TASK.end:%Y-%m-%dT%H:%M}",
            "--json", *more,
        ],
        env=env | store.to_env() | {"STREAMGAUGE_FAILPOINT": failpoint},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def topic(kafka: TestKafka, topic_prefix: str) -> str:
    """The events topic under a prefix of this test's own."""
    create_topics(kafka.bootstrap, topic_prefix, partitions=PARTITIONS)
    return f"{topic_prefix}events.v1"


class Traffic:
    """Sends events in the background, some 1,000 a second, until told to stop."""

    def __init__(self, bootstrap: str, topic: str, first: int) -> None:
        self._where, self._next = (bootstrap, topic), first
        self.sent: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            events = [event(i) for i in range(self._next, self._next + 50)]
            produce(*self._where, [raw(e) for e in events])
            self.sent += events
            self._next += 50

    @contextmanager
    def __call__(self) -> Iterator[Traffic]:
        self._thread.start()
        try:
            yield self
        finally:
            self.end()

    def end(self) -> None:
        """Send no more; all that was sent is in `sent`."""
        self._stop.set()
        self._thread.join()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("registered", marks=FULL),
        "fenced",
        pytest.param("rebuilt:2", marks=FULL),
        "committed",
        pytest.param("active", marks=FULL),
    ],
)
def test_late_traffic_a_killed_run_and_a_killed_worker_change_no_count(
    kafka: TestKafka,
    topic: str,
    topic_prefix: str,
    store: StoreSettings,
    tmp_path: Path,
    place: str,
) -> None:
    def metrics() -> MetricsWorker:
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **STATIC)

    before = [event(i) for i in range(4_000)]
    produce(kafka.bootstrap, topic, [raw(e) for e in before])
    with Traffic(kafka.bootstrap, topic, len(before))() as traffic:
        with metrics() as worker:
            until(lambda: outcomes(store).get("stored", 0) > 4_000, "the first events")
            status, _, error = ended(command(store, failpoint=place))
            assert status == -signal.SIGKILL, error
            running = command(store)
            until(lambda: fence(store) == 2, "the second run's fence")
            until(lambda: bool(worker.events_logged("block_refused")), "the worker heard of it")
            worker.kill()
        with metrics() as again:
            status, out, error = ended(running)
            assert status == 0, error
            revision = json.loads(out)["revision"]
            n = len(traffic.sent)
            until(lambda: len(traffic.sent) > n + 500, "traffic after it")
            traffic.end()
            total = 4_000 + len(traffic.sent)
            until(lambda: outcomes(store).get("stored") == total, "all events")
            until_whole(store, total)
            assert again.stop() == 0
    events = [*before, *traffic.sent]
    assert revision == 2
    assert one(store, "SELECT groupUniqArray(revision) FROM revisions FINAL") == [2]
    assert revisions(store) == {0, 2}
    assert_shown(store, events)
    assert_audit_is_clean(store)


class Twice:
    """A price that is twice another."""

    def __init__(self, price: Any) -> None:
        self._price = price

    def costs_nano_usd(self, counts: Any) -> Any:
        return 2 * self._price.costs_nano_usd(counts)


class NewPrices(PriceBook):
    """Everything costs twice as much."""

    def known(self, provider: str, model: str, **more: Any) -> Known:
        found = super().known(provider, model, **more)
        return found._replace(price=found.price and Twice(found.price))  # type: ignore[arg-type]


def _added_up(column: pa.Field) -> str:
    if pa.types.is_map(column.type):
        return "sumMap"
    return "max" if column.name.endswith("_max") else "sum"


def cells(
    store: StoreSettings, revision: int, task: Task = TASK
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Everything that windows of these hours say under a revision, but for its number; by key."""
    columns = [f.name for f in TABLES["windows"].data if f.name != "revision"]
    key, values = columns[: columns.index("n")], columns[columns.index("n") :]
    fields = [f for f in TABLES["windows"].data if f.name in values]
    made = [f"{_added_up(f)}({f.name}) AS {f.name}" for f in fields]
    rows = ask(
        store,
        f"SELECT {', '.join([*key, *made])} FROM windows WHERE kind = 0 AND revision = {revision}"
        f" AND t >= '{task.start:%Y-%m-%d %H:00:00}' AND t < '{task.end:%Y-%m-%d %H:00:00}'"
        f" GROUP BY {', '.join(key)}",
    )
    return {tuple(row[c] for c in key): {c: row[c] for c in values} for row in rows}


@pytest.fixture
def metrics(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> MetricsWorker:
    """A worker that can be started again and again."""
    return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **STATIC)


def take_in(metrics: MetricsWorker, store: StoreSettings, total: int) -> None:
    """Run the worker until it has stored everything."""
    with metrics:
        until(lambda: outcomes(store).get("stored") == total, "all events")
        assert metrics.stop() == 0


def test_new_prices_change_the_cost_and_nothing_else_run_upon_run(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    events = [event(i) for i in range(3_000)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 3_000)
    assert_shown(store, events)
    dry = reprocess(store, TASK, NewPrices(), dry_run=True)
    assert (dry.revision, [(h.raw, h.counted) for h in dry.plan]) == (
        0,
        [(n, n) for n in in_hours(events)],
    )
    assert fence(store) == 0
    assert reprocess(store, TASK, NewPrices()).revision == 1
    assert_shown(store, events, factor=2)
    old, new = cells(store, 0), cells(store, 1)
    assert old.keys() == new.keys()
    assert sum(c["cost_nano_usd"] for c in new.values()) > sum(
        c["cost_nano_usd"] for c in old.values()
    )
    for both in (old, new):
        for cell in both.values():
            del cell["cost_nano_usd"]
    assert old == new
    assert_audit_is_clean(store)
    first_hour = Task(TASK.start, TASK.start + HOUR)
    report = reprocess(store, first_hour, PriceBook())
    assert (report.revision, report.cleaned) == (2, ())
    mixed = shown(store, "v_minute")
    assert {k: v for k, v in mixed.items() if k[1] == f"{TASK.start:%H}"} == {
        k: v for k, v in recount(events).items() if k[1] == f"{TASK.start:%H}"
    }
    assert {k: v for k, v in mixed.items() if k[1] != f"{TASK.start:%H}"} == {
        k: v for k, v in recount(events, factor=2).items() if k[1] != f"{TASK.start:%H}"
    }
    more = [event(i) for i in range(3_000, 4_000)]  # late, priced by the worker, in all revisions
    produce(kafka.bootstrap, topic, [raw(e) for e in more])
    take_in(metrics, store, 4_000)
    report = reprocess(store, TASK, NewPrices())
    assert (report.revision, report.cleaned) == (3, (1, 2))
    assert_shown(store, [*events, *more], factor=2)
    assert revisions(store) == {0, 3}
    assert_audit_is_clean(store)


def rich(i: int, now_ms: int) -> dict[str, Any]:
    """Requests that fill every column of windows; the even ones in time, the others late."""
    fields = {
        "ts": now_ms - (1_000 if i % 2 == 0 else 400_000) - i,
        "team": f"team{i % 2}", "feature": "f", "release": f"r{i % 3}", "variant": "b",
        "prompt_name": "p", "prompt_version": str(i % 4), "service_tier": "flex" if i % 5 else None,
        "error_type": None if i % 10 else "Timeout", "http_status": 200 if i % 10 else 504,
        "finish_reason": "stop" if i % 3 else "length", "system_fingerprint": f"fp{i % 2}",
        "response_model": f"gpt-4o-mini-{i % 2}", "ttft_ms": 5.5 + i % 90, "stream": True,
        "chunk_gap_max_ms": 1.25 * (i % 40), "stalls": i % 2, "retries": i % 3,
        "refused": i % 6 == 0, "output_valid": i % 4 != 0, "truncated": i % 8 == 0,
        "cache_status": "hit" if i % 9 == 0 else "miss", "cache_read_tokens": i % 20,
        "cache_write_tokens": i % 11, "cache_write_1h_tokens": i % 3, "reasoning_tokens": i % 5,
        "audio_input_tokens": i % 4, "audio_output_tokens": i % 3, "image_input_tokens": i % 2,
        "model": "nobody-knows-it" if i % 13 == 0 else "gpt-4o-mini",
        "duration_ms": 100.125 + i % 900,
    }  # fmt: skip
    return event(i, **fields)


def test_every_column_of_every_cell_is_rebuilt_as_the_stream_made_it_in_time_or_late(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    now_ms = SystemClock().now_ms()
    produce(kafka.bootstrap, topic, [raw(rich(i, now_ms)) for i in range(2_000)])
    take_in(metrics, store, 2_000)
    now = datetime.fromtimestamp(now_ms / 1000, UTC).replace(minute=0, second=0, microsecond=0)
    task = Task(now - HOUR, now + HOUR)
    assert sum(h.rebuilt for h in reprocess(store, task, PriceBook()).hours) == 2_000
    old, new = cells(store, 0, task), cells(store, 1, task)
    assert old == new
    late = [f.name for f in TABLES["windows"].data if f.name != "revision"].index("late")
    assert {key[late] for key in old} == {0, 1}
    empty = [c for c in next(iter(old.values())) if not any(cell[c] for cell in old.values())]
    assert empty == ["timeouts", "cancelled"]


def test_one_tenant_alone_and_a_hidden_difference_is_found_by_the_audit(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    events = [event(i) for i in range(1_200)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 1_200)
    one_tenant = Task(TASK.start, TASK.end, tenant="t1")
    assert [h.tenants for h in reprocess(store, one_tenant, NewPrices()).plan] == [("t1",)] * 2
    expected = recount(events) | {
        k: v for k, v in recount(events, factor=2).items() if k[0] == "t1"
    }
    assert shown(store, "v_hour") == shown(store, "v_10s") == expected
    assert_audit_is_clean(store)
    with connect(store) as client:
        client.command(
            "INSERT INTO windows SELECT * REPLACE (1 AS n, 0 AS input_tokens) FROM windows"
            " WHERE kind = 0 AND revision = 1 AND resolution = 60 LIMIT 1"
        )
        found = audit(client, TASK.start, TASK.end).differences
    (n,) = [d for d in found if d.what == "n"]
    assert n.where.endswith(":00 at 60 s, shown")
    assert n.found == n.expected + 1


def test_hours_whose_raw_rows_are_partly_gone_are_refused_by_name(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    events = [event(i) for i in range(1_200)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 1_200)
    second = f"{TASK.start + HOUR:%Y-%m-%d %H:00}"
    with connect(store) as client:
        client.command(
            f"ALTER TABLE events DELETE WHERE kind = 0 AND tenant = 't0' AND ts >= '{second}:00'",
            settings={"mutations_sync": 1},
        )
    status, out, error = ended(command(store))
    assert (status, out) == (1, "")
    there, counted = in_hours(events, ("t1",))[1], in_hours(events)[1]
    assert f"{second}: {there} of {counted}" in error
    assert f"whole: 1 of 2 hours, {TASK.start:%Y-%m-%d %H:00} to" in error
    assert fence(store) == 0
    assert_shown(store, events)


def test_workers_that_share_the_topic_die_and_come_while_a_run_is_in_mid_rebuild(
    kafka: TestKafka, topic: str, topic_prefix: str, store: StoreSettings, tmp_path: Path
) -> None:
    def worker(name: str) -> MetricsWorker:
        static = {"STREAMGAUGE_STATIC_ID": name}
        return MetricsWorker(kafka.bootstrap, topic_prefix, store, tmp_path, **static)

    with (
        Traffic(kafka.bootstrap, topic, 0)() as traffic,
        worker("one") as one_,
        worker("two") as two,
    ):
        until(lambda: one_.owned == two.owned == 2, "each has two partitions")
        until(lambda: outcomes(store).get("stored", 0) > 1_000, "the first events")
        running = command(store)
        until(lambda: fence(store) == 1, "the fence")
        os.kill(running.pid, signal.SIGSTOP)
        for each in (one_, two):
            until(lambda each=each: each.events_logged("block_refused"), "both heard")  # type: ignore[misc]
        one_.kill()
        stored = outcomes(store)["stored"]
        with worker("one") as three:
            until(lambda: three.owned == 2, "its partitions have a worker again")
            until(lambda: outcomes(store)["stored"] > stored + 500, "traffic on its partitions")
            assert one(store, "SELECT count() FROM revisions") == 0, "the run stands in mid-way"
            os.kill(running.pid, signal.SIGCONT)
            status, out, error = ended(running)
            assert status == 0, error
            traffic.end()
            until(lambda: outcomes(store).get("stored") == len(traffic.sent), "all events")
            until_whole(store, len(traffic.sent))
            assert three.stop() == two.stop() == 0
    assert json.loads(out)["revision"] == 1
    old, new = cells(store, 0), cells(store, 1)
    assert old == new, "same prices: every count, map and histogram of every cell is the same"
    assert_shown(store, traffic.sent)
    assert_audit_is_clean(store)


def test_a_zombie_that_wakes_after_the_run_is_refused(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    with Traffic(kafka.bootstrap, topic, 0)() as traffic, metrics:
        until(lambda: outcomes(store).get("stored", 0) > 1_000, "the first events")
        os.kill(metrics.pid, signal.SIGSTOP)
        report = reprocess(store, TASK, PriceBook())
        os.kill(metrics.pid, signal.SIGCONT)
        until(lambda: bool(metrics.events_logged("block_refused")), "the zombie is refused")
        traffic.end()
        until(lambda: outcomes(store).get("stored") == len(traffic.sent), "all events")
        until_whole(store, len(traffic.sent))
        assert metrics.stop() == 0
    assert sum(h.rebuilt for h in report.hours) < len(traffic.sent)
    assert_shown(store, traffic.sent)
    assert_audit_is_clean(store)


def test_of_two_runs_the_newer_wins_and_the_older_is_told(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    events = [event(i) for i in range(600)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 600)
    older = ReprocessStore(store, SystemClock(), name="older")
    revision = older.register([("t0", int(TASK.start.timestamp()))], "", "")
    older.fence(revision)
    assert reprocess(store, TASK, NewPrices()).revision == revision + 1
    nothing = TABLES["windows"].data.empty_table()
    for late in (older.commit, older.fence, lambda r: older.put(r, nothing)):
        with pytest.raises(BadInput, match="revision 2 took the place of this run's 1"):
            late(revision)
    older.close()
    running = [command(store) for _ in range(3)]
    statuses = [ended(one)[0] for one in running]
    assert 0 in statuses
    assert set(statuses) <= {0, 1}
    assert_shown(store, events)
    assert_audit_is_clean(store)


def test_the_answer_is_a_table_and_a_period_that_is_no_whole_hours_or_holds_nothing_is_told(
    kafka: TestKafka, topic: str, store: StoreSettings, metrics: MetricsWorker
) -> None:
    def said(*arguments: str) -> tuple[int, str, str]:
        made = subprocess.run(
            [sys.executable, "-m", "streamgauge.deploy", "reprocess", *arguments],
            env=os.environ | store.to_env(), capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return made.returncode, made.stdout, made.stderr

    begin, end = f"{TASK.start:%Y-%m-%dT%H:%M}", f"{TASK.end:%Y-%m-%dT%H:%M}"
    status, _, error = said("--from", begin, "--to", end)
    assert status == 0
    assert error.startswith("0 requests of 0 hours")
    produce(kafka.bootstrap, topic, [raw(event(i)) for i in range(300)])
    take_in(metrics, store, 300)
    n = sum(in_hours([event(i) for i in range(300)]))
    status, out, error = said("--from", begin, "--to", end, "--dry-run")
    assert (status, len(out.splitlines())) == (0, 3)
    assert error.startswith(f"{n} requests of 2 hours would be rebuilt by genai-prices-")
    status, out, error = said("--from", begin, "--to", end, "--reason", "new prices")
    assert (status, len(out.splitlines())) == (0, 3)
    assert "revision 1 is shown: 2 hours" in error
    assert one(store, "SELECT DISTINCT reason FROM revisions") == "new prices"
    status, _, error = said("--from", begin.replace(":00", ":30"), "--to", end)
    assert (status, "is not a whole hour" in error) == (2, True)
    assert said("--from", end, "--to", begin)[0] == 2

"""`streamgauge reprocess` on a real Kafka and store: prices, columns, tenants, answers."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.storage.audit import audit
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.core.failpoints import FailPoints
from streamgauge.stream_processors.metrics.cells import build_cells
from streamgauge.stream_processors.metrics.columns import Columns
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.reprocess import rebuild, run
from streamgauge.stream_processors.reprocess import store as reprocess_store
from streamgauge.stream_processors.reprocess.run import Task, reprocess
from tests.support.audited import assert_audit_is_clean
from tests.support.kafka import TestKafka
from tests.support.metrics_worker import (
    MetricsWorker,
    one,
    produce,
    raw,
    until,
)
from tests.support.reprocessing import (
    HOUR,
    TASK,
    NewPrices,
    assert_shown,
    cells,
    command,
    ended,
    event,
    fence,
    hour_of,
    in_hours,
    metrics,
    recount,
    revisions,
    shown,
    take_in,
)
from tests.support.store_proxy import Fault, StoreProxy

__all__ = ["metrics"]  # a fixture of this file
pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


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


class Spoiling(FailPoints):
    """Spoils every guarded insert of a run, in turn: the first, and the next after each step."""

    def __init__(self, proxy: StoreProxy) -> None:
        super().__init__()
        self._proxy, self._faults = proxy, itertools.cycle(Fault)
        self.spoiled: list[Fault] = []
        self._spoil()

    def _spoil(self) -> None:
        self.spoiled.append(next(self._faults))
        self._proxy.spoil(self.spoiled[-1])

    def reached(self, place: str) -> None:
        if place in ("registered", "fenced", "rebuilt"):  # no guarded insert comes after a commit
            self._spoil()


def a_4xx_is_no_error(c: Columns, *more: Any) -> pa.Table:
    """Another rule of aggregation."""
    _, code = c.known_floats("http_status")
    status = c.coded("status")
    counted = np.where((code >= 400) & (code < 500), "ok", np.array(status.values)[status.codes])
    c.put("status", pa.array(counted.tolist()))
    return build_cells(c, *more)


def test_many_slices_of_an_hour_behind_cuts_at_every_insert_and_another_rule_after_that(
    kafka: TestKafka,
    topic: str,
    store: StoreSettings,
    metrics: MetricsWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "SLICE_EVENTS", 100)
    monkeypatch.setattr(reprocess_store, "PAUSE_S", 0.02)
    codes = {0: 503, 10: 429}  # of errors: every tenth
    events = [event(i, http_status=codes.get(i % 20, 200)) for i in range(3_000)]
    produce(kafka.bootstrap, topic, [raw(e) for e in events])
    take_in(metrics, store, 3_000)
    with StoreProxy(store) as proxy:
        proxy.late_s = 0.5
        cuts = Spoiling(proxy)
        assert reprocess(proxy.settings, TASK, PriceBook(), failpoints=cuts).revision == 1
        until(lambda: sum(map(proxy.spoiled, Fault)) == len(cuts.spoiled), "the late ones came")
    assert len(cuts.spoiled) >= 20
    assert {fault: proxy.spoiled(fault) for fault in Fault} == Counter(cuts.spoiled)
    assert cells(store, 0) == cells(store, 1)
    assert_shown(store, events)
    assert one(store, "SELECT groupUniqArray(revision) FROM revisions FINAL") == [1]
    assert revisions(store) == {0, 1}
    assert_audit_is_clean(store)
    monkeypatch.setattr(rebuild, "build_cells", a_4xx_is_no_error)
    assert reprocess(store, TASK, NewPrices()).revision == 2
    by_rule = [
        e | {"status": "ok"} if e["http_status"] == 429 and hour_of(e) < TASK.end else e
        for e in events
    ]
    assert by_rule != events
    assert_shown(store, by_rule, factor=2)
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

"""Hours to reprocess, traffic that goes on meanwhile, and what views must then show.

`metrics`: a fixture. `TASK`: the hours. `assert_shown`: views
against a count of the events.
"""

from __future__ import annotations

import os
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

from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.metrics.pricing import Known, PriceBook
from streamgauge.stream_processors.reprocess.run import Task
from tests.support.audited import START
from tests.support.kafka import TestKafka
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

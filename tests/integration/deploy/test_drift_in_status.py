"""Which apps `streamgauge status` and `doctor` say are warming up, by the verdicts in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor import Finding, Level, services
from streamgauge.deploy.status.collect import drift_warming
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter, build_block

pytestmark = pytest.mark.clickhouse
NOW = datetime.fromtimestamp(SystemClock().now_ms() // 300_000 * 300, UTC)


def put(
    store: StoreSettings, table: str, rows: list[dict[str, Any]], key: str = "e/0", to: int = 1
) -> None:
    writer = SinkWriter(store, instance="w", session_timeout_s=30)
    block = build_block(
        table, pa.Table.from_pylist(rows), written_on=NOW.date(), expected={key: 0}, next={key: to}
    )
    writer.insert(block)
    writer.close()


def verdict(app: str, t: datetime, state: str, ref_windows: int) -> dict[str, Any]:
    return {
        "tenant": "__all__", "app": app, "t": t, "window_s": 300, "segment_kind": "global",
        "feature": "model", "scheme": 4, "reference": "previous", "state": state,
        "ref_windows": ref_windows, "ref_needed": 14,
    }  # fmt: skip


def test_a_new_app_is_warming_up_beside_one_that_has_been_judged_for_long(
    store: StoreSettings, tmp_path: Path
) -> None:
    windows = [NOW - timedelta(minutes=5 * i) for i in range(1, 21)]
    put(store, "histograms", [{"app": "old", "t": t, "feature": "model", "n": 9} for t in windows])
    young = [verdict("new", windows[i], "warming_up", 3 - i) for i in range(2)]
    put(store, "drift_verdicts", [*young, *(verdict("old", t, "quiet", 14) for t in windows)])
    context = Context.find(store.to_env(), tmp_path)
    assert drift_warming(context) == {"new": (3, 14)}


def test_without_a_verdict_no_app_is_warming_up_and_without_a_store_it_is_unknown(
    store: StoreSettings, tmp_path: Path
) -> None:
    assert drift_warming(Context.find(store.to_env(), tmp_path)) == {}
    assert drift_warming(Context.find({}, tmp_path)) is None


def doctor(store: StoreSettings, home: Path) -> list[Finding]:
    return list(services.drift(Context.find(store.to_env(), home), SystemClock()))


def test_doctor_names_apps_that_drift_cannot_judge_yet_and_is_content_when_it_can(
    store: StoreSettings, tmp_path: Path
) -> None:
    assert doctor(store, tmp_path) == [Finding("drift", Level.OK, "nothing to judge yet")]
    t = NOW - timedelta(minutes=5)
    put(store, "histograms", [{"app": "old", "t": t, "feature": "model", "n": 9}])
    put(
        store, "drift_verdicts", [verdict("old", t, "quiet", 14)],
        key="verdicts/300", to=int(NOW.timestamp()),
    )  # fmt: skip
    assert doctor(store, tmp_path) == [Finding("drift", Level.OK, "apps judged: 1")]
    put(store, "drift_verdicts", [verdict("new", t, "warming_up", 3)])
    (found,) = doctor(store, tmp_path)
    assert (found.level, "'new' 3 of 14" in found.seen) == (Level.WARN, True)


def test_doctor_tells_of_windows_that_nobody_judges(store: StoreSettings, tmp_path: Path) -> None:
    cells = [
        {"app": "old", "t": NOW - timedelta(minutes=5 * i), "feature": "model", "n": 9}
        for i in range(20)
    ]
    put(store, "histograms", cells)
    (found,) = doctor(store, tmp_path)
    assert (found.level, found.seen) == (Level.WARN, "19 windows of 300 s have no verdict yet")
    end = NOW - timedelta(minutes=40)
    put(
        store, "drift_verdicts", [verdict("old", end - timedelta(minutes=5), "quiet", 14)],
        key="verdicts/300", to=int(end.timestamp()),
    )  # fmt: skip
    (found,) = doctor(store, tmp_path)
    assert (found.level, found.seen) == (Level.WARN, "8 windows of 300 s have no verdict yet")


def test_doctor_says_nothing_of_drift_where_no_store_is_known(tmp_path: Path) -> None:
    assert list(services.drift(Context.find({}, tmp_path), SystemClock())) == []

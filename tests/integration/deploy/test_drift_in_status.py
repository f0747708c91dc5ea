"""Which apps `streamgauge status` says are warming up, by the verdicts in the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.context import Context
from streamgauge.deploy.status.collect import drift_warming
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import SinkWriter, build_block

pytestmark = pytest.mark.clickhouse
NOW = datetime.fromtimestamp(SystemClock().now_ms() // 300_000 * 300, UTC)


def put(store: StoreSettings, table: str, rows: list[dict[str, Any]]) -> None:
    writer = SinkWriter(store, instance="w", session_timeout_s=30)
    block = build_block(
        table, pa.Table.from_pylist(rows), written_on=NOW.date(), expected={"e/0": 0},
        next={"e/0": 1},
    )  # fmt: skip
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

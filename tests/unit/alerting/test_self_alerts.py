"""What the engine says about itself."""

from __future__ import annotations

from streamgauge.alerting.evaluation.self_alerts import INGEST, REPEAT_MS, SelfWatch


def test_self_alert_speaks_on_change_and_once_a_minute() -> None:
    watch = SelfWatch("runbooks/")
    moves: tuple[tuple[int, dict[tuple[tuple[str, str], ...], float]], ...] = (
        (1, {}), (2, {}), (3, {(): 70.0}), (4, {(): 71.0}), (3 + REPEAT_MS, {(): 130.0}),
        (4 + REPEAT_MS, {}),
    )  # fmt: skip
    said = [watch.record(INGEST, troubles, now) for now, troubles in moves]
    assert [None if r is None else len(r.series) for r in said] == [0, None, 1, None, 1, 0]

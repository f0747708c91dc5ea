"""CUSUM and states, worked out by hand: k = 1, h = 6, pending 3, calm after 6 windows."""

from __future__ import annotations

from streamgauge.stream_processors.drift.sequential import (
    DriftState,
    StreamState,
    Thresholds,
    step,
    warming,
)

LAW = Thresholds()


def run(*windows: tuple[float, float], start: StreamState | None = None) -> list[StreamState]:
    """States after windows of (z, p), one minute apart."""
    out: list[StreamState] = []
    state = start
    for i, (z, p) in enumerate(windows):
        state = step(state, z=z, p=p, large_enough=True, t_ms=i * 60_000, thresholds=LAW)
        out.append(state)
    return out


def test_four_windows_at_the_clip_fire() -> None:
    states = run(*[(3.0, 0.001)] * 4)  # evidence 2, 4, 6, 8: over 3 pending, over 6 firing
    assert [s.evidence for s in states] == [2, 4, 6, 8]
    assert [s.state.value for s in states] == ["quiet", "pending", "pending", "firing"]
    assert [s.since_ms for s in states] == [0, 60_000, 60_000, 180_000]


def test_small_excess_never_fires() -> None:
    assert {s.state for s in run(*[(0.9, 0.18)] * 500)} == {DriftState.QUIET}


def test_evidence_without_effect_only_pends() -> None:
    state = None
    for i in range(10):
        state = step(state, z=3.0, p=0.001, large_enough=False, t_ms=i, thresholds=LAW)
    assert state is not None
    assert state.state is DriftState.PENDING


def test_six_calm_windows_in_a_row_resolve_and_start_anew() -> None:
    firing = StreamState(DriftState.FIRING, 0, 9.0, 0)
    calm = [(0.0, 0.5)]
    broken = run(*calm * 5, (2.0, 0.02), *calm * 5, start=firing)
    assert {s.state for s in broken} == {DriftState.FIRING}
    resolved = run(*calm * 6, start=firing)[-1]
    assert (resolved.state, resolved.evidence, resolved.since_ms) == ("resolved", 0.0, 300_000)
    after = step(resolved, z=0.0, p=0.5, large_enough=False, t_ms=360_000, thresholds=LAW)
    assert after.state is DriftState.QUIET


def test_an_alarm_is_not_forgotten_while_the_reference_is_thin() -> None:
    firing = StreamState(DriftState.FIRING, 7, 9.0, 2)
    assert warming(firing, t_ms=99) is firing
    assert warming(StreamState(DriftState.QUIET, 7, 2.0), t_ms=99).state is DriftState.WARMING_UP

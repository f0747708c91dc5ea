"""kill -9 of every process of the stack in mid-replay: counts exact, the same alert episodes.

The episodes are those of the Azure trace with the incidents of seed 7, in the trace's own time
(seconds since the epoch). Each follows from the events and the rule's definition alone: it fires at
the first step of the rule's grid at which its window has held the condition for `for`, and resolves
when the window has been on the safe side of `recover` for `keep_firing_for`. The script
tests/independent/episodes.py, which shares no code with the engine, works them out.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.independent.episodes import all_episodes, azure_with_incidents
from tests.support.under_kills import Episode, Outcome, replay_under_kills

SEED = 7
REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS = 19_969, 165_143_160, 4_351_270
"""The trace's 19,366 requests and 603 of the runaway agent, less those of the silent app."""

EPISODES: dict[tuple[str, str], list[tuple[int, int | None]]] = {
    ("ErrorBurstFast", "ops-agent"): [(1700161340, 1700161750)],
    ("ErrorRateHigh", "ops-agent"): [(1700161470, None)],
    ("LatencyShift", "translate"): [(1700161170, 1700162070)],
    ("TTFTShift", "translate"): [(1700161260, 1700162070)],
    ("OutputSpeedDrop", "translate"): [(1700161380, 1700161950)],
    ("CostPerRequestShift", "doc-summary"): [(1700160600, 1700161320)],
    ("NoTraffic", "research-agent"): [(1700161620, None)],
    ("UnpricedModel", "mail-drafts"): [(1700161110, None)],
    ("SpendRunaway", "code-review"): [(1700160930, 1700161560)],
    ("BudgetSpent", "code-review"): [(1700160960, None)],
    ("CostPerRequestShift", "code-review"): [(1700161080, 1700161710)],
    ("OutputSpeedDrop", "code-review"): [(1700161170, 1700161650)],
}
"""(fired, resolved) of each episode; None: still open when the trace ends."""
STEP_S = {"ErrorBurstFast": 10, "BudgetSpent": 60}
DEFAULT_STEP_S = 30


def check(outcome: Outcome) -> None:
    report = outcome.report
    sent = (report.requests, report.input_tokens, report.output_tokens)
    assert sent == (REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS)
    assert outcome.raw == {
        "n": REQUESTS, "ids": REQUESTS, "tokens_in": INPUT_TOKENS, "tokens_out": OUTPUT_TOKENS,
    }  # fmt: skip
    assert outcome.windows == dict.fromkeys((10, 60, 3600), sent)
    check_episodes(outcome.episodes)
    repeated = [i for i, records in outcome.records_by_id.items() if len(records) != 1]
    assert repeated == []


def check_episodes(episodes: list[Episode]) -> None:
    found: dict[tuple[str, str], list[Episode]] = {}
    for episode in episodes:
        found.setdefault((episode.rule, episode.app), []).append(episode)
    # Everything that fired, the engine's alerts about itself (they have no app) included: a
    # process that is back within seconds is no stall.
    assert set(found) == set(EPISODES)
    for key, expected in EPISODES.items():
        step_s = STEP_S.get(key[0], DEFAULT_STEP_S)
        seen = sorted(found[key], key=lambda e: e.fired_s)
        assert [e.fired_s for e in seen] == [
            [pytest.approx(fired, abs=step_s)] for fired, _ in expected
        ], key
        assert [e.resolved_s for e in seen] == [
            [] if resolved is None else [pytest.approx(resolved, abs=step_s)]
            for _, resolved in expected
        ], key


def test_the_episodes_expected_here_follow_from_the_events_and_the_rules_alone() -> None:
    assert all_episodes(azure_with_incidents(SEED)) == EPISODES


def test_an_end_that_is_lost_late_or_doubled_would_be_noticed() -> None:
    def seen(*of_burst: float) -> list[Episode]:
        return [
            Episode(
                rule, app, [fired],
                list(of_burst) if rule == "ErrorBurstFast" else [resolved] if resolved else [],
            )
            for (rule, app), expected in EPISODES.items()
            for fired, resolved in expected
        ]  # fmt: skip

    ((_, end),) = EPISODES["ErrorBurstFast", "ops-agent"]
    assert end is not None
    check_episodes(seen(end))
    for wrong in ((), (end + 30,), (end, end)):
        with pytest.raises(AssertionError):
            check_episodes(seen(*wrong))


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_kill_of_each_process_changes_neither_counts_nor_episodes(tmp_path: Path) -> None:
    kills = ("metrics", "store", "alerts", "kafka")
    check(replay_under_kills(tmp_path, kills=kills, seed=SEED, speed=120, pause_s=(2, 5)))


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["metrics", "store", "alerts", "kafka"])
def test_five_kills_of_one_process_change_neither_counts_nor_episodes(
    tmp_path: Path, name: str
) -> None:
    kills = (name,) * 5
    check(replay_under_kills(tmp_path, kills=kills, seed=SEED, speed=60, pause_s=(4, 8)))

"""kill -9 of every process of the stack in mid-replay: counts exact, the same alert episodes.

The episodes are those of the Azure trace with the incidents of seed 7, in the trace's own time
(seconds since the epoch). Each follows by hand from the truth file and the rule's definition: the
first step of the rule's grid at which its window holds the condition, plus `for`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.under_kills import Outcome, replay_under_kills

SEED = 7
REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS = 19_969, 165_143_160, 4_351_270
"""The trace's 19,366 requests and 603 of the runaway agent, less those of the silent app."""

EPISODES = {
    ("ErrorBurstFast", "ops-agent"): [1700161340],
    ("ErrorRateHigh", "ops-agent"): [1700161470],
    ("LatencyShift", "translate"): [1700161170],
    ("TTFTShift", "translate"): [1700161260],
    ("OutputSpeedDrop", "translate"): [1700161380],
    ("CostPerRequestShift", "doc-summary"): [1700160600],
    ("NoTraffic", "research-agent"): [1700161620],
    ("UnpricedModel", "mail-drafts"): [1700161110],
    ("SpendRunaway", "code-review"): [1700160930],
    ("BudgetSpent", "code-review"): [1700160960],
    ("CostPerRequestShift", "code-review"): [1700161080],
    ("OutputSpeedDrop", "code-review"): [1700161170],
}
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
    found: dict[tuple[str, str], list[float]] = {}
    for rule, app, fired_s in outcome.episodes:
        found.setdefault((rule, app), []).append(fired_s)
    # Everything that fired, the engine's alerts about itself (they have no app) included: a
    # process that is back within seconds is no stall.
    assert set(found) == set(EPISODES)
    for key, fired in EPISODES.items():
        step_s = STEP_S.get(key[0], DEFAULT_STEP_S)
        assert found[key] == [pytest.approx(s, abs=step_s) for s in fired], key
    twins = [i for i, contents in outcome.contents_by_id.items() if len(contents) != 1]
    assert twins == []


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

"""The evaluator in this process, on a real Kafka and a store that fails at a chosen query."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting.evaluation.evaluator import Evaluator
from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.alerting.kafka_io import identities, read_back
from streamgauge.alerting.settings import AlertSettings
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S, ROUND_LIMIT_S, Watchdog
from streamgauge.contracts.clock import ManualClock, SystemClock
from streamgauge.contracts.errors import Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.topics import ALERT_EVALS
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import Feed, steady
from tests.support.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
RULES = """rules:
  - {name: ByApp, kind: threshold, metric: requests, window: 1m, value: 100, severity: info,
     group_by: [app]}
  - {name: ByModel, kind: threshold, metric: requests, window: 1m, value: 100, severity: info,
     group_by: [app, model]}
  - {name: ByEnv, kind: threshold, metric: requests, window: 1m, value: 100000, severity: info,
     group_by: [env]}
"""
Rows = Sequence[Sequence[Any]]


@pytest.fixture
def dog_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ended() -> list[bool]:
    return []


@pytest.fixture
def dog(dog_clock: ManualClock, ended: list[bool]) -> Watchdog:
    return Watchdog(clock=dog_clock, limit_s=ROUND_LIMIT_S, end=lambda: ended.append(True))


@pytest.fixture
def evaluator(
    settings: KafkaSettings, store: StoreSettings, tmp_path: Path, dog: Watchdog
) -> Iterator[Evaluator]:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    made = Evaluator(
        AlertSettings(settings, store, rules, clock_mode="live"),
        clock=SystemClock(),
        alive=lambda: dog.alive("evaluator"),
    )
    yield made
    made.close()


def early(settings: KafkaSettings) -> set[str]:
    """Rules with a record of an open window in the log."""
    (log,) = identities(settings, ALERT_EVALS)
    records = [
        parse_record(LoggedEvaluation, m.value() or b"")
        for p in range(log.partitions)
        for m in read_back(settings, log.name, p, clock=SystemClock())
    ]
    return {r.rule for r in records if not r.final}


def second_fails_once(ask: Callable[[str, Mapping[str, Any]], Rows]) -> Callable[..., Rows]:
    asked = []

    def hiccups(sql: str, parameters: Mapping[str, Any]) -> Rows:
        asked.append(sql)
        if len(asked) == 2:
            raise Unreachable("the store was away for one query")
        return ask(sql, parameters)

    return hiccups


def test_early_breach_is_said_though_the_store_failed_at_a_later_query_of_its_round(
    evaluator: Evaluator, feed: Feed, settings: KafkaSettings
) -> None:
    feed.rows(steady("agent", T0, T0 + 10 * MINUTE))
    feed.tick(T0 + 9 * MINUTE, behind=True)
    until(lambda: evaluator.run_once() or evaluator.health.clock_ms, "a clock")
    feed.rows([{"t_ms": T0 + 9 * MINUTE + 5000, "app": "agent", "n": 500}])
    evaluator.answers.ask = second_fails_once(evaluator.answers.ask)
    feed.tick(T0 + 9 * MINUTE, behind=True, max_ts=T0 + 9 * MINUTE + 5000)
    until(lambda: evaluator.run_once() and evaluator.health.store == "ok", "a round with records")
    assert early(settings) == {"ByApp", "ByModel"}


def test_round_of_slow_queries_is_not_taken_for_a_call_that_never_returns(
    evaluator: Evaluator, feed: Feed, dog: Watchdog, dog_clock: ManualClock, ended: list[bool]
) -> None:
    feed.rows(steady("agent", T0, T0 + 10 * MINUTE))
    asked, ask = [], evaluator.answers.ask

    def slow(sql: str, parameters: Mapping[str, Any]) -> Rows:
        asked.append(sql)
        rows = ask(sql, parameters)
        dog_clock.advance(CALL_TIMEOUT_S)
        dog.check()
        return rows

    evaluator.answers.ask = slow
    feed.tick(T0 + 9 * MINUTE)

    def watched() -> int:
        with dog.watch("evaluator"):
            return evaluator.run_once()

    until(lambda: watched() and len(asked) > 2, "a round with records")
    assert len(asked) * CALL_TIMEOUT_S > ROUND_LIMIT_S
    assert ended == []

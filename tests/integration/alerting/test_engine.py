"""The whole engine on a real Kafka and a real ClickHouse engine: rows and ticks in, alerts out."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from streamgauge.alerting import AlertSubscriber, fire_test
from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.alerting.kafka_io import identities, read_back
from streamgauge.contracts.alerts import Alert, AlertStatus, Transition
from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.cloudevents import from_headers
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.topics import ALERT_EVALS, ALERTS
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from tests.support.alert_engine import PARTITIONS, Feed, evaluated, steady
from tests.support.kafka import create_topics
from tests.support.waiting import until
from tests.support.workers import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

T0 = 1_750_000_200_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
Make = Callable[..., WorkerProcess]


def collect(sub: AlertSubscriber, count: int, timeout_s: float = 60.0) -> list[Alert]:
    """The next `count` alerts, or as many as come before nothing comes for timeout_s."""
    got: list[Alert] = []
    for alert in sub.iter(timeout=timeout_s):
        got.append(alert)
        if len(got) >= count:
            break
    return got


def burst(feed: Feed, app: str, first: int, last: int, end: int) -> None:
    """Traffic of `end` minutes with every call failing in [first, last)."""
    feed.rows(steady(app, T0, T0 + first * MINUTE))
    feed.rows(steady(app, T0 + first * MINUTE, T0 + last * MINUTE, errors=9))
    feed.rows(steady(app, T0 + last * MINUTE, T0 + end * MINUTE))


def test_error_burst_reaches_a_subscriber_and_its_sql_reproduces_the_value(
    engine: Make, feed: Feed, settings: KafkaSettings, store: StoreSettings
) -> None:
    burst(feed, "search", 40, 45, 60)
    feed.rows(steady("chat", T0, T0 + 60 * MINUTE))
    process = engine()
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}) as sub:
        for minute in range(5, 56):
            feed.tick(T0 + minute * MINUTE)
        fired, resolved = collect(sub, 2)
    assert fired.transition is Transition.FIRED
    assert fired.labels["app"] == "search"
    # 90 % of calls fail from minute 40 on: 7 of the 12 panes of 2 min make 52.5 %, 6 only 45 %.
    assert fired.fired_at is not None
    assert round(fired.fired_at.timestamp() * 1000) == T0 + 40 * MINUTE + 70_000
    assert resolved.status is AlertStatus.RESOLVED
    assert resolved.episode == fired.episode
    assert fired.runbook_url is not None
    assert fired.runbook_url.endswith("ErrorBurstFast.md")
    with connect(store) as client:
        for alert in (fired, resolved):
            assert alert.query is not None
            assert alert.query.startswith("SELECT")
            value = client.query(alert.query)[0]["value"]
            assert value == pytest.approx(alert.value)

        def counts() -> list[dict[str, Any]]:
            found = client.query(
                "SELECT id, count() AS c FROM alerts WHERE kind = 0"
                " AND rule = 'ErrorBurstFast' GROUP BY id"
            )
            return found if len(found) >= 3 else []  # fired, recovering, resolved

        stored = until(counts, "three transitions in the table alerts")
    assert all(row["c"] == 1 for row in stored)
    assert process.stop() == 0


def test_three_kills_in_mid_run_leave_the_same_episodes_each_id_once(
    engine: Make, feed: Feed, settings: KafkaSettings, store: StoreSettings
) -> None:
    # Three bursts by hand: minutes 40-45, 60-64 and 75-80. Each fires 70 s after its start
    # (7 of 12 panes at 90 %); nothing else in this traffic may fire this rule.
    feed.rows(steady("search", T0, T0 + 95 * MINUTE))
    for first, last in ((40, 45), (60, 64), (75, 80)):
        feed.rows(
            [
                {"t_ms": t, "app": "search", "errors": 9, "n": 0}
                for t in range(T0 + first * MINUTE, T0 + last * MINUTE, 10_000)
            ]
        )
    process = engine()
    with AlertSubscriber(
        settings, match={"rule": "ErrorBurstFast"}, include={"recovering"}, from_start=True
    ) as sub:
        got: list[Alert] = []
        for minute in range(5, 95):
            feed.tick(T0 + minute * MINUTE)
            if minute in (41, 62, 78):
                # in the middle of whatever it does: it has begun to work on this very tick
                got += collect(sub, 1, timeout_s=0.5)
                process.kill()
                process.start()
        while sum(a.status is AlertStatus.RESOLVED for a in got) < 3:
            got += collect(sub, 1) or pytest.fail(f"no third end: {got}")
        got += list(sub.iter(timeout=3))
    fires = [
        round((a.updated_at.timestamp() * 1000 - T0) / 1000)
        for a in got
        if a.transition is Transition.FIRED
    ]
    assert fires == [40 * 60 + 70, 60 * 60 + 70, 75 * 60 + 70]
    assert [a.seq for a in got] == list(range(1, len(got) + 1)), "no record lost, none doubled"
    assert len([a for a in got if a.status is AlertStatus.RESOLVED]) == 3
    raw = everything(settings)
    contents: dict[str, set[bytes]] = {}
    for record_id, value in raw:
        contents.setdefault(record_id, set()).add(value)
    assert all(len(v) == 1 for v in contents.values()), "one content per id"
    assert len(raw) == len(contents), "a read_committed reader sees each id once"
    steps = evaluated(settings)
    assert len(steps) == len(set(steps)), "no step of a rule was recorded twice"
    for rule, every in (("ErrorBurstFast", 10_000), ("LatencyShift", 30_000)):
        mine = [s for r, s in steps if r == rule]
        assert mine == list(range(mine[0], mine[-1] + 1, every)), f"a gap in the steps of {rule}"
    assert process.stop() == 0


def everything(settings: KafkaSettings) -> list[tuple[str, bytes]]:
    """Id and bytes of each committed alert record, read without our subscriber."""
    identity = identities(settings, ALERTS)[0]
    return [
        (from_headers(dict(m.headers() or []).items()).id, m.value() or b"")
        for p in range(identity.partitions)
        for m in read_back(settings, identity.name, p, clock=SystemClock())
    ]


def test_a_zombie_of_the_same_name_is_fenced_and_ends(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    burst(feed, "search", 40, 45, 60)
    first = engine()
    assert first.process is not None
    feed.tick(T0 + 35 * MINUTE)
    until(lambda: evaluated(settings), "the first engine at work")
    first.process.send_signal(signal.SIGSTOP)
    second = engine()
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}, from_start=True) as sub:
        for minute in range(36, 57):
            feed.tick(T0 + minute * MINUTE)
        assert len(collect(sub, 2)) == 2, "the second engine has taken over"
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(60) == 1, "a fenced engine ends with exit code 1"
    assert "has taken over" in first.log.read_text()
    raw = everything(settings)
    assert len(raw) == len({i for i, _ in raw}), "the zombie wrote nothing"
    assert second.stop() == 0


def test_fire_test_goes_through_the_engine_and_comes_back_twice(
    engine: Make, settings: KafkaSettings
) -> None:
    process = engine()
    fired, resolved = fire_test(settings, severity="page", labels={"team": "core"}, timeout_s=60)
    assert fired.labels["test"] == "true"
    assert fired.labels["team"] == "core"
    assert (fired.status, resolved.status) == (AlertStatus.FIRING, AlertStatus.RESOLVED)
    assert fired.runbook_url == "deploy/runbooks/FireTest.md"
    assert (fired.query, resolved.query) == ("SELECT 1 AS value", "SELECT 0 AS value")
    assert process.stop() == 0


def test_current_then_live_has_no_gap_and_no_double(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    burst(feed, "search", 40, 45, 60)
    engine()
    feed.tick(T0 + 35 * MINUTE)
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}) as early:
        feed.tick(T0 + 42 * MINUTE)
        (fired,) = collect(early, 1)
    with AlertSubscriber(settings, match={"severity": "page"}) as late:
        assert [a.id for a in late.current()] == [fired.id]
        for minute in range(43, 57):
            feed.tick(T0 + minute * MINUTE)
        (after,) = collect(late, 1)
    assert (after.episode, after.status) == (fired.episode, AlertStatus.RESOLVED)


def test_removed_rule_resolves_its_alert_and_a_broken_file_keeps_the_old_rules_over_a_kill(
    engine: Make, feed: Feed, settings: KafkaSettings, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    text = (
        "rules:\n"
        "  - {name: A, kind: threshold, metric: requests, window: 1m, value: 5, severity: info}\n"
        "  - {name: B, kind: threshold, metric: requests, window: 1m, value: 5, severity: info}\n"
    )
    rules.write_text(text)
    feed.rows(steady("search", T0, T0 + 20 * MINUTE))
    kept = {"STREAMGAUGE_RULES": str(rules), "STREAMGAUGE_RULES_KEPT": str(tmp_path / "kept")}
    process = engine(**kept)
    with AlertSubscriber(settings, from_start=True) as sub:
        feed.tick(T0 + 5 * MINUTE)
        assert {a.rule for a in collect(sub, 2)} == {"A", "B"}
        rules.write_text(text.replace("metric: requests", "metrik: requests"))
        (refused,) = collect(sub, 1)
        assert (refused.rule, refused.severity) == ("RulesRefused", "page")
        assert "metrik" in str(refused.evidence)
        process.kill()
        process = engine(**kept)
        until(lambda: "rules_refused" in process.log.read_text(), "the refusal in the log")
        rules.write_text(
            "".join(line for line in text.splitlines(keepends=True) if "name: B" not in line)
        )
        ended = {a.rule: (a.status, a.reason) for a in collect(sub, 2)}
        assert ended["B"] == (AlertStatus.RESOLVED, "rule_removed")
        assert ended["RulesRefused"][0] == AlertStatus.RESOLVED
        assert process.process is not None
        assert process.process.poll() is None


def test_silence_of_all_writers_raises_ingest_stalled_and_a_tick_ends_it(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    engine(STREAMGAUGE_ALERTS_NO_TICKS_S="2", STREAMGAUGE_ALERTS_STALL_S="3")
    with AlertSubscriber(settings, from_start=True) as sub:
        (silent,) = collect(sub, 1)
        assert silent.rule == "IngestStalled"
        assert silent.severity == "page"
        feed.tick(T0)
        (heard,) = collect(sub, 1)
        assert (heard.rule, heard.status) == ("IngestStalled", AlertStatus.RESOLVED)


def test_a_source_that_stands_still_with_unread_events_raises_watermark_stalled(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    engine(STREAMGAUGE_ALERTS_NO_TICKS_S="60", STREAMGAUGE_ALERTS_STALL_S="2")
    with AlertSubscriber(settings, match={"rule": "WatermarkStalled"}, from_start=True) as sub:
        got: list[Alert] = []
        for _ in range(60):
            feed.tick(T0, behind=True)
            got += collect(sub, 1, timeout_s=0.5)
            if got:
                break
        assert got[0].labels["source"] == "metrics"
        feed.tick(T0 + MINUTE)
        (after,) = collect(sub, 1)
        assert after.status is AlertStatus.RESOLVED


def test_topics_made_anew_are_noticed_and_the_engine_goes_on(
    engine: Make, settings: KafkaSettings
) -> None:
    process = engine()
    (first, _) = fire_test(settings, timeout_s=60)
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    names = [settings.topic(t) for t in (ALERT_EVALS, ALERTS)]
    before = identities(settings, ALERT_EVALS, ALERTS)
    for future in admin.delete_topics(names).values():
        future.result()
    create_again(settings)
    assert [t.name for t in before] == names
    assert identities(settings, ALERT_EVALS, ALERTS) != before
    until(lambda: "made anew" in process.log.read_text(), "the notice in the log")
    again, end = fire_test(settings, timeout_s=90)
    assert again.seq == 1, "the new topic begins anew"
    assert again.fingerprint == first.fingerprint
    assert end.status is AlertStatus.RESOLVED
    assert process.stop() == 0


def create_again(settings: KafkaSettings) -> None:
    """Create the topics, again while the broker is still deleting."""

    def there() -> bool:
        create_topics(settings.bootstrap, settings.prefix, partitions=PARTITIONS)
        try:
            return len(identities(settings, ALERT_EVALS, ALERTS)) == 2
        except StreamgaugeError:
            return False

    until(there, "the topics")


@pytest.mark.parametrize(
    ("env", "code", "words"),
    [
        ({"STREAMGAUGE_TOPIC_PREFIX": "nowhere."}, 2, "topics create"),
        ({"STREAMGAUGE_RULES": "/nonexistent.yml"}, 2, "does not exist"),
        ({"STREAMGAUGE_CLOCK_MODE": "fast"}, 2, "live or replay"),
        ({"STREAMGAUGE_ALERTS_INSTANCE": "a/b"}, 2, "STREAMGAUGE_ALERTS_INSTANCE='a/b'"),
    ],
)
def test_wrong_settings_end_it_with_one_line(
    engine: Make, env: dict[str, str], code: int, words: str
) -> None:
    process = engine(**env)
    assert process.process is not None
    assert process.process.wait(60) == code
    text = process.log.read_text()
    assert words in text
    assert "Traceback" not in text


def test_a_forged_record_from_the_future_silences_no_rule(
    engine: Make, feed: Feed, settings: KafkaSettings
) -> None:
    burst(feed, "search", 40, 45, 60)
    feed.rows(steady("chat", T0, T0 + 60 * MINUTE))
    process = engine()
    for minute in range(5, 30):
        feed.tick(T0 + minute * MINUTE)
    log_id = identities(settings, ALERT_EVALS)[0]

    def evaluated() -> list[tuple[int, bytes]]:
        found = []
        for partition in range(PARTITIONS):
            for message in read_back(settings, log_id.name, partition, clock=SystemClock()):
                record = parse_record(LoggedEvaluation, message.value() or b"")
                if record.rule == "ErrorBurstFast" and record.final:
                    found.append((partition, message.value() or b""))
        return found

    partition, value = until(evaluated, "steps of the rule are in the log")[-1]
    forged = {**json.loads(value), "step_ms": 99_999_999_999_999}
    producer = Producer(settings.librdkafka())
    producer.produce(log_id.name, json.dumps(forged), key="ErrorBurstFast", partition=partition)
    assert producer.flush(20) == 0
    process.kill()  # the evaluator reads its last step from the log, the machine its state
    process.start()
    with AlertSubscriber(settings, match={"rule": "ErrorBurstFast"}) as sub:
        for minute in range(30, 56):
            feed.tick(T0 + minute * MINUTE)
        fired, resolved = collect(sub, 2)
    assert fired.transition is Transition.FIRED
    assert resolved.status is AlertStatus.RESOLVED

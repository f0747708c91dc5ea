"""A test alert, through the real engine: does it reach a subscriber?

Puts a breach and its end into the evaluation log under the reserved rule `FireTest`; the state
machine makes the alert (fired, then resolved; labels test="true"), the history writer stores it.
Out: the transitions, as a subscriber of its own received them.
"""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException, Producer

from streamgauge.alerting.evaluation.policy import RUNBOOK_BASE
from streamgauge.alerting.evaluation.self_alerts import FIRE_TEST, VERSION
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.subscriber import AlertSubscriber
from streamgauge.contracts.alerts import Alert, AlertStatus, Severity
from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import to_json_bytes, to_ms
from streamgauge.contracts.topics import ALERT_EVALS


def fire_test(
    settings: KafkaSettings,
    *,
    severity: str = "info",
    labels: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
    clock: Clock | None = None,
    runbook_base: str = RUNBOOK_BASE,
) -> list[Alert]:
    """Fire and resolve a test alert; the two transitions, in order.

    labels: further labels, such as app or team, to test routes with. Unreachable if the alert does
    not come back within timeout_s: the engine does not run, or the broker does not answer.
    runbook_base: what stands before the runbook's file name.
    """
    clock = clock or SystemClock()
    now = clock.now_ms()
    level = Severity(severity)
    with AlertSubscriber(settings, match={"rule": FIRE_TEST}, clock=clock) as subscriber:
        runbook = f"{runbook_base}{FIRE_TEST}.md"
        own = labels or {}
        _publish(settings, [_record(now, level, own, runbook, breach=True),
                            _record(now + 1, level, own, runbook, breach=False)])  # fmt: skip
        got: list[Alert] = []
        for alert in subscriber.iter(timeout=timeout_s):
            if alert.starts_at is not None and to_ms(alert.starts_at) == now:
                got.append(alert)
                if alert.status is AlertStatus.RESOLVED:
                    return got
    raise Unreachable(
        f"the test alert did not come back within {timeout_s:g} s",
        hint="is the alert engine running? `streamgauge status`",
    )


def _record(
    step_ms: int, level: Severity, labels: Mapping[str, str], runbook_url: str, *, breach: bool
) -> LoggedEvaluation:
    own = {**labels, "test": "true"}
    return LoggedEvaluation(
        v=1,
        rule=FIRE_TEST,
        rule_version=VERSION,
        step_ms=step_ms,
        watermark_ms=step_ms,
        completeness=1.0,
        final=True,
        live=True,  # its step is wall time, whatever moves the clock of the rules
        series=(
            LoggedSeries(
                labels=own,
                value=1.0 if breach else 0.0,
                n=1,
                breach=str(level) if breach else None,
                zone="breach" if breach else "ok",
            ),
        ),
        policy=Policy(
            kind="test",
            unit="",
            levels={level: 1.0},
            dimensions=tuple(own),
            annotations={"summary": "This is a test. Nothing is wrong."},
            query=f"SELECT {int(breach)} AS value",
            runbook_url=runbook_url,
            window_ms=1000,
        ),
    )


def _publish(settings: KafkaSettings, records: list[LoggedEvaluation]) -> None:
    producer = Producer(
        settings.librdkafka(partitioner="murmur2_random", acks="all", message_timeout_ms=10_000)
    )
    failures: list[str] = []
    try:
        for record in records:
            producer.produce(
                settings.topic(ALERT_EVALS), to_json_bytes(record), key=record.rule,
                on_delivery=lambda e, _: failures.append(e.str()) if e is not None else None,
            )  # fmt: skip
    except KafkaException as e:
        failures.append(e.args[0].str())
    if producer.flush(15) or failures:
        raise Unreachable(f"Kafka at {settings.bootstrap}: {(failures or ['no answer'])[0]}")

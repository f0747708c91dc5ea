"""Alerts as Kafka records, both ways: CloudEvents headers and the JSON of contracts.alerts.

In: an `Alert`, or a message of the alerts topic. Out: value and headers, or an `Alert`. No clients.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamgauge.contracts.alerts import CE_TYPE, Alert
from streamgauge.contracts.cloudevents import CloudEvent, Headers
from streamgauge.contracts.records import parse_record, rfc3339, to_json_bytes

CE_SOURCE = "/streamgauge/alerting"
SCHEMA = "urn:streamgauge:schema:v1:alert"
ROUTING = ("app", "team", "tenant", "env")


def to_record(alert: Alert) -> tuple[bytes, Headers]:
    """Value and headers of an alert. Same alert, same bytes."""
    plain = {
        "status": str(alert.status),
        "severity": str(alert.severity),
        "rule": alert.rule,
        "seq": str(alert.seq),
        "epoch": str(alert.epoch),
        **{name: alert.labels[name] for name in ROUTING if name in alert.labels},
    }
    event = CloudEvent(
        id=alert.id,
        source=CE_SOURCE,
        type=CE_TYPE,
        time=rfc3339(alert.updated_at),
        subject=alert.rule,
        partitionkey=alert.fingerprint,
        dataschema=SCHEMA,
        plain=plain,
    )
    return to_json_bytes(alert), event.headers()


def from_record(value: bytes) -> Alert:
    """The alert of a message's value; BadInput if it is none."""
    return parse_record(Alert, value)


def latest(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """Last record per fingerprint: the highest seq, never the last in the log."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        before = found.get(alert.fingerprint)
        if before is None or (alert.epoch, alert.seq) > (before.epoch, before.seq):
            found[alert.fingerprint] = alert
    return found

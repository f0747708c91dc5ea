"""What needs no broker: imports, arguments, the Alertmanager body."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from streamgauge.alerting import AlertSubscriber, to_alertmanager_v4
from streamgauge.alerting.alert_log import to_record
from streamgauge.alerting.evaluation_log import LoggedEvaluation, LoggedSeries, Policy
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts.alerts import Alert, Severity
from streamgauge.contracts.cloudevents import from_headers
from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.ports import free_ports

SERVER = (
    "faust", "aiokafka", "clickhouse_connect", "pyarrow", "numpy", "scipy", "chdb", "yaml", "click",
    "msgspec", "aiohttp", "jinja2", "genai_prices", "rich", "prometheus_client",
)  # fmt: skip


def fired() -> Alert:
    record = LoggedEvaluation(
        v=1, rule="R", rule_version="1", step_ms=60_000, watermark_ms=60_000, completeness=1.0,
        final=True, policy=Policy(kind="ratio", unit="ratio", levels={Severity.PAGE: 0.5}),
        series=(LoggedSeries(labels={"app": "a"}, value=0.7, n=9, breach="page", zone="breach"),),
    )  # fmt: skip
    (alert,) = step(RuleState(), record)[1]
    return alert


def test_a_broker_that_is_away_is_one_traceback_that_ends_with_its_address() -> None:
    (port,) = free_ports(1)
    code = (
        "from streamgauge.alerting import AlertSubscriber;"
        f"AlertSubscriber('127.0.0.1:{port}', timeout_s=0.5)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert said.count("Traceback") == 1
    assert f"127.0.0.1:{port}" in said.splitlines()[-1]


def test_importing_the_subscriber_loads_no_server_package() -> None:
    code = (
        "import sys, json; from streamgauge.alerting import AlertSubscriber;"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    loaded = json.loads(subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout)  # fmt: skip
    assert not set(SERVER) & set(loaded)


def test_unknown_include_is_refused_before_any_connection() -> None:
    with pytest.raises(Misconfigured, match="pending"):
        AlertSubscriber("localhost:1", include={"everything"})


def test_record_has_cloudevents_headers_and_routing_headers() -> None:
    alert = fired()
    _, headers = to_record(alert)
    event = from_headers(headers)
    assert (event.id, event.subject, event.partitionkey) == (alert.id, "R", alert.fingerprint)
    assert event.type == "io.streamgauge.alert.transition.v1"
    assert event.plain["status"] == "firing"
    assert event.plain["severity"] == "page"
    assert event.plain["app"] == "a"


def test_alertmanager_body_has_its_names_and_states() -> None:
    body = to_alertmanager_v4([fired()])
    assert body["version"] == "4"
    assert body["status"] == "firing"
    (alert,) = body["alerts"]
    assert alert["startsAt"] == "1970-01-01T00:01:00+00:00"
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert body["commonLabels"] == {"alertname": "R", "app": "a", "severity": "page"}

"""A worker with a wrong setting says so in one line and exits with 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.pass_through import require_known
from streamgauge.stream_processors.core import endpoint
from streamgauge.stream_processors.core.health import Vitals


@pytest.mark.parametrize("worker", ["metrics", "scores", "drift"])
def test_an_unknown_log_level_is_one_clear_line(worker: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"streamgauge.stream_processors.{worker}.main"],
        env={**os.environ, "STREAMGAUGE_LOG_LEVEL": "loud"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "STREAMGAUGE_LOG_LEVEL='LOUD'" in line
    assert "DEBUG, INFO, WARNING or ERROR" in line


def test_a_metrics_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"127\.0\.0\.1:{port}.*in use"):
            endpoint.serve("127.0.0.1", port, Vitals(time.monotonic), {})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("STREAMGAUGE_KAFKA_FOO", "bar", 'No such configuration property: "foo"'),
        ("STREAMGAUGE_KAFKA_SECURITY_PROTOCOL", "x", "Invalid value"),
        ("STREAMGAUGE_TOPIC_PREFIX", "bad topic/", "STREAMGAUGE_TOPIC_PREFIX='bad topic/'"),
        ("STREAMGAUGE_CLOCK_MODE", "x", "STREAMGAUGE_CLOCK_MODE='x'"),
        ("STREAMGAUGE_TEXTS", "maybe", "STREAMGAUGE_TEXTS='maybe'"),
        ("STREAMGAUGE_FLUSH_EVENTS", "\u0663\u0660\u0660", "STREAMGAUGE_FLUSH_EVENTS="),
        ("STREAMGAUGE_STORE_PASSWORD_FILE", sys.executable, "it is no text"),
        ("STREAMGAUGE_INSTANCE", "i" * 101, "STREAMGAUGE_INSTANCE="),
        ("STREAMGAUGE_STATIC_ID", "a b/c", "STREAMGAUGE_STATIC_ID='a b/c'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line_before_anything_is_tried(
    name: str, value: str, said: str
) -> None:
    services = {
        "STREAMGAUGE_BOOTSTRAP": "127.0.0.1:1",
        "STREAMGAUGE_STORE_URL": "http://127.0.0.1:1",
    }
    own = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
    done = subprocess.run(
        [sys.executable, "-m", "streamgauge.stream_processors.metrics.main"],
        env={**own, **services, name: value},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert said in line


def test_settings_that_librdkafka_knows_are_passed_through() -> None:
    env = {
        "STREAMGAUGE_BOOTSTRAP": "127.0.0.1:1",
        "STREAMGAUGE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "STREAMGAUGE_KAFKA_SASL_MECHANISM": "PLAIN",
        "STREAMGAUGE_KAFKA_SASL_USERNAME": "somebody",
        "STREAMGAUGE_KAFKA_SASL_PASSWORD": "secret",
        "STREAMGAUGE_KAFKA_CLIENT_ID": "me",
        "STREAMGAUGE_KAFKA_FETCH_MIN_BYTES": "2",
    }
    settings = KafkaSettings.from_env(env)
    assert require_known(settings) is settings

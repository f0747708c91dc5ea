"""Misconfiguration is one clear error at construction; the off switch always wins."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.producers import Client
from streamgauge.producers._settings import resolve

KAFKA = {"app": "shop", "bootstrap": "broker.example:9092"}


@pytest.mark.parametrize(
    ("options", "env", "words"),
    [
        ({}, {}, ("app", "STREAMGAUGE_APP")),
        ({"app": "shop"}, {}, ("no Kafka address", "STREAMGAUGE_BOOTSTRAP", "dry_run")),
        ({"app": ""}, {"STREAMGAUGE_BOOTSTRAP": "b:1"}, ("argument app", "not empty")),
        (KAFKA | {"capture": "some"}, {}, ("argument capture", "'some'", "redacted, full")),
        (KAFKA, {"STREAMGAUGE_CAPTURE": "x"}, ("STREAMGAUGE_CAPTURE", "'x'", "one of")),
        (KAFKA | {"text_probability": 0}, {}, ("text_probability", "'0'", "from 1e-06 to 1")),
        (KAFKA | {"text_probability": float("nan")}, {}, ("text_probability", "expected")),
        (KAFKA, {"STREAMGAUGE_QUEUE_EVENTS": "many"}, ("STREAMGAUGE_QUEUE_EVENTS", "'many'")),
        (KAFKA, {"STREAMGAUGE_DISABLED": "maybe"}, ("STREAMGAUGE_DISABLED", "'maybe'", "1 or 0")),
        (KAFKA | {"hmac_key": "short"}, {}, ("argument hmac_key", "16 bytes", "openssl")),
        (KAFKA | {"mask": 3}, {}, ("argument mask", "function")),
        (KAFKA | {"tags": [1]}, {}, ("argument tags", "map")),
        (KAFKA | {"bootstrap": "http://b:1"}, {}, ("http://b:1", "host:port")),
        (KAFKA | {"kafka": 3}, {}, ("argument kafka", "map")),
        (KAFKA | {"sink": object()}, {}, ("argument sink", "send, poll, purge and close")),
        (KAFKA | {"aap": "x"}, {}, ("no option 'aap'", "it has app, ")),
    ],
)
def test_a_wrong_setting_is_named_with_where_and_how_to_mend(
    options: dict[str, Any], env: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(Misconfigured) as caught:
        resolve(options, env)
    for word in words:
        assert word in str(caught.value)


def test_a_setting_that_librdkafka_refuses_is_found_at_construction() -> None:
    with pytest.raises(Misconfigured, match="nonsense"):
        Client(app="shop", bootstrap="localhost:1", kafka={"nonsense.setting": 1})


def test_a_missing_certificate_file_is_found_at_construction() -> None:
    with pytest.raises(Misconfigured, match=r"ssl\.ca\.location"):
        Client(
            app="shop",
            bootstrap="localhost:1",
            kafka={"security.protocol": "SSL", "ssl.ca.location": "/no-such-file.pem"},
        )


def test_a_secret_never_shows_in_an_error_or_a_repr() -> None:
    with pytest.raises(Misconfigured) as caught:
        resolve({**KAFKA, "hmac_key": "topsecret"}, {})
    assert "topsecret" not in str(caught.value)
    settings = resolve(
        {**KAFKA, "hmac_key": "topsecret-topsecret", "kafka": {"sasl.password": "hush-hush"}}, {}
    )
    assert "topsecret" not in repr(settings)
    assert "hush-hush" not in repr(settings)


def test_an_argument_wins_over_the_environment_and_that_over_the_default() -> None:
    env = {
        "STREAMGAUGE_APP": "from-env",
        "STREAMGAUGE_TENANT": "acme",
        "STREAMGAUGE_BOOTSTRAP": "b:9092",
        "STREAMGAUGE_TAGS": "zone=eu, tier=gold",
        "STREAMGAUGE_KAFKA_LINGER_MS": "5",
        "STREAMGAUGE_TOPIC_PREFIX": "x.",
    }
    settings = resolve({"app": "shop", "kafka": {"linger.ms": 7, "enable.idempotence": False}}, env)
    assert settings.labels == {"app": "shop", "tenant": "acme", "env": "prod"}
    assert settings.tags == {"zone": "eu", "tier": "gold"}
    assert settings.kafka is not None
    assert settings.kafka.prefix == "x."
    assert settings.kafka.extra == {"linger.ms": "7", "enable.idempotence": "false"}
    assert settings.capture == "redacted"


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ({"enabled": False}, {}),
        ({}, {"STREAMGAUGE_DISABLED": "1"}),
        ({"enabled": True, **KAFKA}, {"STREAMGAUGE_DISABLED": "true"}),
        ({"capture": "nonsense"}, {"STREAMGAUGE_DISABLED": "yes"}),
    ],
)
def test_the_off_switch_wins_and_nothing_else_is_checked(
    options: dict[str, Any], env: dict[str, str]
) -> None:
    assert not resolve(options, env).enabled


def test_a_client_that_is_off_does_nothing_at_all() -> None:
    client = Client(enabled=False)
    with client.track(model="m") as call:
        call.set(output_tokens=3)
        call.first_token()
    assert (call.id, client.log(model="m", duration_ms=1), client.feedback("x", name="n")) == (
        "",
        "",
        "",
    )
    assert (client.flush(), client.close(), client.stats().enabled) == (0, 0, False)


def test_nonsense_in_the_off_switch_lets_the_package_be_imported() -> None:
    assert not resolve({"enabled": False}, {"STREAMGAUGE_DISABLED": "maybe"}).enabled
    done = subprocess.run(
        [sys.executable, "-c", "from streamgauge.producers import log; log(model='m')"],
        env={**os.environ, "STREAMGAUGE_DISABLED": "maybe", "STREAMGAUGE_ENABLED": "no idea"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

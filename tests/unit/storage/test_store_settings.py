"""Settings of the store and of retention."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.retention import Retention
from streamgauge.storage.settings import StoreSettings

URL = "http://127.0.0.1:8123"


def test_password_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    settings = StoreSettings.from_env(
        {"STREAMGAUGE_STORE_URL": URL + "/", "STREAMGAUGE_STORE_PASSWORD_FILE": str(path)}
    )
    assert settings == StoreSettings(URL, "streamgauge", "s3cret", "llm")
    assert "s3cret" not in repr(settings)
    assert StoreSettings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "no store address"),
        ({"STREAMGAUGE_STORE_URL": "localhost:8123"}, "not http"),
        ({"STREAMGAUGE_STORE_URL": "http://127.0.0.1:99999"}, "not http"),
        ({"STREAMGAUGE_STORE_URL": "http://[::1"}, "not http"),
        ({"STREAMGAUGE_STORE_URL": "http://me:s3cret@h:1"}, "^the store address holds an account"),
        ({"STREAMGAUGE_STORE_URL": URL, "STREAMGAUGE_STORE_DATABASE": "a`b"}, "database name"),
        (
            {"STREAMGAUGE_STORE_URL": URL, "STREAMGAUGE_STORE_PASSWORD_FILE": "/nowhere/x"},
            "cannot read",
        ),
        (
            {"STREAMGAUGE_STORE_URL": URL, "STREAMGAUGE_STORE_PASSWORD_FILE": sys.executable},
            "it is no text",
        ),
    ],
)
def test_wrong_settings_say_what_is_wrong(env: dict[str, str], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        StoreSettings.from_env(env)


def test_retention_is_read_per_class_and_checked() -> None:
    kept = Retention.from_env({"STREAMGAUGE_KEEP_EVENTS_DAYS": "3"})
    assert kept.ttl("events") == "written_on + toIntervalDay(3) DELETE WHERE kind = 0"
    assert "toIntervalDay(90) DELETE WHERE (kind = 0) AND (resolution = 60)" in kept.ttl("windows")
    for env in ({"STREAMGAUGE_KEEP_NOPE_DAYS": "3"}, {"STREAMGAUGE_KEEP_EVENTS_DAYS": "0"}):
        with pytest.raises(Misconfigured):
            Retention.from_env(env)

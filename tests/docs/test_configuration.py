"""docs/configuration.md has every variable of the code, and its bounds and defaults are real."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting.settings import AlertSettings
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.producers._settings import LABELS, resolve
from streamgauge.storage.retention import DEFAULT_DAYS, Retention
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.metrics.main import build_spec
from streamgauge.stream_processors.reading.requests import label_cap
from streamgauge.stream_processors.scores.settings import ScoreSettings
from streamgauge.stream_processors.settings import WorkerSettings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("producers", "storage", "stream_processors", "alerting", "deploy")
NAME = re.compile(r"STREAMGAUGE_[A-Z0-9_]+[A-Z0-9]")
BASE = {
    "STREAMGAUGE_BOOTSTRAP": "broker:9092",
    "STREAMGAUGE_STORE_URL": "http://store:8123",
    "STREAMGAUGE_APP": "shop",
}
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = {
    m[1]: [c.strip() for c in m[2].split("|")]
    for m in re.finditer(r"^\| `(STREAMGAUGE_[A-Z0-9_*]+)` \| ?(.*)\|$", PAGE, re.MULTILINE)
}
"""Variable -> unit, default, bound, meaning."""

Reader = Callable[[Mapping[str, str]], Any]
READERS: dict[str, tuple[Reader, str]] = {
    "STREAMGAUGE_BOOTSTRAP": (KafkaSettings.from_env, "bootstrap"),
    "STREAMGAUGE_TOPIC_PREFIX": (KafkaSettings.from_env, "prefix"),
    "STREAMGAUGE_STORE_USER": (StoreSettings.from_env, "user"),
    "STREAMGAUGE_STORE_DATABASE": (StoreSettings.from_env, "database"),
    "STREAMGAUGE_CLOCK_MODE": (AlertSettings.from_env, "clock_mode"),
    "STREAMGAUGE_LATENESS_S": (WorkerSettings.from_env, "lateness_s"),
    "STREAMGAUGE_FLUSH_S": (WorkerSettings.from_env, "flush_s"),
    "STREAMGAUGE_FLUSH_EVENTS": (WorkerSettings.from_env, "flush_events"),
    "STREAMGAUGE_FLUSH_BYTES": (WorkerSettings.from_env, "flush_bytes"),
    "STREAMGAUGE_SESSION_S": (WorkerSettings.from_env, "session_s"),
    "STREAMGAUGE_METRICS_HOST": (WorkerSettings.from_env, "metrics_host"),
    "STREAMGAUGE_METRICS_PORT": (WorkerSettings.from_env, "metrics_port"),
    "STREAMGAUGE_LABEL_CAP": (label_cap, ""),
    "STREAMGAUGE_SCORES_SAMPLE": (ScoreSettings.from_env, "default_probability"),
    "STREAMGAUGE_SCORES_THREADS": (ScoreSettings.from_env, "threads"),
    "STREAMGAUGE_SCORES_CACHE": (ScoreSettings.from_env, "cache_size"),
    "STREAMGAUGE_DRIFT_WINDOWS_S": (DriftSettings.from_env, "windows_s"),
    "STREAMGAUGE_DRIFT_MIN_WINDOWS": (DriftSettings.from_env, "min_windows"),
    "STREAMGAUGE_DRIFT_MIN_EVENTS": (DriftSettings.from_env, "min_events_global"),
    "STREAMGAUGE_DRIFT_PREVIOUS_S": (DriftSettings.from_env, "previous_s"),
    "STREAMGAUGE_DRIFT_SEGMENTS": (DriftSettings.from_env, "segments"),
    "STREAMGAUGE_RUNBOOK_BASE": (AlertSettings.from_env, "runbook_base"),
    "STREAMGAUGE_ALERTS_INSTANCE": (AlertSettings.from_env, "instance"),
    "STREAMGAUGE_ALERTS_STALL_S": (AlertSettings.from_env, "stall_s"),
    "STREAMGAUGE_ALERTS_NO_TICKS_S": (AlertSettings.from_env, "no_ticks_s"),
    "STREAMGAUGE_ALERTS_CATCH_UP_S": (AlertSettings.from_env, "max_catch_up_s"),
    "STREAMGAUGE_CAPTURE": (lambda env: resolve({}, env), "capture"),
    "STREAMGAUGE_TEXT_PROBABILITY": (lambda env: resolve({}, env), "text_probability"),
    "STREAMGAUGE_QUEUE_EVENTS": (lambda env: resolve({}, env), "queue_events"),
    "STREAMGAUGE_QUEUE_BYTES": (lambda env: resolve({}, env), "queue_bytes"),
    "STREAMGAUGE_HEARTBEAT_S": (lambda env: resolve({}, env), "heartbeat_s"),
    "STREAMGAUGE_CLOSE_TIMEOUT_S": (lambda env: resolve({}, env), "close_timeout_s"),
}
for _class in DEFAULT_DAYS:
    READERS[f"STREAMGAUGE_KEEP_{_class.upper()}_DAYS"] = (Retention.from_env, f"days {_class}")


def names_in_the_code() -> set[str]:
    found = {
        name
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        for name in NAME.findall(path.read_text(encoding="utf-8"))
    }
    # names that are built from a part: any setting of librdkafka, a label, a class of data
    found = {n for n in found if not n.startswith("STREAMGAUGE_KAFKA")} - {"STREAMGAUGE_KEEP"}
    found |= {f"STREAMGAUGE_{label.upper()}" for label in LABELS}
    found |= {f"STREAMGAUGE_KEEP_{name.upper()}_DAYS" for name in DEFAULT_DAYS}
    return found | {"STREAMGAUGE_KAFKA_*"}


def read(name: str, env: Mapping[str, str]) -> str:
    reader, attribute = READERS[name]
    value = reader(env)
    if attribute.startswith("days "):
        value = value.days[attribute.removeprefix("days ")]
    elif attribute:
        value = getattr(value, attribute)
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return f"{value:.15g}" if isinstance(value, int | float) else str(value)


def test_page_has_every_variable_of_the_code_and_no_other() -> None:
    assert set(ROWS) == names_in_the_code()


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_variable_has_a_meaning_and_few_words_more(name: str) -> None:
    unit, default, bound, meaning = ROWS[name]
    assert meaning
    assert len(meaning) < 160
    if re.match(r">= |[\d.]+ to \d+$", bound):
        assert unit or name == "STREAMGAUGE_METRICS_PORT", "a number has a unit"
        assert default


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"STREAMGAUGE_BOOTSTRAP"}))
def test_default_of_the_page_is_what_an_unset_variable_gives(name: str) -> None:
    assert read(name, BASE) == ROWS[name][1].strip("`")


def bounded() -> list[str]:
    return sorted(n for n, row in ROWS.items() if re.match(r">= |[\d.]+ to [\d.]+$", row[2]))


@pytest.mark.parametrize("name", bounded())
def test_bounds_of_the_page_are_taken_and_what_lies_beyond_is_refused(name: str) -> None:
    bound = ROWS[name][2].removeprefix(">= ").split(" to ")
    low, high = bound[0], bound[-1] if len(bound) == 2 else None
    kept = name.removeprefix("STREAMGAUGE_KEEP_").removesuffix("_DAYS").lower()
    for taken in bound:
        assert float(read(name, BASE | {name: taken})) == float(taken)
    beyond = [f"{float(low) - 1:g}", "many"]
    if high is not None:
        beyond.append(str(int(float(high)) + 1))
    for refused in beyond:
        with pytest.raises(Misconfigured, match=f"{name}|keep {kept} "):
            read(name, BASE | {name: refused})


@pytest.mark.parametrize("name", ["STREAMGAUGE_CLOCK_MODE", "STREAMGAUGE_CAPTURE"])
def test_words_of_the_page_are_taken_and_others_refused(name: str) -> None:
    for word in ROWS[name][2].split(", "):
        assert read(name, BASE | {name: word}) == word
    with pytest.raises(Misconfigured, match=name):
        read(name, BASE | {name: "sometimes"})


def test_texts_are_stored_only_when_they_are_switched_on() -> None:
    assert "texts" not in build_spec({}).processor.tables
    for word in ROWS["STREAMGAUGE_TEXTS"][2].split(", "):
        assert "texts" in build_spec({"STREAMGAUGE_TEXTS": word}).processor.tables

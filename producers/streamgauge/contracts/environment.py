"""Settings that several services read from the environment, and how a bounded number is read.

Addresses are elsewhere: kafka.py, and the store's in streamgauge.storage. Imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from streamgauge.contracts.errors import Misconfigured

ENV_CLOCK_MODE = "STREAMGAUGE_CLOCK_MODE"
ENV_LATENESS = "STREAMGAUGE_LATENESS_S"
ENV_METRICS_PORT = "STREAMGAUGE_METRICS_PORT"
ENV_RULES = "STREAMGAUGE_RULES"
ENV_RULES_KEPT = "STREAMGAUGE_RULES_KEPT"

ClockMode = Literal["live", "replay"]
"""What moves event time: also the broker's clock (live), or events and heartbeats only (replay)."""
LIVE_LATENESS_S = 5.0
MAX_LATENESS_S = 86_400.0
MAX_NAME_CHARS = 100
_NAME = re.compile(r"[A-Za-z0-9._-]+")

N = TypeVar("N", int, float)


def number(
    env: Mapping[str, str], name: str, default: N, low: float, high: float, kind: Callable[[str], N]
) -> N:
    """A bounded number from the environment; Misconfigured names the variable."""
    text = env.get(name)
    if not text:
        return default
    try:
        value = kind(text) if text.isascii() else None
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise Misconfigured(f"{name}={text!r}: expected a number from {low:g} to {high:g}")
    return value


def switch(env: Mapping[str, str], name: str) -> bool:
    """A switch, off by default; Misconfigured if it is neither on nor off."""
    text = env.get(name, "").strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("", "0", "false", "no", "off"):
        return False
    raise Misconfigured(f"{name}={env[name]!r}: expected 1 or 0")


def process_name(env: Mapping[str, str], name: str, default: str = "") -> str:
    """What a process is called in Kafka and in the store; Misconfigured names the variable."""
    text = env.get(name)
    if not text:
        return default
    if len(text) > MAX_NAME_CHARS or not _NAME.fullmatch(text):
        raise Misconfigured(
            f"{name}={text[: 2 * MAX_NAME_CHARS]!r}: expected at most {MAX_NAME_CHARS} letters,"
            " digits, '.', '_' and '-'"
        )
    return text


def clock_mode(env: Mapping[str, str]) -> ClockMode:
    """STREAMGAUGE_CLOCK_MODE, live by default; Misconfigured if it is neither."""
    mode = env.get(ENV_CLOCK_MODE) or "live"
    if mode == "live":
        return "live"
    if mode == "replay":
        return "replay"
    raise Misconfigured(f"{ENV_CLOCK_MODE}={mode!r}", hint="set it to live or replay")


def lateness_s(env: Mapping[str, str], default: float = LIVE_LATENESS_S) -> float:
    """STREAMGAUGE_LATENESS_S: how long an event is awaited, seconds. Misconfigured."""
    return number(env, ENV_LATENESS, default, 0, MAX_LATENESS_S, float)

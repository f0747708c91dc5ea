"""Which processes a stack has and with what environment each is started: pure.

In: what the user chose. Out: `WorkerSpec`s and environments. Settings travel to the children by
the same variables that a person would set, so each can be started by hand the same way.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamgauge.contracts.environment import (
    ENV_CLOCK_MODE,
    ENV_LATENESS,
    ENV_METRICS_PORT,
    ENV_RULES,
    ENV_RULES_KEPT,
    LIVE_LATENESS_S,
    ClockMode,
)
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import ENV_BOOTSTRAP, ENV_PREFIX, KafkaSettings
from streamgauge.contracts.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX
from streamgauge.deploy.paths import ENV_HOME
from streamgauge.deploy.stack.layout import RULES_IN_FORCE
from streamgauge.storage.settings import DEFAULT_DATABASE

REPLAY_LATENESS_S = 30.0

USUAL_KAFKA_PORT = 9092
"""Taken on a first start if it is free: examples name it."""

WORKERS: dict[str, str] = {
    "metrics": "streamgauge.stream_processors.metrics.main",
    "scores": "streamgauge.stream_processors.scores.main",
    "drift": "streamgauge.stream_processors.drift.main",
    "alerts": "streamgauge.alerting.main",
}
"""Name of a worker process -> module whose `run()` it is, in starting order."""

TICKERS = ("metrics", "scores", "drift")
"""Workers that publish a tick a second: how we know that they work. They also serve /metrics."""


@dataclass(frozen=True, slots=True)
class StackConfig:
    """What a stack is asked to be. Ports 0 mean the last ones, at first free ones; rules "" means
    the shipped pack. usual_kafka_port: the first one if it is free; 0: none is preferred.
    """

    home: str
    prefix: str = DEFAULT_PREFIX
    database: str = DEFAULT_DATABASE
    partitions: int = DEFAULT_PARTITIONS
    kafka_port: int = 0
    usual_kafka_port: int = 0
    store_port: int = 0
    clock_mode: ClockMode = "live"
    lateness_s: float = LIVE_LATENESS_S
    rules: str = ""
    workers: tuple[str, ...] = tuple(WORKERS)

    def __post_init__(self) -> None:
        """Misconfigured if a field is out of bounds."""
        unknown = [name for name in self.workers if name not in WORKERS]
        if unknown:
            raise Misconfigured(
                f"unknown process {unknown[0]!r}", hint=f"known are {', '.join(WORKERS)}"
            )
        if self.clock_mode not in ("live", "replay"):
            raise Misconfigured(f"clock mode {self.clock_mode!r}", hint="it is live or replay")
        if not 0 <= self.lateness_s <= 3600:
            raise Misconfigured(f"lateness {self.lateness_s} s", hint="0 to 3600 seconds")
        if not 1 <= self.partitions <= 1024:
            raise Misconfigured(f"{self.partitions} partitions", hint="1 to 1024")
        ports = (self.kafka_port, self.usual_kafka_port, self.store_port)
        names = ("--kafka-port", "usual Kafka port", "--store-port")
        for option, port in zip(names, ports, strict=True):
            if not 0 <= port <= 65535:
                raise Misconfigured(f"{option} {port}", hint="1 to 65535, or 0 for a free one")

    def to_json(self) -> dict[str, object]:
        """For the command line of the detached process; holds no secret."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> StackConfig:
        """What `to_json` wrote."""
        fields: dict[str, Any] = dict(value)
        fields["workers"] = tuple(str(name) for name in fields.get("workers", ()))
        return cls(**fields)


def worker_exists(name: str) -> bool:
    """True if the module of this worker can be found in this installation."""
    try:
        return importlib.util.find_spec(WORKERS[name]) is not None
    except ImportError:
        return False


def worker_command(name: str) -> list[str]:
    """Command line that runs one worker with this interpreter."""
    return [sys.executable, "-m", "streamgauge.deploy", "run", name]


def client_env(
    kafka: KafkaSettings, store_env: Mapping[str, str], *, base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Environment in which any streamgauge command or program reaches this stack.

    STREAMGAUGE_KAFKA_* of `base` stay, since the broker may need them.
    """
    return {
        **base,
        ENV_BOOTSTRAP: kafka.bootstrap,
        ENV_PREFIX: kafka.prefix,
        **store_env,
    }


def worker_env(config: StackConfig, env: Mapping[str, str], *, metrics_port: int) -> dict[str, str]:
    """Environment of one worker; `env` is `client_env`'s."""
    worker = {
        **env,
        ENV_HOME: str(Path(config.home)),
        ENV_CLOCK_MODE: config.clock_mode,
        ENV_LATENESS: f"{config.lateness_s:g}",
        ENV_METRICS_PORT: str(metrics_port),
        ENV_RULES_KEPT: str(Path(config.home) / RULES_IN_FORCE),
        "PYTHONUNBUFFERED": "1",
    }
    if config.rules:
        worker[ENV_RULES] = config.rules
    return worker


def backoff_s(failures_in_a_row: int) -> float:
    """Wait before the next start: 0.2 s after the first death, doubling, 15 s at most."""
    return float(min(15.0, 0.2 * 2 ** min(max(failures_in_a_row - 1, 0), 10)))

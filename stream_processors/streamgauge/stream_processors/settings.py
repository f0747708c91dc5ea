"""Settings of a stream worker, read once from the environment.

STREAMGAUGE_BOOTSTRAP, STREAMGAUGE_TOPIC_PREFIX, STREAMGAUGE_KAFKA_*     contracts.kafka
STREAMGAUGE_STORE_URL, _USER, _PASSWORD[_FILE], _DATABASE               storage.settings
STREAMGAUGE_LATENESS_S     how late an event may come and still be in time (5; replays 30)
STREAMGAUGE_FLUSH_S        longest time between flushes (0.5)
STREAMGAUGE_FLUSH_EVENTS   events after which a flush does not wait for it (16384)
STREAMGAUGE_FLUSH_BYTES    bytes of messages after which it does not either (24 MiB)
STREAMGAUGE_SESSION_S      Kafka session time-out (10)
STREAMGAUGE_STATIC_ID      static group membership under this name (none)
STREAMGAUGE_INSTANCE       name of this process in ticks and the store (host-pid)
STREAMGAUGE_METRICS_PORT   port of /metrics, /healthz and /readyz (0 = off)
STREAMGAUGE_METRICS_HOST   the address it listens on (127.0.0.1)
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from streamgauge.contracts.environment import (
    MAX_NAME_CHARS,
    clock_mode,
    lateness_s,
    number,
    process_name,
)
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.pass_through import require_known
from streamgauge.storage.settings import StoreSettings

MOST_EVENTS = 50_000
"""Events of one flush at most: their scores, some 20 rows each, still fit into one block."""
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What the generic worker needs to know. Seconds, events; see the module's list."""

    kafka: KafkaSettings
    store: StoreSettings
    lateness_s: float = 5.0
    flush_s: float = 0.5
    flush_events: int = 16_384
    flush_bytes: int = 24 * MIB
    session_s: float = 10.0
    static_id: str = ""
    instance: str = ""
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> WorkerSettings:
        """Read the environment; Misconfigured names the variable that is out of bounds."""
        clock_mode(env)  # the evaluator's, but a stack with a wrong one is wrong everywhere
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[: MAX_NAME_CHARS - 20]
        return cls(
            kafka=require_known(KafkaSettings.from_env(env)),
            store=StoreSettings.from_env(env),
            lateness_s=lateness_s(env),
            flush_s=number(env, "STREAMGAUGE_FLUSH_S", 0.5, 0.05, 10, float),
            flush_events=number(env, "STREAMGAUGE_FLUSH_EVENTS", 16_384, 100, MOST_EVENTS, int),
            flush_bytes=number(env, "STREAMGAUGE_FLUSH_BYTES", 24 * MIB, MIB, 1024 * MIB, int),
            session_s=number(env, "STREAMGAUGE_SESSION_S", 10.0, 6, 300, float),
            static_id=process_name(env, "STREAMGAUGE_STATIC_ID"),
            instance=process_name(env, "STREAMGAUGE_INSTANCE", f"{host}-{os.getpid()}"),
            metrics_port=number(env, "STREAMGAUGE_METRICS_PORT", 0, 0, 65_535, int),
            metrics_host=env.get("STREAMGAUGE_METRICS_HOST") or "127.0.0.1",
        )

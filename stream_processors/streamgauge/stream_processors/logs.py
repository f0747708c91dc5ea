"""Logs of a worker: as any process of ours; what lies under a worker is held to warnings."""

from __future__ import annotations

import os
from collections.abc import Mapping

from streamgauge.contracts import logs

NOISY = (
    "faust", "mode", "aiokafka", "asyncio", "kafka",
    # faust logs under the module of the subclass
    "streamgauge.stream_processors.core.chunk_transport",
    "streamgauge.stream_processors.core.faust_app",
)  # fmt: skip
"""What these say per rebalance is told by our own lines."""


def set_up_logging(service: str, env: Mapping[str, str] = os.environ) -> None:
    """Route all logging of this worker to stderr as JSON lines. Misconfigured: no such level."""
    logs.set_up_logging(service, env, noisy=NOISY)

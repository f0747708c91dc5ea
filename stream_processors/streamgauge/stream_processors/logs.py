"""Structured logs of a worker: one JSON object a line on stderr.

Message = a fixed event name, facts in `extra`. STREAMGAUGE_LOG_LEVEL (INFO). Faust and aiokafka
are held to warnings: what they say per rebalance is told by our own lines.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping

# Faust logs under the module of the subclass.
_FAUST_SUBCLASSES = (
    "streamgauge.stream_processors.chunk_transport",
    "streamgauge.stream_processors.faust_app",
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, logger, event, facts, error."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "ts": round(record.created * 1000),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def set_up_logging(service: str, env: Mapping[str, str] = os.environ) -> None:
    """Route all logging of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(env.get("STREAMGAUGE_LOG_LEVEL", "INFO").upper())
    for noisy in ("faust", "mode", "aiokafka", "asyncio", "kafka", *_FAUST_SUBCLASSES):
        logging.getLogger(noisy).setLevel(logging.WARNING)

"""How a process of ours logs: one JSON object a line on stderr.

Message = a fixed event name, facts in `extra`. STREAMGAUGE_LOG_LEVEL (INFO). Only a process's main
calls this: a library, above all the embedded client, never configures logging. Imports only the
standard library.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence

from streamgauge.contracts.errors import Misconfigured

ENV_LOG_LEVEL = "STREAMGAUGE_LOG_LEVEL"
SAID_BY_OUR_ERRORS = ("urllib3.connectionpool", "clickhouse_connect.driver")
"""Loggers of libraries that warn of each attempt whose failure our own errors tell once."""
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


def set_up_logging(
    service: str, env: Mapping[str, str] = os.environ, *, noisy: Sequence[str] = ()
) -> None:
    """Route all logging of this process to stderr as JSON lines.

    noisy: loggers of libraries that are held to warnings. Misconfigured: no such level.
    """
    level = env.get(ENV_LOG_LEVEL, "").upper() or "INFO"
    if level not in logging.getLevelNamesMapping():
        known = "DEBUG, INFO, WARNING or ERROR"
        raise Misconfigured(f"{ENV_LOG_LEVEL}={level!r}", hint=f"it is {known}")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in noisy:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SAID_BY_OUR_ERRORS:
        logging.getLogger(name).setLevel(logging.ERROR)

"""A worker with a wrong setting says so in one line and exits with 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.stream_processors import telemetry


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
            telemetry.serve("127.0.0.1", port)

"""STREAMGAUGE_FAILPOINT: what it says is done, at that time, once; anything else is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.stream_processors.core.failpoints import ENV, PLACES, FailPoints

REACH = """
import sys
from streamgauge.stream_processors.core.failpoints import FailPoints
points = FailPoints.from_env()
for i in range(4):
    points.reached("before_insert")
    points.reached("before_ack")
    print(i, flush=True)
"""


def run(value: str) -> tuple[int, list[str]]:
    """(exit status, numbers printed before it stopped or died) of a process with this setting."""
    process = subprocess.Popen(
        [sys.executable, "-c", REACH],
        env={ENV: value, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    if ":stop" in value:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert process.stdout is not None
        process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out.split()


@pytest.mark.parametrize(
    ("value", "status", "printed"),
    [
        ("before_ack", -9, []),
        ("before_ack:3", -9, ["0", "1"]),
        ("before_insert:kill:2", -9, ["0"]),
        ("before_ack:stop:3", 0, ["0", "1", "2", "3"]),
        ("mid_insert", 0, ["0", "1", "2", "3"]),
        ("", 0, ["0", "1", "2", "3"]),
    ],
)
def test_it_acts_once_at_its_time(value: str, status: int, printed: list[str]) -> None:
    assert run(value) == (status, printed)


@pytest.mark.parametrize(
    "value",
    [
        "nowhere",
        "before_ack:pause",
        "before_ack:0",
        "before_ack:-1",
        "before_ack:1:stop",
        "before_ack:stop:",
    ],
)
def test_what_it_cannot_mean_is_one_clear_line(value: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        FailPoints.from_env({ENV: value})
    for word in (value, *PLACES, ":kill", ":stop"):
        assert word in str(caught.value)

"""Identity and end of processes: a pid alone is not an identity, since pids are used again.

`Pid` is a pid with the process's start time; nothing is ever signalled before both match.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass

import psutil

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Pid:
    """One process for ever. started_ms: its start time, ms since the epoch, as the system says."""

    pid: int
    started_ms: int

    @classmethod
    def of(cls, pid: int) -> Pid | None:
        """Identity of a live process, or None."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, round(process.create_time() * 1000))
        except psutil.Error:
            return None

    @classmethod
    def from_json(cls, value: object) -> Pid | None:
        """What `as_json` wrote; None for anything else."""
        if not isinstance(value, dict):
            return None
        pid, started_ms = value.get("pid"), value.get("started_ms")
        if type(pid) is int and type(started_ms) is int and 0 < pid < 1 << 31:
            return cls(pid, started_ms)
        return None

    def as_json(self) -> dict[str, int]:
        """For stack.json and pid files."""
        return {"pid": self.pid, "started_ms": self.started_ms}

    def process(self) -> psutil.Process | None:
        """The live process with this identity, or None if it is gone (its pid may be reused)."""
        now = Pid.of(self.pid)
        # create_time is derived from the boot time, which may be read a little differently
        if now is None or abs(now.started_ms - self.started_ms) > 2_000:
            return None
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid)
        return None

    @property
    def alive(self) -> bool:
        """True while the process with this identity runs."""
        return self.process() is not None

    def end(self, *, grace_s: float) -> bool:
        """Ask it to end, wait up to grace_s, then kill it. True if it ended when asked.

        One that its parent has not reaped has ended all the same: psutil's `wait` would go on.
        """
        process = self.process()
        if process is None:
            return True
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            if self._gone(grace_s):
                return True
            process.kill()
            self._gone(10)
            return False
        return True

    def _gone(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True


class ParentGuard:
    """Kills a child when this process is gone, however it went (kill -9 too).

    A tiny shell waits on a pipe that only we hold open: when we die the pipe closes and the shell
    kills the child. `release` must be called before the child's pid may be used again.
    """

    def __init__(self, pid: int, *, name: str = "KILL") -> None:
        script = f"trap '' INT TERM HUP; read _ && exit 0; kill -{name} {pid} 2>/dev/null"
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """End the guard and leave the child alone."""
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            with contextlib.suppress(OSError):
                self._shell.stdin.write(b"done\n")
                self._shell.stdin.close()
        self._shell.wait(10)

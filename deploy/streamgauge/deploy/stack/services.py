"""The kinds of processes a stack keeps alive, behind one small interface.

`start` returns when the process does its work; `exit_code` is None while it runs. Adapters: Kafka
(deploy.kafka), the embedded store (streamgauge.storage.embedded), Python workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from streamgauge.contracts.errors import Misconfigured, StreamgaugeError, Unreachable
from streamgauge.deploy.kafka.local import LocalKafka
from streamgauge.deploy.processes import ParentGuard
from streamgauge.deploy.stack.logs import cap_log, last_line

if TYPE_CHECKING:
    from streamgauge.storage.settings import StoreSettings

SETTLE_S = 0.5
"""A worker that lives this long has at least been able to start."""


class Service(Protocol):
    """One process that can be started again after its death."""

    name: str
    log: Path

    def start(self) -> None:
        """Start and return when it works; StreamgaugeError if it does not."""

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative = ended by that signal."""

    def last_words(self) -> str:
        """One line on why it ended, from its log."""

    def stop(self, grace_s: float) -> None:
        """Ask it to end, kill it after grace_s."""

    def kill(self) -> None:
        """kill -9, now."""

    def cap_logs(self) -> None:
        """Keep its logs within their bound."""


class KafkaService:
    """The local broker."""

    name = "kafka"

    def __init__(self, broker: LocalKafka) -> None:
        self.broker = broker
        self.log = broker.log_path
        self._code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """A broker left by a killed stack is ended first; then format if needed, start, wait."""
        held = self.broker.leftover()
        if held is not None:
            held.end(grace_s=10)
        self.broker.start()
        self._process = self.broker._process
        self._code = None

    @property
    def pid(self) -> int | None:
        """Process id of the JVM."""
        return self.broker.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """End of the broker's log."""
        return self.broker.tail(lines=1)

    def stop(self, grace_s: float) -> None:
        """Controlled shutdown."""
        self.broker.stop(grace_s)

    def kill(self) -> None:
        """kill -9."""
        if self.broker.pid is not None:
            os.kill(self.broker.pid, signal.SIGKILL)

    def cap_logs(self) -> None:
        """Its own log rotates itself; what the JVM prints is tiny."""


class StoreService:
    """The embedded ClickHouse server."""

    name = "store"

    def __init__(self, data: Path, port: int, log: Path) -> None:
        from streamgauge.storage.embedded.process import EmbeddedStore

        self.log = log
        self.store = EmbeddedStore(data, port, log=log, die_with_parent=True)
        self.settings: StoreSettings | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers a ping."""
        self.settings = self.store.start()
        self._process = self.store._process

    @property
    def pid(self) -> int | None:
        """Process id of the server."""
        return self.store.pid if self.store.running() else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """End of its log."""
        return last_line(self.log)

    def stop(self, grace_s: float) -> None:
        """Ask it to end: statements in flight are finished."""
        self.store.stop(grace_s)

    def kill(self) -> None:
        """kill -9."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def cap_logs(self) -> None:
        """Rotate its log."""
        cap_log(self.log)


class WorkerService:
    """A Python process of ours: metrics, scores, drift, alerts."""

    def __init__(
        self,
        name: str,
        command: list[str],
        env: Callable[[], Mapping[str, str]],
        log: Path,
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._env = env
        self._settle_s = settle_s
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: ParentGuard | None = None

    def start(self) -> None:
        """Start it; an error if it ends within the first moment."""
        self._release()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=dict(self._env()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = ParentGuard(self._process.pid)
        deadline = time.monotonic() + self._settle_s
        while time.monotonic() < deadline:
            code = self._process.poll()
            if code is not None:
                raise died(self.name, code, self.last_words(), self.log)
            time.sleep(0.05)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    def last_words(self) -> str:
        """The last line of its log: the error line, if it ended with one."""
        return (
            last_line(self.log).removeprefix("error: ").removeprefix(f"streamgauge {self.name}: ")
        )

    def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(grace_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._release()

    def kill(self) -> None:
        """kill -9."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()

    def cap_logs(self) -> None:
        """Rotate its log."""
        cap_log(self.log)

    def _release(self) -> None:
        if self._guard is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.release()
            self._guard = None


def died(name: str, code: int, words: str, log: Path) -> StreamgaugeError:
    """The error for a process that ended: exit code 2 is a wrong setting, 3 an absent service."""
    kind = {2: Misconfigured, 3: Unreachable}.get(code, StreamgaugeError)
    return kind(f"{name} {ending(code)}: {words or 'no output'}", hint=f"its log is {log}")


def ending(code: int) -> str:
    """An exit code in words; negative = ended by that signal.

    >>> ending(1), ending(-9)
    ('ended with code 1', 'was ended by signal 9 (SIGKILL)')
    """
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was ended by signal {-code}"

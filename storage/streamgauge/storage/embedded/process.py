"""The embedded store as a child process: start, stop, kill, where it listens.

    store = EmbeddedStore(data_dir)
    settings = store.start()
    ...
    store.stop()

A crash loses nothing that was acknowledged; `start` again and the same port is used.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.storage.embedded.config import REMAKE_HINT
from streamgauge.storage.settings import DEFAULT_DATABASE, StoreSettings, read_password

_WRITER = ("streamgauge", "password")
_READER = ("reader", "reader-password")


class EmbeddedStore:
    """One embedded store. Not thread-safe.

    data_dir: made if absent; one process may own it. port: 0 takes a free one, and keeps it over
    restarts of this object. memory_mb: limit of the engine. reserve_mb: of the disk that stay
    free, with less nothing is stored; may be changed for the next start. die_with_parent: the store
    ends when the process that called `start` does. log: file for its output; default
    <data_dir>/store.log.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        memory_mb: int = 2048,
        reserve_mb: int = 512,
        fsync: bool = True,
        body_limit_mb: int = 256,
        die_with_parent: bool = False,
        log: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self._port = port
        self._memory_mb = memory_mb
        self.reserve_mb = reserve_mb
        self._fsync = fsync
        self._body_limit_mb = body_limit_mb
        self._die_with_parent = die_with_parent
        self._log = log or self.data_dir / "store.log"
        self._clock = clock or SystemClock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running store."""
        if self._process is None:
            raise Misconfigured("the store was not started")
        return self._process.pid

    @property
    def password_file(self) -> Path:
        """File with the writer's password."""
        return self.data_dir / _WRITER[1]

    @property
    def reader_password_file(self) -> Path:
        """File with the read-only account's password."""
        return self.data_dir / _READER[1]

    def start(self, timeout_s: float = 60.0) -> StoreSettings:
        """Start it and wait until it answers; the writer's settings.

        Misconfigured: folder or port in use. Unreachable: it did not answer in time.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [
            sys.executable, "-m", "streamgauge.storage.embedded",
            "--data", str(self.data_dir), "--port", str(self._port),
            "--memory-mb", str(self._memory_mb), "--reserve-mb", str(self.reserve_mb),
            "--body-limit-mb", str(self._body_limit_mb),
        ]  # fmt: skip
        if not self._fsync:
            command.append("--no-fsync")
        if self._die_with_parent:
            command += ["--parent-pid", str(os.getpid())]
        with self._log.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = self._clock.monotonic() + timeout_s
        while True:
            if (found := read_endpoint(self.data_dir)) and found["pid"] == self._process.pid:
                self._port = int(found["port"])
                if _answers(self._url()):
                    return self.settings()
            if (code := self._process.poll()) is not None:
                said = self._log.read_bytes()[begin:].decode("utf-8", "replace").strip()
                self._process = None
                message = said.splitlines()[-1] if said else f"exit code {code}"
                if code == Misconfigured.exit_code:
                    raise Misconfigured(message.removeprefix("streamgauge store: "))
                raise Unreachable(
                    f"the store ended at its start: {message}", hint=f"see {self._log}"
                )
            if self._clock.monotonic() > deadline:
                self.kill()
                raise Unreachable(
                    f"the store did not answer within {timeout_s:g} s", hint=f"see {self._log}"
                )
            self._clock.sleep(0.05)

    def settings(self, database: str = DEFAULT_DATABASE) -> StoreSettings:
        """The writer account."""
        return self._settings(*_WRITER, database)

    def reader_settings(self, database: str = DEFAULT_DATABASE) -> StoreSettings:
        """The read-only account."""
        return self._settings(*_READER, database)

    def _settings(self, user: str, name: str, database: str) -> StoreSettings:
        password = read_password(self.data_dir / name, hint=REMAKE_HINT)
        return StoreSettings(self._url(), user, password, database)

    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def running(self) -> bool:
        """Is the process alive?"""
        return self._process is not None and self._process.poll() is None

    def stop(self, timeout_s: float = 30.0) -> None:
        """End it after the statements in flight; kill it if that takes too long."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> None:
        """kill -9 and wait."""
        self._end(signal.SIGKILL, 10.0)

    def _end(self, number: signal.Signals, timeout_s: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def read_endpoint(data_dir: Path) -> dict[str, int | str] | None:
    """What a store wrote about itself when it became ready; None if none did."""
    try:
        found = json.loads((data_dir / "endpoint.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=2) as answer:  # noqa: S310 our own http
            return bool(answer.read() == b"Ok.\n")
    except OSError:
        return False

"""A sender in a process of its own, and its driver.

    sender = SenderProcess("benchmarks.growth.sender", bootstrap, topic)
    sender.tell("0 1000 0")
    sender.said["acked"]

It is told what to do by lines, and says how far it is by JSON objects, one a line.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from typing import Any


class SenderProcess:
    """One module as a process. said: the latest of each thing that it has said."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.said: dict[str, Any] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said |= json.loads(line)

    def tell(self, line: str) -> None:
        """Give it an order; OSError if it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def check(self, *, done: bool = False) -> None:
        """RuntimeError if it failed, or has ended at all; done: it may have ended well."""
        status = self._process.poll()
        if status or (status == 0 and not done):
            raise RuntimeError(f"the sender ended with {status}")

    def end(self) -> None:
        """Whatever its state."""
        self._process.kill()
        self._process.wait(10)
        self._listener.join(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a line that was never read
                    pipe.close()

"""The command line as a person types it, for tests: real processes, exit codes, answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.state import read_state


class Shell:
    """Runs the command line as a process, with a data folder of its own.

    A call asserts the exit code (None: any) and that no traceback was printed.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("STREAMGAUGE_")}
        if "STREAMGAUGE_CACHE" in os.environ:
            self.env["STREAMGAUGE_CACHE"] = os.environ["STREAMGAUGE_CACHE"]
        self.env["STREAMGAUGE_HOME"] = str(home)

    def __call__(
        self, *args: str, code: int | None = 0, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "streamgauge.deploy", *args],
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert "Traceback" not in done.stderr
        if code is not None:
            assert done.returncode == code, f"{args}: {done.stdout}\n{done.stderr}"
        return done

    def json(self, *args: str, code: int | None = 0) -> Any:
        """The answer of a command that knows --json."""
        return json.loads(self(*args, "--json", code=code).stdout)

    def pids(self) -> dict[str, Pid]:
        """The stack's processes by name."""
        state = read_state(self.home)
        assert state is not None
        found = {n: p.identity for n, p in state.processes.items()}
        return {n: p for n, p in found.items() if p is not None}

"""Runs a stack as a process of its own, and ends it: `streamgauge up` and `down`.

`start_detached` spawns `python -m streamgauge.deploy.stack` (see __main__.py), passes on its
progress and returns when the stack is up or has failed. `stop_detached` asks it to end and then
makes sure of every process named in stack.json. Processes are matched by pid and start time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from streamgauge.contracts.errors import Misconfigured, StreamgaugeError, Unreachable
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.layout import is_locked, prepare_home
from streamgauge.deploy.stack.logs import cap_log, last_line
from streamgauge.deploy.stack.plan import WORKERS, StackConfig
from streamgauge.deploy.stack.state import StackState, read_state, running_state, write_state

START_LIMIT_S = 600.0
STOP_LIMIT_S = 75.0
POLL_S = 0.1
Progress = Callable[[str], None]
_KINDS = {2: Misconfigured, 3: Unreachable}


def start_detached(
    config: StackConfig,
    *,
    env: Mapping[str, str] = os.environ,
    progress: Progress,
    asked: Mapping[str, str] = MappingProxyType({}),
) -> StackState:
    """Start the stack of this folder in the background; its state once it is up.

    If it runs already, or another process is starting it, that one's state is returned;
    Misconfigured if it runs with another value of a field in `asked` (field of StackConfig -> the
    option as the user wrote it). The error of a failed start is raised here, with its exit code.
    Ctrl-C while it starts stops it again.
    """
    home = Path(config.home).expanduser().resolve()
    running = running_state(home)
    if running is not None:
        return _join(home, config, asked, progress)
    prepare_home(home)
    end_leftovers(home, progress=progress)
    log = home / "logs" / "supervisor.log"
    cap_log(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamgauge.deploy.stack", json.dumps(config.to_json())],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
        )
    try:
        return _follow(home, process, log, progress)
    except _TakenByAnother:
        return _join(home, config, asked, progress)
    except KeyboardInterrupt:
        progress("interrupted: stopping what was started ...")
        process.terminate()
        process.wait(STOP_LIMIT_S)
        raise


class _TakenByAnother(Exception):
    """Our process gave way to one that had taken the folder a moment before."""


def _join(
    home: Path, config: StackConfig, asked: Mapping[str, str], progress: Progress
) -> StackState:
    """The state of a stack that another process started or is starting, once it is up."""
    waiting = False
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        running = running_state(home)
        if running is not None and running.state == "up":
            other = differences(running, config, asked)
            if other:
                raise Misconfigured(
                    f"the stack runs already, without {', '.join(other)}",
                    hint="`streamgauge down` first, to change it; its data stay",
                )
            progress("runs already, as it was started (`streamgauge down` first, to change it)")
            return running
        if running is None and not is_locked(home):
            state = read_state(home)
            if state is not None and state.state == "failed":
                raise _as_error(state)
            raise StreamgaugeError(
                "the stack that was starting is gone", hint="`streamgauge up` starts it again"
            )
        if not waiting:
            progress("another `streamgauge up` is starting it: waiting for that ...")
            waiting = True
        time.sleep(POLL_S)
    raise StreamgaugeError(f"the stack was not up within {START_LIMIT_S:.0f} s")


def differences(state: StackState, config: StackConfig, asked: Mapping[str, str]) -> list[str]:
    """The options in `asked` that a running stack does not have."""
    runs_with: dict[str, object] = {
        "kafka_port": None if state.kafka_external else _port(f"//{state.bootstrap}"),
        "store_port": None if state.store_external else _port(state.store_url),
        "prefix": state.prefix,
        "partitions": state.partitions,
        "clock_mode": state.clock_mode,
        "lateness_s": state.lateness_s,
        "rules": state.rules,
        "workers": tuple(name for name in WORKERS if name in state.processes),
    }
    any_port = {f for f in ("kafka_port", "store_port") if getattr(config, f) == 0}
    return [
        words
        for field, words in asked.items()
        if field not in any_port and runs_with[field] != getattr(config, field)
    ]


def _port(url: str) -> int | None:
    return urlsplit(url).port


def _follow(
    home: Path, process: subprocess.Popen[bytes], log: Path, progress: Progress
) -> StackState:
    told = 0
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        code = process.poll()
        state = read_state(home)
        mine = state is not None and (state.supervisor or {}).get("pid") == process.pid
        if state is not None and mine:
            for line in state.progress[told:]:
                progress(line)
            told = len(state.progress)
            if state.state == "up":
                return state
            if state.state == "failed" and code is not None:
                raise _as_error(state)
        if code is not None and state is not None and mine and state.state == "down":
            raise StreamgaugeError("the stack was stopped while it started")
        if code == Misconfigured.exit_code and not mine and is_locked(home):
            raise _TakenByAnother
        if code is not None:
            words = last_line(log).partition(" ERROR ")[2] or last_line(log)
            kind = _KINDS.get(code, StreamgaugeError)
            raise kind(f"the stack did not start: {words}", hint=f"its log is {log}")
        time.sleep(POLL_S)
    process.terminate()
    raise StreamgaugeError(f"the stack was not up within {START_LIMIT_S:.0f} s", hint=f"see {log}")


def _as_error(state: StackState) -> StreamgaugeError:
    return _KINDS.get(state.exit_code, StreamgaugeError)(state.error, hint=state.error_hint)


def stop_detached(home: Path, *, progress: Progress) -> list[str]:
    """Stop the stack of this folder; names of processes that had to be killed.

    Returns also if nothing runs. A supervisor that was killed leaves no orphan behind: what
    stack.json names is ended here.
    """
    state = read_state(home)
    if state is None:
        if is_locked(home):
            raise Misconfigured(
                f"a stack runs on {home}, but its stack.json is gone or cannot be read",
                hint=f"end the process that holds {home / 'lock'} (see fuser)",
            )
        return []
    killed = []
    supervisor = Pid.from_json(state.supervisor)
    if supervisor is not None and supervisor.alive:
        progress("stopping workers, store, Kafka ...")
        if not supervisor.end(grace_s=STOP_LIMIT_S):
            killed.append("supervisor")
    killed += end_leftovers(home, progress=progress)
    state = read_state(home) or state
    if state.state != "failed":
        state.state = "down"
    for process in state.processes.values():
        process.state, process.pid = ("down", None)
    write_state(home, state)
    return killed


def end_leftovers(home: Path, *, progress: Progress = lambda _line: None) -> list[str]:
    """End processes that a killed supervisor left behind; their names.

    Each process has a guard that kills it when its supervisor is gone, so there is rarely one.
    """
    state = read_state(home)
    if state is None or state.supervisor_alive:
        return []
    ended = []
    for name, process in state.processes.items():
        identity = process.identity
        if identity is not None and identity.alive:
            progress(f"ending {name} (pid {identity.pid}), left by a stack that was killed")
            identity.end(grace_s=10)
            ended.append(name)
    return ended

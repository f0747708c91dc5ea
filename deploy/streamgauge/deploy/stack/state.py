"""stack.json: what runs and where, for the other commands. Written atomically, holds no secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from streamgauge.deploy.paths import write_atomic
from streamgauge.deploy.processes import Pid

FILE = "stack.json"


@dataclass(slots=True)
class ProcessState:
    """One process of the stack. state: starting | up | restarting | down | missing.

    note: why it is not up, or what ended it last; one line.
    """

    name: str
    state: str = "starting"
    pid: dict[str, int] | None = None
    since_ms: int = 0
    restarts: int = 0
    log: str = ""
    metrics_port: int = 0
    note: str = ""

    @property
    def identity(self) -> Pid | None:
        """Pid and start time of the running process."""
        return Pid.from_json(self.pid)

    @property
    def gone(self) -> bool:
        """True if it is said to be up and its process is not there: the file may be old."""
        identity = self.identity
        return self.state == "up" and (identity is None or not identity.alive)


@dataclass(slots=True)
class StackState:
    """A stack: addresses, settings, processes. state: starting | up | failed | stopping | down."""

    home: str = ""
    state: str = "starting"
    started_ms: int = 0
    supervisor: dict[str, int] | None = None
    bootstrap: str = ""
    prefix: str = ""
    kafka_external: bool = False
    store_url: str = ""
    store_user: str = ""
    database: str = ""
    password_file: str = ""
    reader_user: str = ""
    reader_password_file: str = ""
    store_external: bool = False
    clock_mode: str = "live"
    lateness_s: float = 5.0
    partitions: int = 8
    rules: str = ""
    hmac_key_file: str = ""
    processes: dict[str, ProcessState] = field(default_factory=dict)
    progress: list[str] = field(default_factory=list)
    error: str = ""
    error_hint: str = ""
    exit_code: int = 0

    def to_json(self) -> dict[str, Any]:
        """As written to the file."""
        return asdict(self)

    @property
    def supervisor_alive(self) -> bool:
        """True while the process that keeps the stack up runs."""
        identity = Pid.from_json(self.supervisor)
        return identity is not None and identity.alive


def write_state(home: Path, state: StackState) -> None:
    """Replace stack.json."""
    write_atomic(home / FILE, json.dumps(state.to_json(), indent=1) + "\n")


def read_state(home: Path) -> StackState | None:
    """What the file says, running or not; None if there is none or it cannot be read.

    Fields of a newer version are dropped, missing ones take their defaults.
    """
    try:
        raw = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(raw, dict):
        return None
    processes = {}
    children = raw.pop("processes", None)
    for name, value in children.items() if isinstance(children, dict) else ():
        if isinstance(value, dict):
            processes[name] = ProcessState(**{**_fitting(ProcessState(name), value), "name": name})
    return StackState(**_fitting(StackState(), raw), processes=processes)


def _fitting(model: StackState | ProcessState, raw: dict[str, Any]) -> dict[str, Any]:
    """The values whose field exists and has their type; a pid is checked where it is used."""
    found = {}
    for each in fields(model):
        value, default = raw.get(each.name), getattr(model, each.name)
        kinds: dict[type, type | tuple[type, ...]] = {type(None): dict, float: (int, float)}
        if isinstance(value, kinds.get(type(default), type(default))):
            found[each.name] = value
    return found


def keep_addresses(state: StackState, last: StackState) -> None:
    """A start that came to no addresses keeps the last ones: the next takes the same ports."""
    state.bootstrap, state.kafka_external = last.bootstrap, last.kafka_external
    state.store_url, state.store_external = last.store_url, last.store_external
    state.store_user, state.password_file = last.store_user, last.password_file
    state.reader_user = last.reader_user
    state.reader_password_file = last.reader_password_file


def running_state(home: Path) -> StackState | None:
    """The state, if the stack on this folder runs now."""
    state = read_state(home)
    if state is not None and state.supervisor_alive and state.state in ("starting", "up"):
        return state
    return None

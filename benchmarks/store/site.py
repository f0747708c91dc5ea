"""The store of a run: filled once, resumable. `state.json` says what it is filled with.

In: `Options`. Out: a running store with the database, what of it is stored, and its settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.store.fill import Filling
from benchmarks.store.traffic import Traffic
from benchmarks.store.world import DAY_MS, DAYS
from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.paths import write_atomic
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings

DATABASE: Final = "llm"
TELL_S: Final = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """folder: data and state. events: a multiple of world.BLOCK."""

    folder: Path
    events: int


@dataclass(frozen=True, slots=True)
class _State:
    events: int
    begin_ms: int


def traffic_of(options: Options) -> Traffic:
    """The traffic of a run, the same when it goes on; ValueError: the folder is of another run."""
    path = options.folder / "state.json"
    if path.exists():
        state = _State(**json.loads(path.read_text()))
        if state.events != options.events:
            raise ValueError(f"{path}: {state.events} events; repeat them, or remove the folder")
    else:
        today_ms = SystemClock().now_ms() // DAY_MS * DAY_MS
        state = _State(options.events, today_ms - DAYS * DAY_MS)
        options.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(asdict(state)))
    return Traffic(state.events, state.begin_ms)


@contextmanager
def running(folder: Path) -> Iterator[EmbeddedStore]:
    """The store of the folder, with its usual limits; ended afterwards."""
    store = EmbeddedStore(folder / "store", die_with_parent=True)
    store.start()
    try:
        yield store
    finally:
        store.stop()


def fill(store: StoreSettings, traffic: Traffic, say: Say, *, blocks: int | None = None) -> None:
    """Write what is not there yet, the first blocks only or all."""
    migrate(store)
    filling = Filling(store, traffic, blocks)
    began = told = time.monotonic()
    first: int | None = None
    for stored in filling.steps():
        first = stored if first is None else first
        now = time.monotonic()
        if stored > first and (stored == filling.events or now - told >= TELL_S):
            told, done = now, stored - first
            left_s = (filling.events - stored) * (now - began) / done
            say(
                f"{stored:,} of {filling.events:,} events stored,"
                f" {done / (now - began):,.0f} a second, {left_s / 60:.1f} minutes left"
            )

"""A log that grows, slice by slice, through one worker: one round, what an event costs. Resumable.

In: `Options`. Out: slices. The first is warm-up and origin, the others are of one size. In each the
sender puts its events into the log at full speed, while the worker takes them. A slice ends when
`events` is past them and the store is at rest: its CPU is all that worker and store have used since
the end of the one before, so that most merges are in the slice that caused them, and all in one.

A file beside the folder of the data holds the slices that are done. A slice that was cut off begins
anew with other events: its numbers are taken before it begins, and never given again.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.growth.site import Look, Site, site
from benchmarks.load import SPACING_MS
from benchmarks.memory import counts
from benchmarks.resuming import kept_state
from benchmarks.stream.ways import into_store
from streamgauge.deploy.paths import write_atomic

LOOK_S = 1.0
STALLED_S = 120.0
MERGED_S = 60.0
AT_ONCE = 8_000
"""Messages that bare `consume()` asks for."""


Mark = tuple[Look, dict[str, int]]
"""Where a slice ends: a look, and what there is of parts (Site.parts)."""


@dataclass(frozen=True, slots=True)
class Options:
    """folder: of the data. first: events of the warm-up. slices: after it, up to `events`.

    spacing_ms: from an event's time to the next one's; with more of it there are more windows.
    """

    folder: Path
    events: int
    first: int
    slices: int
    spacing_ms: int = SPACING_MS

    @property
    def path(self) -> Path:
        """Where the state is kept."""
        return self.folder.with_suffix(".json")

    @property
    def each(self) -> int:
        """Events of a slice, rounded up."""
        return -(-(self.events - self.first) // self.slices)

    def as_json(self) -> dict[str, Any]:
        """What must be the same when a run is resumed."""
        return {
            "events": self.events, "first": self.first, "slices": self.slices,
            "spacing_ms": self.spacing_ms,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """What one was. begin: events in the log before it. us: CPU an event. mb: mean, resident.

    merged: bytes, unpacked, that merges read for an event. disk_bytes: of all, packed, an event.
    """

    life: int
    begin: int
    events: int
    wall_s: float
    worker_us: float
    store_us: float
    worker_mb: float
    store_mb: float
    parts: int
    disk_bytes: float
    merged: float

    @property
    def us(self) -> float:
        """CPU of worker and store together."""
        return self.worker_us + self.store_us

    @property
    def middle(self) -> float:
        """Events in the log in its middle."""
        return self.begin + self.events / 2


@dataclass(slots=True)
class State:
    """How far a run is. number: of the next event. bare_us: of bare consume(), first and last.

    peaks_mb: of worker and store. counts: raw rows and requests in the windows, at the very end.
    """

    options: dict[str, Any]
    slices: list[Slice] = field(default_factory=list)
    number: int = 0
    lives: int = 0
    seconds: float = 0.0
    bare_us: list[float] = field(default_factory=list)
    peaks_mb: tuple[float, float] = (0.0, 0.0)
    log: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def wrong(self) -> int:
        """By how much rows and windows differ from the log; of a round that is done."""
        return sum(abs(self.counts[name] - self.log) for name in ("raw", "n10", "n60", "n3600"))

    @classmethod
    def load(cls, options: Options) -> State:
        """Of a round with these options, done or not, else a new one; ValueError: other options."""
        kept = kept_state(options.path, options.as_json())
        if kept is None:
            return cls(options.as_json())
        return cls(**kept | {"slices": [Slice(**one) for one in kept["slices"]]})

    def save(self, path: Path) -> None:
        """Replace what is there."""
        write_atomic(path, json.dumps(asdict(self)))


def run(options: Options, say: Callable[[str], None]) -> State:
    """To the end; what was done is not done again, and data whose counts are exact are removed.

    RuntimeError: something ended, or nothing was stored for two minutes.
    """
    path, state = options.path, State.load(options)
    if state.counts:
        return state
    if not state.slices:
        shutil.rmtree(options.folder, ignore_errors=True)  # of a run that was judged
    state.lives += 1
    state.save(path)
    began = time.monotonic() - state.seconds
    with site(options.folder, database="growth", spacing_ms=options.spacing_ms) as on:
        _caught_up(on)
        mark = _mark(on)
        while len(state.slices) <= options.slices:
            n = options.each if state.slices else options.first
            begin, state.number = state.number, state.number + n
            state.save(path)
            done, mark = _slice(on, state.lives, begin, n, since=mark)
            state.slices.append(done)
            state.peaks_mb = _larger(state.peaks_mb, on.peaks_mb())
            state.seconds = time.monotonic() - began
            state.save(path)
            say(_progress(state, options))
            if len(state.bare_us) < (len(state.slices) > 1) + (len(state.slices) > options.slices):
                state.bare_us.append(_bare_us(on, options.each))
                state.save(path)
                mark = _mark(on)
        state.log = on.log_end()
        on.stop_worker()
        state.counts = counts(on.settings)
    state.seconds = time.monotonic() - began
    state.save(path)
    if not state.wrong:
        shutil.rmtree(options.folder)
    return state


def _caught_up(on: Site) -> None:
    """Nothing is left of a slice that was cut off."""
    for _ in _looks(on, on.log_end()):
        pass


def _mark(on: Site) -> Mark:
    """Now, with the store at rest."""
    on.rest(MERGED_S)
    return on.look(), on.parts()


def _slice(on: Site, life: int, number: int, n: int, *, since: Mark) -> tuple[Slice, Mark]:
    """since: where the one before it ended, so that nothing falls between them."""
    log, orders, began = on.log_end(), on.sender.done, time.monotonic()
    on.sender.order(number, n)
    looks = list(_looks(on, log + n, orders=orders + 1))
    mark = _mark(on)
    (before, before_parts), (after, parts) = since, mark
    if on.log_end() != log + n:
        raise RuntimeError(f"{n:,} were sent: the log went from {log:,} to {on.log_end():,}")
    done = Slice(
        life=life, begin=log, events=n, wall_s=looks[-1].at_s - began,
        worker_us=(after.worker_cpu_s - before.worker_cpu_s) / n * 1e6,
        store_us=(after.store_cpu_s - before.store_cpu_s) / n * 1e6,
        worker_mb=mean(look.worker_mb for look in looks),
        store_mb=mean(look.store_mb for look in looks),
        parts=parts["parts"], disk_bytes=parts["bytes"] / (log + n),
        merged=(parts["merged"] - before_parts["merged"]) / n,
    )  # fmt: skip
    return done, mark


def _looks(on: Site, end: int, *, orders: int = 0) -> Iterator[Look]:
    """Look until so many offsets are stored, and so many orders of the sender are done."""
    moved, stored = time.monotonic(), -1
    while True:
        look = on.look()
        yield look
        if look.stored >= end and on.sender.done >= orders:
            return
        if look.stored > stored:
            moved, stored = look.at_s, look.stored
        elif look.at_s - moved > STALLED_S:
            raise RuntimeError(
                f"{stored:,} of {end:,} offsets stored, no more in {STALLED_S:.0f} s: see {on.log}"
            )
        time.sleep(LOOK_S)


def _bare_us(on: Site, n: int) -> float:
    """CPU an event of bare consume() and the store, the last n of the log, an empty database."""
    found = into_store(on.services, "bare", n, AT_ONCE, "last")
    return 1e6 / float(found["core"]) + float(found["store_us"])


def _larger(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return max(one[0], other[0]), max(one[1], other[1])


def _progress(state: State, options: Options) -> str:
    last = state.slices[-1]
    left = options.events - last.begin - last.events
    minutes, seconds = divmod(round(max(0, left) / last.events * last.wall_s), 60)
    return (
        f"{(last.begin + last.events) / 1e6:6.2f} million, {minutes}:{seconds:02} left;"
        f" {last.us:.1f} us an event: worker {last.worker_us:.1f}, store {last.store_us:.1f};"
        f" {last.events / last.wall_s:,.0f} events/s; worker {last.worker_mb:.0f} MB,"
        f" store {last.store_mb:.0f} MB, {last.parts} parts, {last.disk_bytes:.0f} bytes an event,"
        f" {last.merged:,.0f} bytes merged for it"
    )

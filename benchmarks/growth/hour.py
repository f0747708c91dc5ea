"""An hour by the clock: does the worker's memory stay flat, and is what it stores exact and fresh?

In: seconds and events a second. Out: figures. The first sixth (ten minutes of an hour) is warm-up.
After it the worker's resident memory, looked at about every 5 s, is cut into 20 slices of time; a
straight line through their means may grow, at its upper bound, by 10 % over the whole time, warm-up
included (see trend.py). Age: of the newest event that a query of raw rows sees, at random moments;
what a reader sees is never older. An hour cannot be resumed: one that was cut off begins anew.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

from benchmarks.growth.site import Look, Site, site
from benchmarks.growth.trend import means, trend
from benchmarks.memory import counts
from benchmarks.report import Figure

EVERY_S = (4.5, 5.5)
WARM_SHARE = 1 / 6
LANDED_S = 60.0
SAY_S = 60.0
FIRST = 1_000
"""Events before the hour, so that it begins with a worker that works."""
NEWEST = (
    "SELECT toUnixTimestamp64Milli(max(ts)) AS newest_ms FROM events"
    " WHERE kind = 0 AND tenant = 'default' AND ts > now64(3) - INTERVAL 10 MINUTE"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, and how old the newest stored event was then, ms."""

    look: Look
    age_ms: float


@dataclass(frozen=True, slots=True)
class End:
    """What there was when all was stored. counts: raw rows and requests in the windows."""

    acked: int
    counts: dict[str, int]
    peaks_mb: tuple[float, float]
    behind_s: float


def run(
    folder: Path, *, seconds: float, rate: float, say: Callable[[str], None]
) -> dict[str, Figure]:
    """The hour, and its figures; the samples go to a file beside the folder.

    RuntimeError: something ended, or did not land within a minute.
    """
    n = round(seconds * rate)
    with site(folder, database="hour") as on, folder.with_suffix(".jsonl").open("w") as kept:
        _ready(on)
        began = time.monotonic()
        on.sender.order(FIRST, n, rate=rate)
        samples: list[Sample] = []
        said = began
        while not (on.sender.done == 2 and on.stored() >= FIRST + n):
            time.sleep(random.uniform(*EVERY_S))
            samples.append(Sample(on.look(), _age_ms(on)))
            kept.write(json.dumps(asdict(samples[-1])) + "\n")
            kept.flush()
            if time.monotonic() - began > seconds + LANDED_S:
                raise RuntimeError(f"not stored {LANDED_S:.0f} s after the last was sent: {n:,}")
            if time.monotonic() - said >= min(SAY_S, seconds / 6):
                said = time.monotonic()
                say(_progress(samples[-1], said - began, seconds))
        peaks = on.peaks_mb()
        on.stop_worker()
        end = End(on.sender.acked, counts(on.settings), peaks, on.sender.behind_s)
    return judge(samples, end, began=began, seconds=seconds, rate=rate)


def judge(
    samples: Sequence[Sample], end: End, *, began: float, seconds: float, rate: float
) -> dict[str, Figure]:
    """Figures of the hour. Pure; began: when it did, as the looks count."""
    warm = began + seconds * WARM_SHARE
    span = (warm, began + seconds)
    samples = [s for s in samples if s.look.at_s < span[1]]
    judged = [s.look for s in samples if s.look.at_s >= warm]
    at = [look.at_s for look in judged]

    def grows(mb: Sequence[float]) -> tuple[float, float]:
        found = trend(*means(at, mb, over=span), over=(warm, warm + seconds))
        return found.level, 100 * found.most

    worker_mb, worker_growth = grows([look.worker_mb for look in judged])
    _, store_growth = grows([look.store_mb for look in judged])
    first, last = judged[0], judged[-1]
    stored, busy_s = last.stored - first.stored, last.at_s - first.at_s
    worker_s = last.worker_cpu_s - first.worker_cpu_s
    store_s = last.store_cpu_s - first.store_cpu_s
    ages = quantiles([s.age_ms / 1000 for s in samples], n=100, method="inclusive")
    wrong = sum(abs(end.counts[name] - end.acked) for name in ("raw", "n10", "n60", "n3600"))
    return {
        "time by the clock": Figure(seconds, "s"),
        "events acknowledged": Figure(end.acked, "events", bar=seconds * rate),
        "rows and windows against them, differences": Figure(wrong, "", bar=0, better="lower"),
        "memory of the worker, growth at most": Figure(worker_growth, "%", bar=10, better="lower"),
        "memory of the worker, after warm-up": Figure(worker_mb, "MB", better="lower"),
        "memory of the worker, peak": Figure(
            end.peaks_mb[0], "MB", bar=400, aim=200, better="lower"
        ),
        "memory of the store, growth at most": Figure(store_growth, "%", better="lower"),
        "memory of the store, peak": Figure(end.peaks_mb[1], "MB", better="lower"),
        "age of the newest stored event, p50": Figure(ages[49], "s", better="lower"),
        "age of the newest stored event, p99": Figure(ages[98], "s", better="lower"),
        "worker, CPU an event": Figure(worker_s / stored * 1e6, "us", better="lower"),
        "store, CPU an event": Figure(store_s / stored * 1e6, "us", better="lower"),
        "worker and store, of a core": Figure(
            100 * (worker_s + store_s) / busy_s, "%", better="lower"
        ),
        "sender behind its clock, at most": Figure(end.behind_s, "s", better="lower"),
    }


def _ready(on: Site) -> None:
    """The worker has stored its first events."""
    on.sender.order(0, FIRST, rate=FIRST)
    deadline = time.monotonic() + LANDED_S
    while on.stored() < FIRST:
        on.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker stored nothing in {LANDED_S:.0f} s: see {on.log}")
        time.sleep(0.1)


def _age_ms(on: Site) -> float:
    (row,) = on.client.query(NEWEST)
    return time.time() * 1000 - float(row["newest_ms"])


def _progress(sample: Sample, passed: float, seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds - passed)), 60)
    look = sample.look
    return (
        f"{passed:5.0f} s, {minutes}:{rest:02} left; {look.acked:,} acknowledged,"
        f" {look.stored:,} stored, the newest {sample.age_ms / 1000:.1f} s old;"
        f" worker {look.worker_mb:.0f} MB, store {look.store_mb:.0f} MB"
    )

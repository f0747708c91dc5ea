"""What rounds over a growing log come to. Pure.

In: slices, and what stands at the end. Out: figures with their bars. Cost and memory are straight
lines over the events in the log (trend.py), through the slices of all rounds: for cost all but the
first of each round, for memory those of the worker process that took the most, its first left out;
these are the same if a round was never interrupted. A line over a part of the range, and its bound,
are drawn out over the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean, median

from benchmarks.growth.slices import Options, Slice, State
from benchmarks.growth.trend import FEWEST, Trend, trend
from benchmarks.report import Figure

BAR = 10.0
"""Percent over the whole range."""


def judge(states: Sequence[State], options: Options) -> dict[str, Figure]:
    """Figures of all rounds. ValueError: no worker process took the four slices of a line."""
    judged = [s for state in states for s in state.slices[1:]]
    one_life = [s for state in states for s in longest_life(state.slices)]
    over = (float(options.first), float(options.events))
    half = mean(over)
    halves = [s for s in judged if s.middle < half], [s for s in judged if s.middle >= half]

    def cost(us: list[float]) -> Trend:
        return trend([s.middle for s in judged], us, over=over)

    def memory(mb: list[float]) -> Trend:
        return trend([s.middle for s in one_life], mb, over=over)

    both, worker_mb = cost([s.us for s in judged]), memory([s.worker_mb for s in one_life])
    pace, late_pace = (median(s.events / s.wall_s for s in part) for part in halves)
    merged, late_merged = (mean(s.merged for s in part) for part in halves)
    ends = [state.slices[-1] for state in states]
    peak_mb = [max(state.peaks_mb[i] for state in states) for i in (0, 1)]
    return {
        "rounds": Figure(len(states), ""),
        "events in the log": Figure(min(s.log for s in states), "events", bar=options.events),
        "slices of a round": Figure(min(len(s.slices) for s in states) - 1, "", bar=FEWEST),
        "rows and windows against it, differences": Figure(
            sum(state.wrong for state in states), "", bar=0, better="lower"
        ),
        "worker and store, CPU an event, growth at most": _most(both, bar=BAR),
        "the same as the line has it": _percent(both.growth),
        "worker, CPU, growth at most": _most(cost([s.worker_us for s in judged])),
        "store, CPU, growth at most": _most(cost([s.store_us for s in judged])),
        "worker and store, CPU an event, at the start": Figure(both.level, "us", better="lower"),
        **_beside(states),
        "events/s, first half": Figure(pace, "events/s"),
        "events/s, second half": Figure(late_pace, "events/s"),
        "memory of the worker, growth at most": _most(worker_mb, bar=BAR),
        "memory of the worker, at the start": Figure(worker_mb.level, "MB", better="lower"),
        "memory of the worker, peak": Figure(peak_mb[0], "MB", bar=400, aim=200, better="lower"),
        "events through one worker process": Figure(
            min(sum(map(_events, longest_life(s.slices, warm=True))) for s in states), "events"
        ),
        "memory of the store, growth at most": _most(memory([s.store_mb for s in one_life])),
        "memory of the store, peak": Figure(peak_mb[1], "MB", better="lower"),
        "store, disk an event, at the end": Figure(
            mean(s.disk_bytes for s in ends), "bytes", better="lower"
        ),
        "store, merged for an event, first half": Figure(merged, "bytes", better="lower"),
        "store, merged for an event, second half": Figure(late_merged, "bytes", better="lower"),
        "store, parts at the end": Figure(max(s.parts for s in ends), "", better="lower"),
        "lives of the rounds": Figure(sum(s.lives for s in states), "", better="lower"),
        "time": Figure(sum(s.seconds for s in states), "s", better="lower"),
    }


def longest_life(slices: Sequence[Slice], *, warm: bool = False) -> list[Slice]:
    """Of the process that took the most slices, all but its first; warm: that too."""
    ((life, _),) = Counter(s.life for s in slices).most_common(1)
    return [s for s in slices if s.life == life][0 if warm else 1 :]


def _events(one: Slice) -> int:
    return one.events


def _most(found: Trend, *, bar: float | None = None) -> Figure:
    return _percent(found.most, bar=bar)


def _percent(share: float, *, bar: float | None = None) -> Figure:
    return Figure(100 * share, "%", bar=bar, better="lower")


def _beside(states: Sequence[State]) -> dict[str, Figure]:
    """Bare consume() on the events of the first and the last slice, each into an empty database.

    It has no history, so what it costs more at the end is the machine's doing, not the log's.
    """
    whole = [state for state in states if len(state.bare_us) == 2]
    if not whole:
        return {}
    first, last = (mean(state.bare_us[i] for state in whole) for i in (0, 1))
    ours = mean(s.slices[-1].us for s in whole) / mean(s.slices[1].us for s in whole)
    return {
        "bare consume(), CPU an event, at the start": Figure(first, "us", better="lower"),
        "bare consume(), CPU an event, at the end": Figure(last, "us", better="lower"),
        "growth, first to last slice, ours to its": Figure(
            ours / (last / first), "x", better="lower"
        ),
    }

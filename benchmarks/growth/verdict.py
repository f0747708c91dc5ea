"""What a run over a growing log comes to. Pure.

In: slices, and what stands at the end. Out: figures with their bars. Cost and memory are straight
lines over the events in the log (trend.py): cost over all slices after the first, memory over those
of the worker process that took the most, its first left out; these are the same if the run was
never interrupted. A line over a part of the range, and its bound, are drawn out over the whole.
"""

from __future__ import annotations

from collections import Counter
from statistics import mean, median

from benchmarks.growth.slices import Options, Slice, State
from benchmarks.growth.trend import FEWEST, Trend, trend
from benchmarks.report import Figure

BAR = 10.0
"""Percent over the whole range."""


def judge(state: State, options: Options) -> dict[str, Figure]:
    """Figures of a whole run. ValueError: no worker process took the four slices of a line."""
    judged = state.slices[1:]
    over = (float(options.first), float(options.events))
    one_life = longest_life(state.slices)

    def cost(us: list[float]) -> Trend:
        return trend([s.middle for s in judged], us, over=over)

    def memory(mb: list[float]) -> Trend:
        return trend([s.middle for s in one_life], mb, over=over)

    both = cost([s.us for s in judged])
    worker_mb = memory([s.worker_mb for s in one_life])
    wrong = sum(abs(state.counts[name] - state.log) for name in ("raw", "n10", "n60", "n3600"))
    return {
        "events in the log": Figure(state.log, "events", bar=options.events),
        "slices": Figure(len(judged), "", bar=FEWEST),
        "rows and windows against it, differences": Figure(wrong, "", bar=0, better="lower"),
        "worker and store, CPU an event, growth at most": _most(both, bar=BAR),
        "the same as the line has it": Figure(100 * both.growth, "%", better="lower"),
        "worker, CPU, growth at most": _most(cost([s.worker_us for s in judged])),
        "store, CPU, growth at most": _most(cost([s.store_us for s in judged])),
        "worker and store, CPU an event, at the start": Figure(both.level, "us", better="lower"),
        **_beside(state, options),
        "events/s, median of the slices": Figure(
            median(s.events / s.wall_s for s in judged), "events/s"
        ),
        "events/s, last five to first five": Figure(_pace(judged[-5:]) / _pace(judged[:5]), "x"),
        "memory of the worker, growth at most": _most(worker_mb, bar=BAR),
        "memory of the worker, at the start": Figure(worker_mb.level, "MB", better="lower"),
        "memory of the worker, peak": Figure(
            state.peaks_mb[0], "MB", bar=400, aim=200, better="lower"
        ),
        "events through one worker process": Figure(
            sum(s.events for s in state.slices if s.life == one_life[0].life), "events"
        ),
        "memory of the store, growth at most": _most(memory([s.store_mb for s in one_life])),
        "memory of the store, peak": Figure(state.peaks_mb[1], "MB", better="lower"),
        "store, disk an event, at the end": Figure(judged[-1].disk_bytes, "bytes", better="lower"),
        "store, merged for an event, first half": _merged(judged[: len(judged) // 2]),
        "store, merged for an event, second half": _merged(judged[len(judged) // 2 :]),
        "store, parts at the end": Figure(judged[-1].parts, "", better="lower"),
        "lives of the run": Figure(state.lives, "", better="lower"),
        "time": Figure(state.seconds, "s", better="lower"),
    }


def longest_life(slices: list[Slice]) -> list[Slice]:
    """Of the process that took the most slices, all but its first."""
    ((life, _),) = Counter(s.life for s in slices).most_common(1)
    return [s for s in slices if s.life == life][1:]


def _most(found: Trend, *, bar: float | None = None) -> Figure:
    return Figure(100 * found.most, "%", bar=bar, better="lower")


def _merged(slices: list[Slice]) -> Figure:
    """Mean of slices of one size: what the store does anew for each event, whatever the machine."""
    return Figure(mean(s.merged for s in slices), "bytes", better="lower")


def _pace(slices: list[Slice]) -> float:
    return median(s.events / s.wall_s for s in slices)


def _beside(state: State, options: Options) -> dict[str, Figure]:
    """Bare consume() on the events of the first and the last slice, each into an empty database.

    It has no history, so what it costs more at the end is the machine's doing, not the log's.
    """
    if len(state.bare_us) != 2:
        return {}
    first, last = state.bare_us
    ours = state.slices[options.slices].us / state.slices[1].us
    return {
        "bare consume(), CPU an event, at the start": Figure(first, "us", better="lower"),
        "bare consume(), CPU an event, at the end": Figure(last, "us", better="lower"),
        "growth, first to last slice, ours to its": Figure(
            ours / (last / first), "x", better="lower"
        ),
    }

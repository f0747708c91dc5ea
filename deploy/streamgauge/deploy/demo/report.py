"""Draws the demo's answer for a terminal, and writes it as plain data for `--json`.

In: the verdict, series from the store, query answers, what the run used. Out: rich renderables and
text. Knows no Kafka and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import plotext
from rich.box import SIMPLE_HEAD
from rich.table import Table

from streamgauge.deploy.demo.verdict import Episode, Planted, Verdict

PLOT_COLUMNS = 76
PLOT_ROWS = 10
TICK_MINUTES = 10


@dataclass(frozen=True, slots=True)
class Plot:
    """One small plot: one value or more, one a minute of event time; marks: minutes to mark."""

    title: str
    minutes: Sequence[int]
    values: Sequence[float]
    marks: Sequence[int]


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """One SQL query as a person would type it, and what it answered."""

    question: str
    sql: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Usage:
    """What the run took."""

    events: int
    megabytes_on_wire: float
    replay_s: float
    total_s: float
    memory_mb: Mapping[str, float]


def clock(ms: int) -> str:
    """Time of day in UTC, as the demo prints all event times."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def duration(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def verdict_table(verdict: Verdict) -> Table:
    """What was planted, when it was found, by which rule, how long after."""
    table = _table("Planted incidents and what was alerted (event time, UTC)")
    table.padding = (0, 0)  # six columns in 80
    table.caption = (
        "Delays are event time, from the incident's begin; most of one is the window of its rule."
    )
    table.caption_justify = "left"
    for name in ("incident", "app", "planted", "detected", "by rule", "delay"):
        table.add_column(name, justify="right" if name == "delay" else "left", no_wrap=True)
    for finding in verdict.findings:
        planted, by, delay_s = finding.planted, finding.by, finding.delay_s
        found_ms = finding.found_ms
        table.add_row(
            planted.kind,
            planted.app,
            clock(planted.start_ms),
            clock(found_ms) if found_ms is not None else "[bold red]missed[/]",
            by.rule if by else "",
            duration(delay_s) if delay_s is not None else "",
        )
    return table


def false_alarm_lines(verdict: Verdict) -> list[str]:
    """One line per alert that nothing explains; one line if there is none."""
    if not verdict.false_alarms:
        return ["false alarms: none"]
    return [f"false alarms: {len(verdict.false_alarms)}"] + [
        f"  {e.rule} on {e.app or '(no app)'} at {clock(e.fired_ms)}, {e.severity}"
        for e in verdict.false_alarms
    ]


def draw(plot: Plot) -> str:
    """The plot as text, for a terminal of 80 columns."""
    plotext.clear_figure()
    plotext.plotsize(PLOT_COLUMNS, PLOT_ROWS)
    plotext.theme("clear")
    plotext.title(plot.title)
    plotext.plot(list(plot.minutes), list(plot.values), marker="braille")
    for mark in plot.marks:
        plotext.vline(mark)
    top = max([*plot.values, 0.0])
    heights = [0.0, top / 2, top] if top > 0 else [0.0]
    plotext.ylim(0, top or 1)
    plotext.yticks(heights, [f"{h:,.0f}" if h >= 1000 else f"{h:.3g}" for h in heights])
    ticks = list(range(0, max([*plot.minutes, 0]) + 1, TICK_MINUTES))
    plotext.xticks(ticks, [str(tick) for tick in ticks])
    plotext.xlabel("minutes of event time; the lines are the incident's begin and end")
    text = str(plotext.build())
    plotext.clear_figure()
    return "\n".join(line.rstrip() for line in plotext.uncolorize(text).splitlines())


def answer_table(answer: QueryAnswer) -> Table:
    """A query's answer as a table."""
    table = _table(answer.question)
    for name in answer.columns:
        table.add_column(name, no_wrap=True)
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def closing_line(verdict: Verdict) -> str:
    """The verdict in a sentence. Only page-class incidents decide it."""
    tickets = [f.planted.kind for f in verdict.findings if not f.planted.page]
    note = f" ({', '.join(tickets)} is ticket class: not needed for it)" if tickets else ""
    if not verdict.ok:
        return f"NOT OK: see the misses and false alarms above{note}"
    if not verdict.findings:
        return "OK: nothing was planted, nothing fired"
    return f"OK: every page-class incident was found, nothing false fired{note}"


def _table(title: str) -> Table:
    """A table that fits a terminal of 80 columns."""
    return Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )


def usage_line(usage: Usage) -> str:
    """What the run used, in one line."""
    memory = ", ".join(f"{name} {mb:.0f}" for name, mb in usage.memory_mb.items())
    return (
        f"{usage.events:,} events, {usage.megabytes_on_wire:.1f} MB of JSON, replayed in"
        f" {usage.replay_s:.0f} s, {usage.total_s:.0f} s in all; memory in MB: {memory}"
    )


def as_json(verdict: Verdict, answers: Sequence[QueryAnswer], usage: Usage) -> dict[str, object]:
    """The whole answer as plain data."""

    def episode(e: Episode) -> dict[str, object]:
        return {
            "rule": e.rule,
            "app": e.app,
            "severity": e.severity,
            "fired_ms": e.fired_ms,
            "paged_ms": e.paged_ms,
        }

    def planted(p: Planted) -> dict[str, object]:
        return {
            "kind": p.kind,
            "app": p.app,
            "start_ms": p.start_ms,
            "end_ms": p.end_ms,
            "page": p.page,
        }

    return {
        "ok": verdict.ok,
        "incidents": [
            {
                **planted(f.planted),
                "by": episode(f.by) if f.by else None,
                "delay_s": f.delay_s,
                "also": [episode(e) for e in f.also],
            }
            for f in verdict.findings
        ],
        "false_alarms": [episode(e) for e in verdict.false_alarms],
        "queries": [
            {
                "question": a.question,
                "sql": a.sql,
                "columns": list(a.columns),
                "rows": [list(r) for r in a.rows],
            }
            for a in answers
        ],
        "usage": {
            "events": usage.events,
            "megabytes_on_wire": round(usage.megabytes_on_wire, 2),
            "replay_s": round(usage.replay_s, 1),
            "total_s": round(usage.total_s, 1),
            "memory_mb": {k: round(v) for k, v in usage.memory_mb.items()},
        },
    }

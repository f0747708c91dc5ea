"""Says in words what a person would otherwise wonder about: pure, from a snapshot."""

from __future__ import annotations

from streamgauge.deploy.stack.plan import TICKERS
from streamgauge.deploy.status.model import DEAD, NO_ANSWER, NOT_READY, OTHER_PID, Snapshot

LAG_WORTH_SAYING = 1000
OLD_TICK_S = 15.0
RULES_BEHIND_S = 150.0
"""The coarsest usual grid of a rule and twice the lateness of a replay, with some room."""
LOW_DISK_BYTES = 2 * 1024**3


def explain(seen: Snapshot) -> list[str]:
    """One line for each thing that is not there yet or not as it should be, and why."""
    lines = []
    if seen.state == "failed":
        lines.append(f"the last start failed: {seen.error}")
    if seen.state in ("never started", "down", "failed", "killed"):
        lines.append("start it: streamgauge up")
    for process in seen.processes:
        if process.state == "missing":
            lines.append(f"{process.name}: {process.note}")
        elif process.state == "restarting":
            lines.append(f"{process.name} is being restarted: {process.note}")
        elif process.state in (DEAD, NO_ANSWER):
            lines.append(f"{process.name}: {process.note}")
        elif process.state == NOT_READY:
            lines.append(f"{process.name} is not ready: {process.note}")
        elif process.note.startswith(OTHER_PID):
            lines.append(f"{process.name} {process.note}")
    lines += [f"{service} does not answer" for service in seen.silent]
    if seen.state != "up":
        return lines
    lines += _writers(seen)
    if seen.rules_problem:
        lines.append(f"the rule files are refused, those of before run on: {seen.rules_problem}")
    behind = rules_are_behind(seen.rules_behind_s, seen.lateness_s)
    if behind:
        lines.append(behind)
    stored = any(w.writer == "metrics" and w.watermark_ms is not None for w in seen.writers)
    engine = any(p.name == "alerts" and p.state == "up" for p in seen.processes)
    if stored and engine and seen.rules_until_ms is None:
        lines.append("no rule has been evaluated yet: there may be alerts that do not show")
    if not seen.toxicity_weights:
        lines.append(
            "toxicity is NULL: no Detoxify weights here (STREAMGAUGE_DETOXIFY_BUNDLE names none), "
            "status no_scorer; the built-in lexical scorer writes its own metric"
        )
    if seen.drift_warming:
        apps = [f"{app} {n} of {m}" for app, (n, m) in seen.drift_warming.items()]
        more = f" and {len(apps) - 5} more apps" if len(apps) > 5 else ""
        lines.append(f"drift is warming up, windows of history: {', '.join(apps[:5])}{more}")
    if seen.free_bytes < LOW_DISK_BYTES:
        lines.append(f"only {seen.free_bytes / 1024**3:.1f} GB are free on the data folder's disk")
    return lines


def rules_are_behind(behind_s: float | None, lateness_s: float) -> str:
    """One line if alerts must still be expected for what is stored; else empty."""
    if behind_s is None or behind_s <= RULES_BEHIND_S + lateness_s:
        return ""
    return f"rules are {behind_s:.0f} s of event time behind what is stored: alerts may still come"


def _writers(seen: Snapshot) -> list[str]:
    lines = []
    known = {writer.writer for writer in seen.writers}
    for process in seen.processes:
        ticks = process.name in TICKERS and process.state == "up"
        if ticks and process.name not in known:
            lines.append(f"{process.name} has not ticked yet: it is starting")
    for writer in seen.writers:
        if writer.tick_age_s > OLD_TICK_S:
            lines.append(f"{writer.writer} has not ticked for {writer.tick_age_s:.0f} s")
        elif writer.lag > LAG_WORTH_SAYING:
            lines.append(f"{writer.writer} is {writer.lag:,} events behind")
        if writer.watermark_ms is None and writer.completeness not in (None, 1.0):
            lines.append(f"{writer.writer} speaks for {writer.completeness:.0%} of the partitions")
        elif writer.watermark_ms is None:
            lines.append(f"{writer.writer} has no events yet")
    return lines

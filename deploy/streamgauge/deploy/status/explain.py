"""Says in words what a person would otherwise wonder about: pure, from a snapshot."""

from __future__ import annotations

from streamgauge.deploy.stack.plan import TICKERS
from streamgauge.deploy.status.model import DEAD, NO_ANSWER, OTHER_PID, Snapshot

LAG_WORTH_SAYING = 1000
OLD_TICK_S = 15.0
LOW_DISK_BYTES = 2 * 1024**3


def explain(seen: Snapshot) -> list[str]:
    """One line for each thing that is not there yet or not as it should be, and why."""
    lines = []
    if seen.state == "failed":
        lines.append(f"the last start failed: {seen.error}")
    for process in seen.processes:
        if process.state == "missing":
            lines.append(f"{process.name}: {process.note}")
        elif process.state == "restarting":
            lines.append(f"{process.name} is being restarted: {process.note}")
        elif process.state in (DEAD, NO_ANSWER):
            lines.append(f"{process.name}: {process.note}")
        elif process.note.startswith(OTHER_PID):
            lines.append(f"{process.name} {process.note}")
    lines += [f"{service} does not answer" for service in seen.silent]
    if seen.state != "up":
        return lines
    lines += _writers(seen)
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

"""`streamgauge status`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    command,
    find_context,
    home_option,
    human_bytes,
    human_seconds,
    json_option,
    table,
)
from streamgauge.deploy.status.model import Snapshot


@command(example="streamgauge status\nstreamgauge status --json | jq .writers")
@home_option
@json_option
def status(home: Path | None, *, as_json: bool) -> int:
    """What runs, where, how fresh, how big; and what is not there yet, and why.

    Exit 0 if the stack is up and all of it works, else 1.
    """
    from streamgauge.deploy.status import collect, explain

    seen = collect(find_context(home), clock=SystemClock())
    notes = explain(seen)
    if as_json:
        answer_json({**asdict(seen), "notes": notes, "ok": seen.ok})
    else:
        answer(show(seen, notes, now_ms=SystemClock().now_ms()))
    return 0 if seen.ok else 1


def show(seen: Snapshot, notes: list[str], *, now_ms: int) -> str:
    """The snapshot as text for a terminal."""
    up = f", up {human_seconds(seen.uptime_s)}" if seen.uptime_s is not None else ""
    clock = f", clock {seen.clock_mode}, lateness {seen.lateness_s:g} s" if seen.clock_mode else ""
    parts = [f"stack {seen.state}{up}{clock}\ndata  {seen.home}"]
    if seen.addresses:
        parts.append(_addresses(seen.addresses))
    if seen.processes:
        parts.append(
            table(
                ["process", "state", "pid", "cpu", "memory", "up", "restarts"],
                [
                    (
                        p.name,
                        p.state,
                        p.pid,
                        None if p.cpu is None else f"{p.cpu:.2f}",
                        None if p.rss_bytes is None else human_bytes(p.rss_bytes),
                        None if p.up_s is None else human_seconds(p.up_s),
                        p.restarts,
                    )
                    for p in seen.processes
                ],
            )
        )
    if seen.writers:
        parts.append(
            table(
                ["writer", "lag", "stored up to", "completeness", "last tick"],
                [
                    (
                        w.writer,
                        f"{w.lag:,}",
                        None
                        if w.watermark_ms is None
                        else f"{human_seconds(max(0, now_ms - w.watermark_ms) / 1000)} ago",
                        None if w.completeness is None else f"{w.completeness:.3f}",
                        f"{w.tick_age_s:.1f} s ago",
                    )
                    for w in seen.writers
                ],
            )
        )
    if seen.rules_until_ms is not None:
        ago = human_seconds(max(0, now_ms - seen.rules_until_ms) / 1000)
        parts.append(f"rules evaluated up to {ago} ago")
    if seen.disk:
        rows = [(d.what, human_bytes(d.bytes), d.cap) for d in seen.disk]
        parts.append(
            table(["disk", "used", "bounded by"], rows) + f"\nfree  {human_bytes(seen.free_bytes)}"
        )
    if notes:
        parts.append("\n".join(f"note: {note}" for note in notes))
    return "\n\n".join(parts)


def _addresses(at: dict[str, str]) -> str:
    lines = [
        f"Kafka       {at.get('kafka', '-')}   topics {at.get('topic_prefix', '')}*",
        f"ClickHouse  {at.get('clickhouse', '-')}   database {at.get('database', '-')},"
        f" user {at.get('user', '-')}",
    ]
    if "password_file" in at:
        lines.append(f"            password in {at['password_file']}")
    if "reader_user" in at:
        reader, file = at["reader_user"], at.get("reader_password_file", "-")
        lines.append(f"            read-only: user {reader}, password in {file}")
    served = {n.removesuffix("_metrics"): url for n, url in at.items() if n.endswith("_metrics")}
    lines += [f"Prometheus  {url}   of {name}" for name, url in served.items()]
    return "\n".join(lines)

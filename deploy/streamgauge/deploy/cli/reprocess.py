"""`streamgauge reprocess`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from streamgauge.deploy.cli.audit import MOMENT
from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    command,
    find_context,
    home_option,
    json_option,
    say,
    table,
)

NANO = 1e9


@command("reprocess", example="streamgauge reprocess --from 2026-11-24 --to 2026-11-25 --dry-run")
@home_option
@click.option("--from", "start", type=MOMENT, required=True, help="Event time, UTC, a whole hour.")
@click.option("--to", "end", type=MOMENT, required=True, help="Event time, UTC, a whole hour.")
@click.option("--tenant", default="", help="Only this tenant (default: all).")
@click.option("--reason", default="", help="Why, kept in the table `revisions`.")
@click.option("--dry-run", is_flag=True, help="Say what would be rebuilt.")
@json_option
def reprocess(
    home: Path | None,
    start: datetime,
    end: datetime,
    tenant: str,
    reason: str,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Rebuild windows of whole hours from the raw rows, with the prices of this installation.

    Traffic goes on, late events of these hours included. Views show the new windows when all are
    there, all at once. v_requests and v_spend keep the cost that the stream computed; rules judge
    what the stream counted. A run that dies is never shown, or wholly: start it again.
    """
    from streamgauge.stream_processors.metrics.pricing import PriceBook
    from streamgauge.stream_processors.reprocess.run import Task
    from streamgauge.stream_processors.reprocess.run import reprocess as run

    task = Task(_whole(start, "--from"), _whole(end, "--to"), tenant, reason)
    if task.start >= task.end:
        raise click.UsageError(f"--from {task.start:%Y-%m-%d %H:%M} is not before --to")
    report = run(find_context(home).store(), task, PriceBook(), dry_run=dry_run, tell=say)
    if as_json:
        answer_json(asdict(report))
    elif dry_run:
        rows = [(_text(h.hour), len(h.tenants), h.raw, h.counted) for h in report.plan]
        answer(table(["hour", "tenants", "raw rows", "counted"], rows))
    else:
        done = [
            (_text(s.hour), s.rebuilt, s.cost_counted / NANO, s.cost_rebuilt / NANO)
            for s in report.hours
        ]
        answer(table(["hour", "requests", "usd as counted", "usd now"], done))
    n = sum(one.raw for one in report.plan)
    if dry_run or not report.plan:
        say(f"{n:,} requests of {len(report.plan)} hours would be rebuilt by {report.price_book}")
    else:
        say(f"revision {report.revision} is shown: {len(report.hours)} hours, {report.price_book}")
    return 0


def _whole(moment: datetime, option: str) -> datetime:
    aware = moment.replace(tzinfo=moment.tzinfo or UTC)
    if aware.minute or aware.second:
        raise click.UsageError(f"{option} {aware:%Y-%m-%d %H:%M:%S} is not a whole hour")
    return aware


def _text(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:00}"

"""`streamgauge audit`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from streamgauge.contracts.clock import SystemClock
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

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
DAYS = 6  # 10-second windows are kept 7 days


@command("audit", example="streamgauge audit --from 2026-11-24 --to 2026-11-25")
@home_option
@click.option("--from", "start", type=MOMENT, help=f"Event time, UTC (default: {DAYS} days ago).")
@click.option("--to", "end", type=MOMENT, help="Event time, UTC (default: an hour from now).")
@json_option
def audit(home: Path | None, start: datetime | None, end: datetime | None, *, as_json: bool) -> int:
    """Compare offsets, raw rows, windows and clients' numbers; exit 1 if they do not add up.

    The period is widened to whole hours. What an app lost before Kafka had it is in v_loss.
    """
    from streamgauge.storage.audit import audit as look
    from streamgauge.storage.client import connect

    now = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    begin = _hour(start) if start else _hour(now - timedelta(days=DAYS))
    until = _hour(end, up=True) if end else _hour(now + timedelta(hours=1), up=True)
    if begin >= until:
        raise click.UsageError(f"--from {begin:%Y-%m-%d %H:%M} is not before --to")
    with connect(find_context(home).store()) as client:
        found = look(client, begin, until)
    if as_json:
        answer_json({**asdict(found), "from": begin.isoformat(), "to": until.isoformat()})
    elif found.differences:
        head = ["law", "where", "what", "expected", "found"]
        answer(table(head, [tuple(asdict(d).values()) for d in found.differences]))
    period = f"{begin:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"
    say(
        f"{len(found.differences)} differences; {found.requests:,} requests of {period},"
        f" {found.offsets:,} offsets in all"
    )
    if found.unsettled:
        say(
            f"the workers wrote all the while: {', '.join(found.unsettled)} may be a flush apart;"
            " ask again when it is calm"
        )
    return 1 if found.differences else 0


def _hour(moment: datetime, *, up: bool = False) -> datetime:
    aware = moment.replace(tzinfo=moment.tzinfo or UTC)
    whole = aware.replace(minute=0, second=0, microsecond=0)
    return whole + timedelta(hours=1) if up and whole != aware else whole

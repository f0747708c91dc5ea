"""`streamgauge audit`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from streamgauge.storage.audit import Audit  # it brings a ClickHouse client

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
DAYS = 6  # 10-second windows are kept 7 days


@command("audit", example="streamgauge audit --from 2026-11-24 --to 2026-11-25")
@home_option
@click.option("--from", "start", type=MOMENT, help=f"Event time, UTC (default: {DAYS} days ago).")
@click.option("--to", "end", type=MOMENT, help="Event time, UTC (default: an hour from now).")
@json_option
def audit(home: Path | None, start: datetime | None, end: datetime | None, *, as_json: bool) -> int:
    """Compare offsets, raw rows, windows and clients' numbers; exit 1 if they do not add up.

    Windows, and rows that are there twice, are looked at in the period, widened to whole hours;
    offsets and the counts of clients in the whole log. Retention takes tables at different times:
    what both sides no longer have is named as not compared. Numbers that are missing in a client's
    rows of the period are listed, too, and are no difference: they were refused, dropped or lost
    before they came here, or are still on their way. v_loss counts over a client's whole life.
    """
    from streamgauge.storage.audit import SCOPE
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
        period = {"from": begin.isoformat(), "to": until.isoformat()}
        answer_json({**asdict(found), **period, "scope": dict(SCOPE)})
    elif tables := _tables(found):
        answer("\n\n".join(tables))
    where = " in what both sides still have" if found.not_compared else ""
    say(
        f"{len(found.differences)} differences{where};"
        f" {found.requests:,} requests of {_minute(begin)} to {_minute(until)} UTC;"
        f" of the whole log {found.offsets:,} offsets and the counts of clients"
    )
    if found.gaps:
        say(
            f"{len(found.gaps)} clients have numbers that are missing: refused, dropped or lost"
            " before they came here, or still on their way; see v_loss"
        )
    if found.unsettled:
        say(
            f"the workers wrote all the while: {', '.join(found.unsettled)} may be a flush apart;"
            " ask again when it is calm"
        )
    return 1 if found.differences else 0


def _tables(found: Audit) -> list[str]:
    """Those that have rows."""
    tables = []
    if found.differences:
        head = ["law", "where", "what", "expected", "found"]
        tables.append(table(head, [tuple(asdict(d).values()) for d in found.differences]))
    if found.gaps:
        head = ["producer", "numbers missing", "lowest", "highest"]
        tables.append(table(head, [tuple(asdict(gap).values()) for gap in found.gaps]))
    if found.not_compared:
        head = ["not compared", "what", "from", "to", "written before", "why"]
        rows = [
            (n.law, n.what, _minute(n.start), _minute(n.end), n.before, n.why)
            for n in found.not_compared
        ]
        tables.append(table(head, rows))
    return tables


def _minute(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _hour(moment: datetime, *, up: bool = False) -> datetime:
    aware = moment.replace(tzinfo=moment.tzinfo or UTC)
    whole = aware.replace(minute=0, second=0, microsecond=0)
    return whole + timedelta(hours=1) if up and whole != aware else whole

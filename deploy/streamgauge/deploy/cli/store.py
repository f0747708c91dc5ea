"""`streamgauge store migrate | check`."""

from __future__ import annotations

from pathlib import Path

import click

from streamgauge.deploy.cli.base import answer, find_context, group, home_option, say


@group("store", example="streamgauge store migrate --dry-run\nstreamgauge store check")
def store() -> None:
    """The ClickHouse schema: numbered migrations, forward only, each can be repeated."""


@store.command("migrate")
@home_option
@click.option("--cluster", help="Name of a ClickHouse cluster: ON CLUSTER and replicated tables.")
@click.option("--dry-run", is_flag=True, help="Print what would be run.")
@click.option("--heavy", is_flag=True, help="Also those that rewrite data and take long.")
def _migrate(home: Path | None, cluster: str | None, *, dry_run: bool, heavy: bool) -> None:
    """Apply the migrations that the store does not have yet, and the retention that is set."""
    from streamgauge.storage.client import connect
    from streamgauge.storage.migrate import migrate
    from streamgauge.storage.retention import Retention, apply_retention

    retention = Retention.from_env()
    settings = find_context(home).store()
    applied = migrate(settings, cluster=cluster, dry_run=dry_run, heavy=heavy)
    if not dry_run:
        with connect(settings) as client:
            for table in apply_retention(client, retention, cluster=cluster):
                say(f"retention of {table} changed")
    for one in applied:
        if dry_run:
            answer(f"-- {one.version:04} {one.name}, statement {one.statement}\n{one.sql};\n")
        else:
            answer(f"{one.version:04} {one.name}, statement {one.statement}")
    say(f"{len(applied)} statements {'would be run' if dry_run else 'run'} at {settings.url}")


@store.command("check")
@home_option
def _check(home: Path | None) -> int:
    """Compare the store with what this version expects; exit 1 if something differs."""
    from streamgauge.storage.migrate import check

    settings = find_context(home).store()
    problems = check(settings)
    for problem in problems:
        answer(f"{problem.kind}: {problem.message} ({problem.mend})")
    if not problems:
        say(f"the schema at {settings.url} is as this version expects")
    return 1 if problems else 0

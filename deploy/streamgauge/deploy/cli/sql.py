"""`streamgauge sql`: ask ClickHouse, read-only."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    command,
    find_context,
    home_option,
    say,
    table,
)


@command(
    example="streamgauge sql 'SELECT app, sum(requests) FROM v_minute GROUP BY app'\n"
    "streamgauge sql --csv < question.sql > answer.csv\n"
    "streamgauge sql --examples"
)
@click.argument("statement", required=False)
@home_option
@click.option("--csv", "as_csv", is_flag=True, help="Stream CSV with a head line.")
@click.option("--json", "as_json", is_flag=True, help="Stream one JSON array of objects.")
@click.option("--examples", is_flag=True, help="Print statements by question.")
def sql(
    statement: str | None, home: Path | None, *, as_csv: bool, as_json: bool, examples: bool
) -> None:
    """Run one statement with the account that can only read.

    The statement is the argument or, without one, standard input.
    """
    from streamgauge.contracts.errors import Misconfigured
    from streamgauge.deploy import sql as asking

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other", click.get_current_context())
    if examples and as_csv:
        raise click.UsageError("--examples has no CSV", click.get_current_context())
    if examples and as_json:
        answer_json([{"question": e.question, "sql": e.sql} for e in asking.examples()])
        return
    if examples:
        for example in asking.examples():
            answer(f"-- {example.question}\n{example.sql};\n")
        return
    text = statement
    if text is None:
        if sys.stdin.isatty():
            say("type a statement, end it with Ctrl-D:")
        text = sys.stdin.read()
    text = text.strip().rstrip(";")
    if not text:
        raise Misconfigured("no statement", hint="streamgauge sql --examples shows some")
    store = find_context(home).store(reader=True)
    if as_csv or as_json:
        form = "CSVWithNames" if as_csv else "JSONEachRow"
        chunks = asking.ask_stream(store, text, form=form)
        for chunk in asking.json_array(chunks) if as_json else chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    found = asking.ask_rows(store, text)
    answer(table(found.columns, found.rows))
    say(f"{len(found.rows)} row{'' if len(found.rows) == 1 else 's'}")

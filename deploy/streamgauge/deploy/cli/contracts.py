"""`streamgauge contracts show | export`: the wire's JSON Schemas."""

from __future__ import annotations

from pathlib import Path

import click

from streamgauge.deploy.cli.base import answer, group, say


@group("contracts", example="streamgauge contracts show llm.request")
def contracts() -> None:
    """The wire: events, alerts, ticks, scores, dead letters, directives."""


@contracts.command("show")
@click.argument("name", required=False)
def _show(name: str | None) -> None:
    """Print one JSON Schema, or the names of all."""
    from streamgauge.contracts.errors import Misconfigured
    from streamgauge.contracts.schemas import all_schemas, render

    found = all_schemas()
    if name is None:
        for each in found:
            answer(each)
        return
    if name not in found:
        raise Misconfigured(f"no schema {name!r}", hint=f"there are: {', '.join(found)}")
    answer(render(found[name]).rstrip())


@contracts.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def _export(folder: Path) -> None:
    """Write every JSON Schema into a folder; prints the files."""
    from streamgauge.contracts.errors import Misconfigured
    from streamgauge.contracts.schemas import export

    try:
        written = export(folder)
    except OSError as error:
        raise Misconfigured(f"cannot write into {folder}: {error.strerror}") from error
    for path in written:
        answer(str(path))
    say(f"{len(written)} schemas")

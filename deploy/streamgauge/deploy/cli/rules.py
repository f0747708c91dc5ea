"""`streamgauge rules check`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from streamgauge.deploy.cli.base import answer, answer_json, group, json_option, say


@group("rules", example="streamgauge rules check my-rules/")
def rules() -> None:
    """Alert rules: YAML files, checked strictly."""


@rules.command("check")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@json_option
def _check(path: Path | None, *, as_json: bool) -> int:
    """Check a rule file or folder (default: STREAMGAUGE_RULES, else the shipped pack).

    Prints one line per problem, with file and line; exit 1 if there is one.
    """
    from streamgauge.alerting.rules.loader import DEFAULT_PACK, read
    from streamgauge.contracts.environment import ENV_RULES
    from streamgauge.contracts.errors import Misconfigured

    where = path or Path(os.environ.get(ENV_RULES) or DEFAULT_PACK)
    if not where.exists():
        raise Misconfigured(f"no rules at {where}", hint="name a .yml file or a folder of them")
    found, problems = read(where)
    if as_json:
        answer_json(
            [
                {"file": p.file, "line": p.line, "rule": p.rule, "message": p.message}
                for p in problems
            ]
        )
    else:
        for problem in problems:
            answer(str(problem))
    if not problems:
        one = len(found.rules) == 1
        say(f"{len(found.rules)} rule{'' if one else 's'} in {where} {'is' if one else 'are'} good")
    return 1 if problems else 0

"""What every command is made of: lazy groups, examples before usage, answers and messages.

@command(example="streamgauge topics check")
def check() -> None: ...
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import category

import click

from streamgauge.deploy.context import Context

MAX_CELL = 120
INCIDENTS = "error_burst, latency_x3, cost_x4, silence, runaway, unknown_model"
"""Kinds of planted incidents (producers.traffic), which `--help` does not import."""
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _WithExample:
    """Help that opens with an example."""

    example: str = ""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Example, then what click writes."""
        if self.example:
            formatter.write_text("Example:")
            with formatter.indentation():
                for line in self.example.splitlines():
                    formatter.write(f"  {line}\n")
            formatter.write("\n")
        super().format_help(ctx, formatter)  # type: ignore[misc]  # a mixin of click.Command


class ExampleCommand(_WithExample, click.Command):
    """A command with an example."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, but an SQL comment in front of a statement is no option."""
        return super().parse_args(ctx, [f"\n{a}" if a.startswith("-- ") else a for a in args])


class ExampleGroup(_WithExample, click.Group):
    """A group with an example."""

    command_class = ExampleCommand

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names with the whole first sentence of each command's help."""
        rows = []
        for name in self.list_commands(ctx):
            found = self.get_command(ctx, name)
            text = (found.help or "") if found is not None else ""
            rows.append((name, " ".join(text.split("\n\n")[0].split())))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were written down."""
        return list(self.commands)


class LazyGroup(ExampleGroup):
    """A group whose commands are imported when they are called, so that `--help` is fast."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were written down."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in self._lazy:
            return None
        where, attribute = self._lazy[cmd_name][0].split(":")
        found = getattr(importlib.import_module(where), attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names with the one-line help written beside them: nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_where, text) in self._lazy.items()])


def command(
    name: str | None = None, *, example: str
) -> Callable[[Callable[..., Any]], click.Command]:
    """Decorator: a command with an example."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=ExampleCommand, context_settings=CONTEXT_SETTINGS)(function)
        made.example = example
        return made

    return wrap


def group(name: str, *, example: str) -> Callable[[Callable[..., Any]], ExampleGroup]:
    """Decorator: a group with an example."""

    def wrap(function: Callable[..., Any]) -> ExampleGroup:
        made = click.group(name, cls=ExampleGroup, context_settings=CONTEXT_SETTINGS)(function)
        made.example = example
        return made

    return wrap


home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Data folder of the stack (default: STREAMGAUGE_HOME, else your user data folder).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


def find_context(home: Path | None = None) -> Context:
    """The environment and the running stack."""
    return Context.find(home=home)


def harmless(text: str) -> str:
    """Text that does nothing to a terminal: control characters become escapes.

    Labels and messages of others are shown, and they may hold anything.

    >>> print(harmless("red: " + chr(27) + "[31m"))
    red: \\x1b[31m
    """
    return "".join(c if c in "\n\t" or category(c)[0] != "C" else ascii(c)[1:-1] for c in text)


def say(line: str) -> None:
    """A message for the person at the terminal: stderr."""
    click.echo(harmless(line), err=True)


def answer(line: str) -> None:
    """An answer: stdout."""
    click.echo(harmless(line))


def answer_json(value: object) -> None:
    """An answer for programs: one JSON document on stdout."""
    json.dump(value, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns, two spaces apart; numbers to the right. None is shown as -.

    For eyes: floats are rounded (3 places, small ones 6 digits), long texts cut at MAX_CELL.
    """
    body = [[_cell(cell) for cell in row] for row in rows]
    numeric = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(head))]
    widths = [max(len(head[i]), *(len(r[i]) for r in body), 0) for i in range(len(head))]
    lines = []
    for row in [list(head), *body]:
        cells = [
            row[i].rjust(widths[i]) if numeric[i] else row[i].ljust(widths[i])
            for i in range(len(head))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1 else f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value).replace("\n", " ")
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 3] + "..."


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").lstrip("-").isdigit()


def human_bytes(count: float) -> str:
    """1536 -> 1.5 kB (1 kB = 1024 bytes).

    >>> human_bytes(1536), human_bytes(10)
    ('1.5 kB', '10 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def human_seconds(seconds: float) -> str:
    """3700 -> 1h 1m.

    >>> human_seconds(59), human_seconds(3700), human_seconds(90061)
    ('59s', '1h 1m', '1d 1h')
    """
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    if minutes:
        return f"{minutes}m {whole % 60}s"
    return f"{whole}s"

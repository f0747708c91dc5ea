"""Types of numeric options: what is no number of that kind is a usage error, with its range."""

from __future__ import annotations

import math

import click


class Number(click.FloatRange):
    """A finite number within bounds: unlike click's, it takes neither nan nor inf."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As click does; fails for nan and inf."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return found


class Duration(click.ParamType):
    """Seconds, written as in rule files: 90s, 30m, 6h, 2d."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Fails, with the reason, for what a rule file would not take either."""
        from streamgauge.alerting.rules.durations import parse_duration  # pydantic: not for --help

        try:
            return parse_duration(value) / 1000
        except ValueError as error:
            self.fail(str(error), param, ctx)


SPEED = Number(min=0, max=1_000_000)
SECONDS = Number(min=0, max=10_000_000)
RATE = Number(min=0, min_open=True, max=1_000_000)
PORT = click.IntRange(0, 65_535)
DURATION = Duration()
COUNT = click.IntRange(min=1)

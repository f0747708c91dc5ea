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


SPEED = Number(min=0, max=1_000_000)
SECONDS = Number(min=0, max=10_000_000)
RATE = Number(min=0, min_open=True, max=1_000_000)
PORT = click.IntRange(0, 65_535)
COUNT = click.IntRange(min=1)

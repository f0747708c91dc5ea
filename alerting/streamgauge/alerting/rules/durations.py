"""Durations as people write them in rule files: `90s`, `5m`, `2h`, `14d`.

In: a string. Out: integer milliseconds. A bare number is refused, because its unit is a guess.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORM = re.compile(r"^(\d+)([smhd])$")


def parse_duration(text: object) -> int:
    """Milliseconds of `text`; ValueError if it is no whole number with a unit s, m, h or d."""
    if isinstance(text, str):
        found = _FORM.match(text.strip())
        if found:
            return int(found[1]) * UNIT_MS[found[2]]
        if text.strip().isdigit():
            raise ValueError(f'"{text}" has no unit; write "{text}m" or "{text}s"')
    if isinstance(text, int) and not isinstance(text, bool):
        raise ValueError(f'{text} has no unit; write "{text}m" or "{text}s"')
    raise ValueError(f'{text!r} is no duration; write for example "90s", "5m", "2h" or "14d"')


def format_duration(ms: int) -> str:
    """The shortest way to write it: 300000 -> `5m`."""
    for unit in ("d", "h", "m"):
        if ms and ms % UNIT_MS[unit] == 0:
            return f"{ms // UNIT_MS[unit]}{unit}"
    return f"{ms // 1000}s"


DurationMs = Annotated[int, BeforeValidator(parse_duration)]
"""A duration in ms, written with its unit."""

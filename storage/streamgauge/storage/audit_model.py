"""What an audit says: differences, what could not be compared, numbers that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, Literal

Law = Literal["offsets", "twice", "windows", "clients"]
SCOPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "offsets": "whole log",
        "twice": "period",
        "windows": "period",
        "clients": "whole log",
        "gaps": "period",
    }
)
"""What each law, and the search for missing numbers, looks at."""
EPOCH: Final = date(1970, 1, 1)
"""The engine's minimum of no days."""


@dataclass(frozen=True, slots=True)
class Since:
    """The first day of writing that is whole; why those before are not. EPOCH: all are."""

    day: date = EPOCH
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two figures that should be one."""

    law: Law
    where: str
    what: str
    expected: int
    found: int


@dataclass(frozen=True, slots=True)
class NotCompared:
    """What was written before `before`: nobody has both sides of it any more.

    start, end: of the hours that have such rows, in event time, end excluded; None: of a law that
    looks at the whole log.
    """

    law: Law
    what: str
    start: datetime | None
    end: datetime | None
    before: date
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a client that are not there: how many, the lowest and the highest of them.

    They were refused, dropped or lost before this store, or are still on their way.
    """

    producer_id: str
    missing: int
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what differs.

    requests: raw rows of the period. offsets: of the whole log, with an outcome. unsettled: laws
    whose tables never stood together. gaps: of the period, between numbers that are there.
    """

    requests: int
    offsets: int
    differences: tuple[Difference, ...]
    unsettled: tuple[Law, ...]
    not_compared: tuple[NotCompared, ...]
    gaps: tuple[Gap, ...]

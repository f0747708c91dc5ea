"""One line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """ok; warn = works, or is not needed now; bad = something will not work."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, what was seen, how to mend it (empty if it is fine)."""

    what: str
    level: Level
    seen: str
    mend: str = ""

"""State of a long run that was cut off: only for the same options is it gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def kept_state(path: Path, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run with these options left in the file, None: nothing; ValueError: other options."""
    if not path.exists():
        return None
    kept: dict[str, Any] = json.loads(path.read_text())
    if kept["options"] != options:
        raise ValueError(
            f"{path} is of a run with {kept['options']}: remove its folder or repeat them"
        )
    return kept

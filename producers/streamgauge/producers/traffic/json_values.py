"""Reads JSON that others wrote so that nothing behind it stumbles over what was read.

In: a text. Out: its value, which `json.dumps` can write again from anywhere: finite numbers only,
nested at most MAX_DEPTH deep. Everything else is a ValueError that says what is wrong. Not here:
which fields there must be (ndjson.py, texts.py, traces.py).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_DEPTH = 200
"""Far more than any event has, far less than the interpreter's limit from any place in our code."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(text: str) -> Any:
    """The value of a JSON text; ValueError for everything that is none, or is not tame."""
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def _depth(text: str) -> int:
    """How deep the brackets outside strings are nested; no recursion, whatever the text is."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is larger than any float")
    return value

"""Waiting for a condition, with a deadline: the only way in which a test may wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, timeout_s: float = 60.0) -> T:
    """Poll until the condition gives something true, and return that; fails saying what did not."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)
    return found


def measured_below(
    limit_s: float, measure: Callable[[], float], what: str, *, attempts: int = 3
) -> None:
    """Measure seconds until once they are below the limit; print all; fail if they never are.

    A busy machine can make something slower, never faster: one good measurement shows that it can.
    """
    took_s: list[float] = []
    while not took_s or (took_s[-1] >= limit_s and len(took_s) < attempts):
        took_s.append(measure())
    print(f"{what}: {', '.join(f'{s:.1f} s' for s in took_s)}")
    assert took_s[-1] < limit_s, f"{what}: never below {limit_s:g} s: {took_s}"

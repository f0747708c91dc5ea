"""Asks a stream worker whether it can work: its /readyz. In: its port. Out: why not, in a line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

ANSWER_S = 2.0


def unready(port: int) -> str:
    """What the worker on this port of 127.0.0.1 lacks; empty if it is ready. Never raises."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=ANSWER_S):
            return ""
    except urllib.error.HTTPError as refused:
        with refused:
            return _problems(refused.read())
    except OSError as e:
        return f"its endpoint on port {port} does not answer: {e}"


def _problems(body: bytes) -> str:
    try:
        return "; ".join(f"{what}: {why}" for what, why in json.loads(body)["problems"].items())
    except (ValueError, KeyError, AttributeError, TypeError):
        return "its endpoint answers something else"

"""Whether a response is one valid JSON document, as apps with structured output need it.

In: a response. Out: metric `json_valid`, 1 or 0; NaN and Infinity are no JSON; a single Markdown
code fence around the document is taken off, since models add it and most apps strip it. The label
says what it is (`object`, `array`, `value`) or why not (`not_json`, `fenced_object` ...).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, NoReturn

from streamgauge.contracts.scores import Side
from streamgauge.stream_processors.scores.scorer import Kind, Metric, Outcome, Scored

_FENCE: Final = re.compile(r"\A```[a-zA-Z]*\n(.*)\n```\Z", re.DOTALL)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


class JsonValidity:
    """The scorer `json`."""

    name = "json"
    version = "1"
    kind = Kind.CODE
    sides = frozenset({Side.RESPONSE})
    metrics = (Metric("json_valid"),)
    weights_hash = ""
    engine = ""

    def score_batch(self, texts: Sequence[str]) -> Sequence[Outcome]:
        """1 or 0 per text."""
        return [_score(text) for text in texts]


def _score(text: str) -> Outcome:
    body = text.strip()
    fence = _FENCE.match(body)
    try:
        document = json.loads(fence[1] if fence else body, parse_constant=_refuse)
    except RecursionError:
        return Scored((0.0,), "too_deep")
    except ValueError:
        return Scored((0.0,), "not_json")
    shape = "object" if isinstance(document, dict) else "value"
    shape = "array" if isinstance(document, list) else shape
    return Scored((1.0,), f"fenced_{shape}" if fence else shape)

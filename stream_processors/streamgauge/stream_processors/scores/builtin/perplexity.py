"""Perplexity of a response under its own model: exp(-mean log probability per token).

In: `logprob_mean` of the event. Out: metric `perplexity`, 1 or more, exact as far as the sender's
mean is. Without log probabilities there is nothing to read: `no_text`. A mean above 0 is not a log
probability: `bad_text`. Source: Jurafsky, Martin, "Speech and Language Processing", 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from streamgauge.contracts.scores import ScoreStatus, Side
from streamgauge.stream_processors.scores.scorer import (
    Kind,
    Law,
    Metric,
    NotScored,
    Outcome,
    RequestFacts,
    Scored,
)

MIN_LOGPROB = -100.0
"""exp(100) is far beyond any vocabulary: less is a sender's mistake."""


class Perplexity:
    """The scorer `perplexity`."""

    name = "perplexity"
    version = "1"
    kind = Kind.NUMERIC
    sides = frozenset({Side.RESPONSE})
    metrics = (Metric("perplexity", Law.LOG2),)
    weights_hash = ""
    engine = ""

    def score_requests(self, requests: Sequence[RequestFacts]) -> Sequence[Outcome]:
        """exp(-mean) per request."""
        return [_score(r.logprob_mean) for r in requests]


def _score(mean: float | None) -> Outcome:
    if mean is None:
        return NotScored(ScoreStatus.NO_TEXT, "no_logprobs")
    if not MIN_LOGPROB <= mean <= 0:
        return NotScored(ScoreStatus.BAD_TEXT, "not_a_logprob")
    return Scored((math.exp(-mean),))

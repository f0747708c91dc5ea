"""Settings of scores: which scorers run and which share of texts each one reads.

STREAMGAUGE_SCORERS              names with commas; default: all built-in and installed ones
STREAMGAUGE_SCORES_SAMPLE        share of requests scored: `0.25`, or `0.25,lexical=1`
STREAMGAUGE_SCORES_THREADS       threads that score; default 1
STREAMGAUGE_SCORES_CACHE         outcomes remembered, by hash of the text; default 100000, 0 = none
STREAMGAUGE_DETOXIFY_BUNDLE      folder with the weights of the toxicity model; unset: none
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgauge.contracts.environment import number
from streamgauge.contracts.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """enabled: names, None = all. default_probability, probabilities: 0 < p <= 1, by scorer."""

    enabled: frozenset[str] | None = None
    default_probability: float = 1.0
    probabilities: Mapping[str, float] = field(default_factory=dict)
    threads: int = 1
    cache_size: int = 100_000

    def probability(self, scorer: str) -> float:
        """With which probability a request is scored by this scorer."""
        return self.probabilities.get(scorer, self.default_probability)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> ScoreSettings:
        """The settings in the environment; Misconfigured names the variable that is wrong."""
        names = [n.strip() for n in env.get("STREAMGAUGE_SCORERS", "").split(",") if n.strip()]
        default, by_name = 1.0, {}
        for part in env.get("STREAMGAUGE_SCORES_SAMPLE", "").split(","):
            name, eq, raw = part.strip().rpartition("=")
            if raw and eq:
                by_name[name] = _probability(raw)
            elif raw:
                default = _probability(raw)
        return cls(
            enabled=frozenset(names) if names else None,
            default_probability=default,
            probabilities=by_name,
            threads=number(env, "STREAMGAUGE_SCORES_THREADS", 1, 1, 256, int),
            cache_size=number(env, "STREAMGAUGE_SCORES_CACHE", 100_000, 0, 100_000_000, int),
        )


def _probability(raw: str) -> float:
    try:
        p = float(raw)
    except ValueError:
        p = 0.0
    if not 1e-6 <= p <= 1:
        raise Misconfigured(
            f"STREAMGAUGE_SCORES_SAMPLE holds {raw!r}, expected a share from 0.000001 to 1",
            hint="to switch a scorer off, leave it out of STREAMGAUGE_SCORERS",
        )
    return p

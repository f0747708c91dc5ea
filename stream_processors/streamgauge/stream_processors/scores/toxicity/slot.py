"""Which scorer sits in the toxicity slot: an engine over a bundle, or nobody.

In: the environment (STREAMGAUGE_DETOXIFY_BUNDLE). Out: a scorer named `detoxify`. Nobody = a
`MissingScorer`: it is counted (`no_scorer`), never silently replaced.
Engines register in ENGINES under the name that bundles state; this release ships none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from streamgauge.contracts.scores import Side
from streamgauge.stream_processors.scores.scorer import Kind, Metric, TextScorer
from streamgauge.stream_processors.scores.toxicity.bundle import Bundle, open_bundle

log = logging.getLogger(__name__)

NAME: Final = "detoxify"
METRIC: Final = "toxicity"
VARIABLE: Final = "STREAMGAUGE_DETOXIFY_BUNDLE"
ENGINES: Final[dict[str, Callable[[Bundle], TextScorer]]] = {}
"""Engine name -> maker of a scorer over a bundle. The scorer's metrics are the bundle's labels."""


class MissingScorer:
    """A scorer that should be there and is not. Every request counts as `no_scorer`."""

    kind = Kind.MODEL
    sides = frozenset({Side.PROMPT, Side.RESPONSE})
    weights_hash = ""
    engine = ""

    def __init__(self, name: str, metrics: tuple[Metric, ...], *, reason: str) -> None:
        self.name = name
        self.version = "none"
        self.metrics = metrics
        self.reason = reason


def toxicity_scorer(env: Mapping[str, str]) -> TextScorer | MissingScorer:
    """The scorer in the slot. Misconfigured if the bundle that was named is not in order."""
    folder = env.get(VARIABLE, "")
    if not folder:
        return MissingScorer(NAME, (Metric(METRIC),), reason="no weights")
    bundle = open_bundle(Path(folder))
    make = ENGINES.get(bundle.engine)
    if make is None:
        reason = f"no engine {bundle.engine!r} in this release (has: {sorted(ENGINES) or 'none'})"
        log.warning("toxicity_engine_missing", extra={"bundle": folder, "reason": reason})
        return MissingScorer(NAME, (Metric(METRIC),), reason=reason)
    return make(bundle)

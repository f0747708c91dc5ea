"""Texts that were scored before: a bounded map from the hash of (scorer, text) to the outcome.

In: a scorer and a text. Out: the outcome it had, bit for bit. Holds hashes, never texts. Errors
are not kept: they may be the machine's fault. Not thread-safe: it belongs to the flush thread.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from streamgauge.stream_processors.scores.scorer import Outcome, ScorerIdentity


def text_key(scorer: ScorerIdentity, text: str) -> bytes:
    """16 bytes that stand for this text under this very scorer (name, version, weights, engine)."""
    who = "\0".join((scorer.name, scorer.version, scorer.weights_hash, scorer.engine))
    return blake2b(
        text.encode("utf-8", "surrogatepass"),
        digest_size=16,
        key=blake2b(who.encode(), digest_size=32).digest(),
    ).digest()


class OutcomeCache:
    """The `size` outcomes used last. 0 switches it off."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()

    def get(self, key: bytes) -> Outcome | None:
        """The outcome, or None if this text is new."""
        outcome = self._outcomes.get(key)
        if outcome is not None:
            self._outcomes.move_to_end(key)
        return outcome

    def put(self, key: bytes, outcome: Outcome) -> None:
        """Remember an outcome; the one unused for longest makes room."""
        if self._size <= 0:
            return
        self._outcomes[key] = outcome
        self._outcomes.move_to_end(key)
        if len(self._outcomes) > self._size:
            self._outcomes.popitem(last=False)

    def __len__(self) -> int:
        """Outcomes held."""
        return len(self._outcomes)

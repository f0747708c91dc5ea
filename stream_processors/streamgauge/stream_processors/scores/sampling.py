"""Which requests are scored: by a hash of the event's id, so that a replay takes the same sample.

In: event id and the scorer's probability. Out: yes or no. A smaller sample is part of a larger one
and all scorers share one draw, so their scores can be joined. The weight of a scored text is
1 / (probability here x probability with which its sender kept the text): rates stay unbiased.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

SALT: Final = b"streamgauge.scores/1"
_SPAN: Final = 1 << 64


def draw(event_id: str) -> float:
    """A number in [0, 1), the same for the same id for ever."""
    digest = blake2b(event_id.encode("utf-8", "replace"), digest_size=8, key=SALT).digest()
    return int.from_bytes(digest, "big") / _SPAN


def is_sampled(event_id: str, probability: float) -> bool:
    """Whether a request is in the sample of this probability."""
    return probability >= 1 or draw(event_id) < probability

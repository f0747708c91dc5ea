"""What of a text leaves the process: mask, redact, cut, hash, sample; keyed hashes of identities.

Order for each text: the app's mask callback, built-in redaction (capture "redacted"), cut to 8 KiB.
If the mask raises or returns no string, the text does not leave. Hashes are HMAC-SHA256 with the
deployment's key, first 128 bits in hex, of the text as the app gave it; without a key they are left
out. Sampling is decided by the trace (or event) id, so a trace is all in or all out; errors keep
their text. Runs in the worker thread only.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from streamgauge.contracts.bounds import MAX_TEXT_BYTES
from streamgauge.producers._redact import redact
from streamgauge.producers._shapes import Capture
from streamgauge.producers._text import clean, cut, join
from streamgauge.producers._values import Cut

Mask = Callable[[str], str]
HASH_HEX_CHARS: Final = 32


class MaskFailedError(Exception):
    """The app's mask callback raised, or returned something that is no string."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as it may leave, with what is known of the whole one."""

    text: str
    chars: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Privacy:
    """The deployment's choice about texts and identities. `key`: HMAC key, b"" if there is none."""

    capture: Capture
    mask: Mask | None
    key: bytes
    hash_ids: bool
    text_probability: float

    @property
    def sends_text(self) -> bool:
        """Whether any text may leave."""
        return self.capture in ("redacted", "full")

    def keeps_text_of(self, identity: str, *, failed: bool) -> bool:
        """Whether this event's texts are in the sample."""
        if failed or self.text_probability >= 1.0:
            return True
        digest = blake2b(identity.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.text_probability * 2.0**64

    def show(self, text: str | Cut) -> Shown:
        """Mask, redact, cut. Raises MaskFailedError: then nothing of the text may leave."""
        chars = text.chars if type(text) is Cut else len(text)
        shown = clean(text if isinstance(text, str) else join(text))
        if self.mask is not None:
            shown = self._masked(shown)
        shown = self.redacted(shown)
        short = cut(shown, MAX_TEXT_BYTES)
        return Shown(short, chars, short is not shown or type(text) is Cut)

    def _masked(self, text: str) -> str:
        assert self.mask is not None
        try:
            masked = self.mask(text)
        except BaseException as error:  # the app's code: even SystemExit must not end our thread
            raise MaskFailedError from error
        if type(masked) is not str:
            raise MaskFailedError
        return clean(masked)

    def redacted(self, text: str) -> str:
        """Built-in redaction, unless the app asked for raw text."""
        return text if self.capture == "full" else redact(text)

    def hash_text(self, text: str | Cut) -> str | None:
        """Keyed hash of a text, for exact repeats; None without a key or with capture "none"."""
        if self.capture == "none" or not self.key:
            return None
        if isinstance(text, str):
            return self._hmac(text)
        return self._hmac(f"{text.chars}\0{text.head}\0{text.tail}")

    def identity(self, value: str) -> str | None:
        """A user's or key's id as it may leave; None if it must be hashed and there is no key."""
        if not self.hash_ids:
            return value
        return self._hmac(value) if self.key else None

    def _hmac(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, data, "sha256").hex()[:HASH_HEX_CHARS]

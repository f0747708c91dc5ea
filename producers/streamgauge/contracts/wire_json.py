"""From bytes to a JSON object, the way every decoder of ours must read it. No pydantic.

In: the value of a Kafka message. Out: its fields as a dict, cleaned, and what cleaning changed.
The rules, once for all decoders:

- more than MAX_EVENT_BYTES: refused;
- not UTF-8 (anywhere, also in fields nobody reads), a byte order mark, broken JSON, bare NaN or
  Infinity, nesting beyond the interpreter's limit: refused;
- the last of two equal names counts;
- null is the same as absent;
- a lone surrogate or a NUL in a string becomes U+FFFD, and is counted;
- an integer of more than MAX_INT_DIGITS digits is read as a float (so it is infinite, and refused
  where a field holds it).

Not here: which fields there are (events/), and how to be fast (a decoder may take a short cut where
the outcome is the same; see tests/property/contracts).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from streamgauge.contracts.bounds import MAX_EVENT_BYTES
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.reasons import Reject

MAX_INT_DIGITS = 308
REPLACEMENT = "�"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A JSON object. replaced: how many characters had to be replaced."""

    fields: dict[str, Any]
    replaced: int


def load_object(raw: bytes) -> Loaded:
    """The cleaned JSON object in `raw`; BadInput with a `Reject` reason if there is none."""
    if len(raw) > MAX_EVENT_BYTES:
        raise BadInput(
            f"event has {len(raw)} bytes, at most {MAX_EVENT_BYTES} are taken",
            reason=Reject.TOO_LARGE,
            hint="cut the texts before sending",
        )
    try:
        value = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_parse_int
        )
        cleaner = _Cleaner()
        cleaned = cleaner.clean(value)
    except RecursionError:
        raise BadInput("event is nested too deep", reason=Reject.BAD_JSON) from None
    except ValueError as e:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise BadInput(
            f"event is not JSON: {e}", reason=Reject.BAD_JSON, hint="send one JSON object, UTF-8"
        ) from None
    if not isinstance(cleaned, dict):
        raise BadInput(
            f"event is a JSON {type(value).__name__}, expected an object", reason=Reject.WRONG_TYPE
        )
    return Loaded(cleaned, cleaner.replaced)


def replace_unstorable(text: str) -> tuple[str, int]:
    """`text` with each NUL and lone surrogate as U+FFFD, and how many there were."""
    return _UNSTORABLE.subn(REPLACEMENT, text)


class _Cleaner:
    """Walks a decoded JSON value; drops null members and replaces what no store can hold."""

    def __init__(self) -> None:
        self.replaced = 0

    def clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self._text(k): self.clean(v) for k, v in value.items() if v is not None}
        if isinstance(value, list):
            return [self.clean(v) for v in value]
        return value

    def _text(self, text: str) -> str:
        cleaned, n = replace_unstorable(text)
        self.replaced += n
        return cleaned


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INT_DIGITS else float(digits)

"""Field by field: from a frozen value to what the wire takes, or Unfit.

Bounds come from streamgauge.contracts.bounds, so what the client sends no worker refuses.
REQUEST and FEEDBACK are the tables; text fields, ids and the envelope's `ts` are the builder's
business (_build.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from streamgauge.contracts import bounds
from streamgauge.producers._text import clean
from streamgauge.producers._values import Cut

Cleaner = Callable[[object], object]


class UnfitError(ValueError):
    """The value cannot stand in this field."""


def _string(value: object, max_chars: int) -> str | None:
    if type(value) is Cut:
        value = value.head
    if type(value) is str:
        return clean(value[:max_chars]) or None
    if type(value) is int or type(value) is float:
        return str(value)[:max_chars]
    raise UnfitError


def label(value: object) -> object:
    """A string of at most 256 characters; numbers become strings; empty means unknown."""
    return _string(value, bounds.MAX_STRING_CHARS)


def short(value: object) -> object:
    """An identifier of at most 64 characters."""
    return _string(value, bounds.MAX_ID_CHARS)


def integer(low: int, high: int) -> Cleaner:
    """Whole numbers from low to high; a float without fraction counts as one."""

    def check(value: object) -> object:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is int and low <= value <= high:
            return value
        raise UnfitError

    return check


def number(low: float = -1e300, high: float = 1e300) -> Cleaner:
    """Finite numbers from low to high."""

    def check(value: object) -> object:
        if (type(value) is float or type(value) is int) and low <= value <= high:
            return value
        raise UnfitError

    return check


def duration(value: object) -> object:
    """Milliseconds, to the whole microsecond: more digits are noise, and cost bytes."""
    if (type(value) is float or type(value) is int) and 0 <= value <= bounds.MAX_DURATION_MS:
        return round(value, 3)
    raise UnfitError


def boolean(value: object) -> object:
    """True or False, nothing that merely looks like it."""
    if type(value) is bool:
        return value
    raise UnfitError


def choice(*words: str) -> Cleaner:
    """One of a closed list of words."""

    def check(value: object) -> object:
        if type(value) is str and value in words:
            return value
        raise UnfitError

    return check


def hexadecimal(digits: int) -> Cleaner:
    """Lower-case hex of at most so many digits."""
    pattern = re.compile(rf"[0-9a-f]{{1,{digits}}}")

    def check(value: object) -> object:
        if type(value) is str and pattern.fullmatch(lower := value.lower()):
            return lower
        raise UnfitError

    return check


def rows(limit: int, columns: Mapping[str, Cleaner], *, required: str) -> Cleaner:
    """A list of flat objects: known columns only, rows without the required one left out."""

    def check(value: object) -> object:
        if type(value) is not tuple:
            raise UnfitError
        out = []
        for item in value[:limit]:
            if type(item) is dict:
                row = clean_row(item, columns)
                if required in row:
                    out.append(row)
        if value and not out:
            raise UnfitError
        return out or None

    return check


def clean_row(item: Mapping[str, object], columns: Mapping[str, Cleaner]) -> dict[str, object]:
    """The columns of one object that fit."""
    row: dict[str, object] = {}
    for name, column in columns.items():
        value = item.get(name)
        if value is not None:
            try:
                cleaned = column(value)
            except UnfitError:
                continue
            if cleaned is not None:
                row[name] = cleaned
    return row


def _base64(value: object) -> object:
    if type(value) is str and re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", value):
        return value or None
    raise UnfitError


tokens: Final = integer(0, bounds.MAX_TOKENS)
count: Final = integer(0, bounds.MAX_COUNT)
small: Final = integer(0, bounds.MAX_SMALL_COUNT)
cost: Final = integer(0, bounds.MAX_COST_NANO_USD)
int64: Final = integer(bounds.MIN_INT64, bounds.MAX_INT64)
real: Final = number()

ENVELOPE: Final[Mapping[str, Cleaner]] = {
    **dict.fromkeys(("tenant", "app", "env", "team", "feature", "release", "region"), label),
    "trace_id": hexadecimal(32),
    "span_id": hexadecimal(16),
    "parent_span_id": hexadecimal(16),
    "session_id": label,
}

REQUEST: Final[Mapping[str, Cleaner]] = {
    **ENVELOPE,
    **dict.fromkeys(
        (
            "op", "provider", "model", "response_model", "response_id", "system_fingerprint",
            "server_address", "error_type", "service_tier", "speed", "reasoning_level",
            "output_type", "finish_reason", "prompt_name", "prompt_version", "template_hash",
            "variant", "embedding_model",
        ),
        label,
    ),
    "status": choice("ok", "error", "cancelled", "timeout"),
    "usage_source": choice("provider", "estimated", "none"),
    "cache_status": choice("hit", "miss", "bypass"),
    "http_status": small,
    "retries": small,
    "stream": boolean,
    "refused": boolean,
    "output_valid": boolean,
    **dict.fromkeys(
        ("duration_ms", "ttft_ms", "queue_ms", "chunk_gap_p50_ms", "chunk_gap_max_ms"), duration
    ),
    **dict.fromkeys(
        (
            "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
            "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens",
            "audio_output_tokens", "image_input_tokens", "max_tokens",
        ),
        tokens,
    ),
    **dict.fromkeys(
        ("chunks", "stalls", "input_chars", "output_chars", "messages_n", "logprob_n"), count
    ),
    "n": small,
    "cost_nano_usd": cost,
    **dict.fromkeys(("temperature", "top_p", "logprob_mean", "logprob_min"), real),
    "seed": int64,
    "directive_revision": integer(0, bounds.MAX_INT64),
    "tools": rows(
        bounds.MAX_TOOLS,
        {
            "name": label, "ok": boolean, "duration_ms": duration,
            "args_chars": count, "result_chars": count,
        },
        required="name",
    ),
    "sources": rows(
        bounds.MAX_SOURCES,
        {"id": label, "source": label, "score": real, "rank": count},
        required="id",
    ),
    "guardrails": rows(
        bounds.MAX_GUARDRAILS, {"name": label, "action": label, "score": real}, required="name"
    ),
    "embedding": _base64,
}  # fmt: skip

FEEDBACK: Final[Mapping[str, Cleaner]] = {
    **ENVELOPE,
    "target_id": short,
    "response_id": label,
    "name": label,
    "value": real,
    "label": label,
    "annotator": choice("human", "llm", "code"),
    "evaluator": label,
}

REQUEST_TEXTS: Final = ("input_text", "output_text", "reference_text")
OWN: Final = frozenset({"id", "ts", "user_id", "key_id", "tags"})


def tags(value: object) -> dict[str, str]:
    """At most 16 tags, key <= 40, value <= 200 characters; true/false in words, others left out."""
    if type(value) is not dict:
        raise UnfitError
    out: dict[str, str] = {}
    for key, item in value.items():
        if len(out) == bounds.MAX_TAGS:
            break
        if type(item) is bool:
            item = "true" if item else "false"
        try:
            name = _string(key, bounds.MAX_TAG_KEY_CHARS)
            text = _string(item, bounds.MAX_TAG_VALUE_CHARS)
        except UnfitError:
            continue
        if name and text:
            out[name] = text
    return out

"""What all wire models share: frozen, strict, deaf to unknown fields; bytes in and out.

Every record on a topic is a `Record`. `to_json_bytes` gives the same bytes for the same record
whatever order its maps were filled in; `parse_record` is its inverse. Events have their own
parser (events/parse.py), because they come from anybody.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from streamgauge.contracts import bounds
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.reasons import Reject

LOW_CARDINALITY: dict[str, Any] = {"x-low-cardinality": True}


class Record(BaseModel):
    """Base of every wire model. Unknown fields are ignored; numbers are not made from strings."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
    )


def from_ms(epoch_ms: int) -> datetime:
    """Aware UTC datetime of milliseconds since the epoch."""
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).replace(microsecond=epoch_ms % 1000 * 1000)


def to_ms(instant: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded down."""
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def _to_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC)


def rfc3339(instant: datetime) -> str:
    """A UTC moment as the wire has it: `2026-01-31T12:00:00.000Z`."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
]
"""A moment: aware UTC datetime in code, `2026-01-31T12:00:00.000Z` on the wire."""


def _no_bool(value: object) -> object:
    if isinstance(value, (bool, float)):  # True == 1 == 1.0, and Literal compares
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Major1 = Annotated[Literal[1], BeforeValidator(_no_bool)]
"""The major version of a record: the integer 1."""

EpochMs = Annotated[int, Field(ge=0, le=bounds.MAX_INT64)]
"""Milliseconds since the epoch, UTC."""

Label = Annotated[str, Field(max_length=bounds.MAX_STRING_CHARS)]
Lax = Strict(False)
"""For tuple fields: a JSON array is a list in Python, and strict mode would want a tuple."""

R = TypeVar("R", bound=Record)


def to_json_bytes(record: Record) -> bytes:
    """Compact JSON, names sorted, unknown (None) left out, UTF-8. Same record, same bytes."""
    value = record.model_dump(mode="json", exclude_none=True, by_alias=True)
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def parse_record(model: type[R], raw: bytes) -> R:
    """A record of ours from its bytes; BadInput with a `Reject` reason."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as e:
        raise refusal(e, what=model.__name__) from None


def refusal(error: ValidationError, *, what: str) -> BadInput:
    """The BadInput of a failed validation: the most telling of its errors, in `Reject` order."""
    ranked = sorted(
        error.errors(include_url=False, include_context=True),
        key=lambda d: (_ORDER[_reason(d)], ".".join(map(str, d["loc"]))),
    )
    first = ranked[0]
    where = ".".join(str(part) for part in first["loc"]) or "(the whole)"
    more = f"; {len(ranked) - 1} more errors" if len(ranked) > 1 else ""
    reason = _reason(first)
    seen = "" if reason is Reject.MISSING_FIELD else f", got {_shown(first['input'])}"
    return BadInput(f"{what}: {where}: {first['msg']}{seen}{more}", reason=reason)


def _shown(value: object) -> str:
    """What an error may tell of a value: never a long string, it may be a prompt."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else f"a string of {len(value)} characters"
    if isinstance(value, (list, tuple, dict)):
        return f"{type(value).__name__} of {len(value)}"
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."


_ORDER = {reason: i for i, reason in enumerate(Reject)}
_BOUNDS = frozenset(
    {
        "greater_than", "greater_than_equal", "less_than", "less_than_equal", "too_long",
        "too_short", "string_too_long", "string_too_short", "string_pattern_mismatch",
    }
)  # fmt: skip


def _reason(error: ErrorDetails) -> Reject:
    kind = error["type"]
    if kind == "missing":
        return Reject.MISSING_FIELD
    if kind == "json_invalid":
        return Reject.BAD_JSON
    if kind == "finite_number":
        return Reject.NOT_FINITE
    if kind in ("literal_error", "enum"):
        if not isinstance(error["input"], str):
            major = error["loc"][-1:] in (("v",), ("schema",)) and isinstance(error["input"], int)
            return Reject.UNKNOWN_MAJOR if major else Reject.WRONG_TYPE
        return Reject.UNKNOWN_VALUE
    if kind in _BOUNDS:
        too_old = kind == "greater_than_equal" and error["loc"][-1:] == ("ts",)
        return Reject.TS_TOO_OLD if too_old else Reject.OUT_OF_BOUNDS
    return _CUSTOM.get(kind, Reject.WRONG_TYPE)


_CUSTOM = {"one_of_missing": Reject.MISSING_FIELD}

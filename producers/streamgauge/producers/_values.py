"""Arbitrary objects to plain values, without running anybody's code, within bounds.

`freeze_fields` runs on the app's thread: it replaces what could change later, be huge or run code
when touched, and says how many bytes the result keeps alive. Subclasses of str, int and float (an
enum member, numpy's float64) become the plain value through the base type's own slot, so overridden
methods are never called. What no field can hold becomes UNFIT: counted and left out by the worker.
Not here: which field wants which type (_fields.py).
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any, Final, NamedTuple

from streamgauge.contracts.bounds import MAX_INT64, MIN_INT64
from streamgauge.producers._classes import is_class, name_of

PRECUT_CHARS: Final = 65_536
MAX_ITEMS: Final = 64
MAX_FIELDS: Final = 128
ENTRY_BYTES: Final = 512
VALUE_BYTES: Final = 32


class Cut(NamedTuple):
    """Both ends of a text too long to be kept whole in the queue, and its full length."""

    head: str
    tail: str
    chars: int


class Unfit:
    """Stands for a value that no field can hold."""

    __slots__ = ()


UNFIT: Final = Unfit()
_PLAIN: Final = frozenset({float, bool, type(None), Unfit})


def plain_str(value: object) -> str | None:
    """The text of a str or of a subclass of it; None for anything else."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]  # exact type just checked
    return str.__str__(value) if issubclass(kind, str) else None


def _scalar(value: object) -> object:
    kind = type(value)
    if kind is str:
        text: str = value  # type: ignore[assignment]  # exact type just checked
        if len(text) > PRECUT_CHARS:
            return Cut(text[: PRECUT_CHARS // 2], text[-PRECUT_CHARS // 2 :], len(text))
        return text
    if kind is int:
        return value if MIN_INT64 <= value <= MAX_INT64 else UNFIT  # type: ignore[operator]  # an int
    if kind in _PLAIN:
        return value
    if issubclass(kind, str):
        return _scalar(str.__str__(value))
    if issubclass(kind, int):
        return _scalar(int.__int__(value))  # type: ignore[arg-type]  # a subclass of int
    if issubclass(kind, float):
        return float.__float__(value)  # type: ignore[arg-type]  # a subclass of float
    return _foreign(value, kind)


def _foreign(value: Any, kind: type) -> object:
    """Numbers of well-known libraries and UUIDs; everything else is UNFIT and never touched."""
    if is_class(kind, "decimal", "Decimal") or is_class(kind, "fractions", "Fraction"):
        return float(value)
    if is_class(kind, "uuid", "UUID"):
        return str(value)
    # numpy's own scalars, and its arrays of no dimension
    if is_class(kind, "numpy", name_of(kind)) and getattr(value, "shape", (1,)) == ():
        item = value.item()
        return item if type(item) in (int, float, bool, str) else UNFIT
    return UNFIT


def _flat_map(value: dict[Any, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, item in islice(dict.items(value), MAX_ITEMS):
        name = plain_str(key)
        if name is not None:
            flat[name[:MAX_ITEMS]] = _scalar(item)
    return flat


def freeze(value: object) -> object:
    """A plain, bounded copy of a value that is not a plain scalar already."""
    kind = type(value)
    try:
        if issubclass(kind, dict):
            return _flat_map(value)  # type: ignore[arg-type]  # a subclass of dict
        if issubclass(kind, (list, tuple)):
            base: Any = list if issubclass(kind, list) else tuple
            return tuple(
                _flat_map(item) if issubclass(type(item), dict) else _scalar(item)
                for item in islice(base.__iter__(value), MAX_ITEMS)
            )
        return _scalar(value)
    except Exception:  # noqa: BLE001  # the app's object misbehaves: its field is left out, counted
        return UNFIT


def _weight(value: object) -> int:
    if type(value) is tuple or type(value) is Cut:
        return 64 + sum(_weight(item) for item in value)
    if type(value) is dict:
        return sys.getsizeof(value) + sum(sys.getsizeof(k) + _weight(v) for k, v in value.items())
    return sys.getsizeof(value)


def freeze_fields(fields: dict[str, Any]) -> int:
    """Make a call's fields safe to keep, in place; return the bytes they keep alive (about)."""
    size = ENTRY_BYTES
    for name in fields:
        value = fields[name]
        kind = type(value)
        if kind is str and len(value) <= PRECUT_CHARS:
            size += sys.getsizeof(value)
        elif kind in _PLAIN or (kind is int and MIN_INT64 <= value <= MAX_INT64):
            size += VALUE_BYTES
        else:
            frozen = fields[name] = freeze(value)
            size += VALUE_BYTES + _weight(frozen)
    return size

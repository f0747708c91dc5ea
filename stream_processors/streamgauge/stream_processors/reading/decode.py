"""From bytes to events, fast: msgspec Structs that take and refuse what the pydantic models do.

The Structs are generated from the models (field for field, bound for bound). What msgspec takes,
pydantic takes, with the same values; what msgspec refuses goes to the reference parser, which then
decides and names the reason, or repairs (null for a default, NUL, lone surrogates). So a bad event
costs 20 us and a good one 2. One thing msgspec does not look at is UTF-8 and NUL in fields that
nobody reads; `decode_values` does, on all values of a run at once.
Held together by tests/property/metrics.

In: raw values of a run. Out: one outcome per value: an event Struct, or a `Refusal`.
Not here: the bound that needs the append time (the processors), what becomes of events.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamgauge.contracts.bounds import MAX_EVENT_BYTES, MAX_INT64
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import (
    EVENT_TYPES,
    Judgement,
    UnknownEvent,
    parse_event,
)
from streamgauge.contracts.reasons import Reject

_NUL = re.compile(rb"\\u0000")  # half the time of `in`
MAX_EXTRA_KEYS = 32


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is no event. detail: for people, holds no text of the event."""

    reason: Reject
    detail: str


class Sender(msgspec.Struct):
    """Who sent a message that is no event, if it says so."""

    producer_id: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    app: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    tenant: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "default"
    seq: Annotated[int, msgspec.Meta(ge=1, le=MAX_INT64)] | None = None


_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_senders = msgspec.json.Decoder(Sender)


def sender_of(raw: bytes) -> Sender | None:
    """The client instance that a refused message names; None if it names none. Never raises."""
    if not _clean(raw):
        return None
    try:
        return _senders.decode(raw)
    except _ERRORS:
        return None


Decoded = msgspec.Struct | Refusal
"""An event (a Struct of STRUCTS, or UNKNOWN) or why it is none."""


def _constraints(metadata: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _constraints(item.metadata)
            continue
        for theirs, ours in (("ge", "ge"), ("gt", "gt"), ("le", "le"), ("lt", "lt")):
            if getattr(item, theirs, None) is not None:
                found[ours] = getattr(item, theirs)
        for name in ("min_length", "max_length"):
            if getattr(item, name, None) is not None:
                found[name] = getattr(item, name)
    return found


@functools.cache
def _nested(model: type[BaseModel]) -> type[msgspec.Struct]:
    return _struct(model, tag=None)


def _plain(annotation: Any) -> Any:
    """A pydantic annotation as msgspec understands it."""
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is Annotated:
        inner, constraints = _plain(args[0]), _constraints(args[1:])
        return Annotated[inner, msgspec.Meta(**constraints)] if constraints else inner
    if origin in (Union, types.UnionType):
        return Union[tuple(_plain(a) for a in args)]  # noqa: UP007  # built at run time
    if origin is dict:
        return dict[_plain(args[0]), _plain(args[1])]  # type: ignore[misc]
    if origin is tuple:
        return tuple[_plain(args[0]), ...]  # type: ignore[misc]
    if origin is Literal:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _nested(annotation)
    return annotation


def _field(info: FieldInfo) -> Any:
    inner = _plain(info.annotation)
    constraints = _constraints(info.metadata)
    return Annotated[inner, msgspec.Meta(**constraints)] if constraints else inner


def _struct(
    model: type[BaseModel], *, tag: str | None, only: Container[str] | None = None
) -> type[msgspec.Struct]:
    """The Struct of a model; with `only`, of these fields, and it refuses any other key."""
    required, optional = [], []
    for name, info in model.model_fields.items():
        if (tag is not None and name == "type") or (only is not None and name not in only):
            continue
        if info.is_required():
            required.append((name, _field(info)))
        else:
            optional.append((name, _field(info), info.default))
    return msgspec.defstruct(
        model.__name__,
        [*required, *optional],
        kw_only=True,
        frozen=False,
        gc=False,
        forbid_unknown_fields=only is not None,
        tag_field="type" if tag is not None else None,
        tag=tag,
        module=__name__,
        namespace={"__post_init__": _points_and_says} if issubclass(model, Judgement) else None,
    )


def _points_and_says(event: Any) -> None:
    """A judgement without target or verdict: the reference parser names the reason."""
    if event.target_id is None and event.response_id is None and event.trace_id is None:
        raise ValueError("no target")
    if event.value is None and event.label is None:
        raise ValueError("no verdict")


STRUCTS: dict[str, type[msgspec.Struct]] = {
    kind: _struct(model, tag=kind) for kind, model in EVENT_TYPES.items()
}
"""One Struct per event type. Fields as in streamgauge.contracts.events; `type` is the tag."""
UNKNOWN: type[msgspec.Struct] = _struct(UnknownEvent, tag=None)
"""The envelope of an event of another type; has a field `type`."""
REQUEST = STRUCTS["llm.request"]

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Union[tuple(STRUCTS.values())]  # noqa: UP007  # built at run time
)
_keys: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RunDecoder:
    """Decodes runs into Structs with no more fields than the stream carries.

    A request may have 90 fields, and those of one deployment have 30: a Struct with just these is
    made, filled and read in half the time. It refuses any other key; such an event becomes a full
    Struct, and its keys belong to the next Struct. So an event's Struct has the fields that it
    says something about, or more; a field that it lacks is unknown.
    """

    def __init__(self) -> None:
        model = EVENT_TYPES["llm.request"]
        always = {"producer_id", "seq", "sdk", "host"}
        self._fields = always | {
            name
            for name, info in model.model_fields.items()
            if info.is_required() or info.default is not None  # absent is not unknown
        }
        self._known = frozenset(model.model_fields)
        self._extra: dict[str, None] = {}  # keys that no field has, so that they need no detour
        self._learn({})

    def _learn(self, keys: Iterable[str]) -> None:
        """Make the Struct that takes these keys, too."""
        for key in keys:
            if key in self._known:
                self._fields.add(key)
            elif len(self._extra) < MAX_EXTRA_KEYS:
                self._extra[key] = None
        tag = "llm.request"
        slim = _struct(EVENT_TYPES[tag], tag=tag, only=self._fields)
        if self._extra:
            extra = [
                (f"extra_{i}", msgspec.Raw, msgspec.field(name=key, default=msgspec.Raw()))
                for i, key in enumerate(self._extra)
            ]
            slim = msgspec.defstruct(
                "Extended", extra, bases=(slim,), kw_only=True, frozen=False, gc=False,
                forbid_unknown_fields=True, tag_field="type", tag=tag, module=__name__,
            )  # fmt: skip
        others = [struct for kind, struct in STRUCTS.items() if kind != tag]
        self._decode = msgspec.json.Decoder(Union[(slim, *others)]).decode

    def decode(self, values: Sequence[bytes]) -> list[Decoded]:
        """One outcome per value. Never raises, whatever the bytes."""
        blob = b"".join(values)
        if not _clean(blob) or len(blob) > MAX_EVENT_BYTES < max(map(len, values)):
            return [_careful(raw) for raw in values]
        events: list[Decoded] = []
        new: set[str] = set()
        rest = iter(values)
        while True:
            try:
                events.extend(map(self._decode, rest))
                break
            except _ERRORS:  # what came before it is in the list
                raw = values[len(events)]
                events.append(self._full(raw, new))
        if new:
            self._learn(sorted(new))
        return events

    def _full(self, raw: bytes, new: set[str]) -> Decoded:
        try:
            event: Decoded = _decoder.decode(raw)
        except _ERRORS:
            return _reference(raw)
        if isinstance(event, REQUEST):
            keys = _keys.decode(raw).keys() - self._fields - self._extra.keys() - {"type"}
            if len(self._extra) >= MAX_EXTRA_KEYS:
                keys &= self._known
            new |= keys
        return event


def kind_of(event: msgspec.Struct) -> str:
    """Type of an event, `llm.request` and so on."""
    tag = event.__struct_config__.tag
    return str(tag) if tag is not None else str(event.type)  # type: ignore[attr-defined]


def decode_values(values: Sequence[bytes]) -> list[Decoded]:
    """One outcome per value. Never raises, whatever the bytes."""
    blob = b"".join(values)
    if not _clean(blob):
        return [_careful(raw) for raw in values]
    decode = _decoder.decode
    try:
        decoded: list[Decoded] = [decode(raw) for raw in values]
    except _ERRORS:
        return [_careful(raw) for raw in values]
    if len(blob) > MAX_EVENT_BYTES and max(map(len, values)) > MAX_EVENT_BYTES:
        return [_careful(raw) for raw in values]
    return decoded


def _clean(blob: bytes) -> bool:
    """Valid UTF-8 without an escaped NUL. Joined values cannot hide it: an event ends in ASCII."""
    if b"\\" in blob and _NUL.search(blob):
        return False
    if blob.isascii():
        return True
    try:
        blob.decode()
    except UnicodeDecodeError:
        return False
    return True


def _careful(raw: bytes) -> Decoded:
    if len(raw) <= MAX_EVENT_BYTES and _clean(raw):
        try:
            event: Decoded = _decoder.decode(raw)
        except _ERRORS:
            return _reference(raw)
        return event
    return _reference(raw)


def _reference(raw: bytes) -> Decoded:
    """What the pydantic models say, as a Struct."""
    try:
        event = parse_event(raw)
    except BadInput as e:
        return Refusal(Reject(e.reason), e.message)
    return to_struct(event)


def to_struct(event: BaseModel) -> msgspec.Struct:
    """A pydantic event as the Struct that the fast path makes."""
    kind = getattr(event, "type", None)
    target = STRUCTS.get(kind, UNKNOWN) if isinstance(kind, str) else UNKNOWN
    return _convert(event, target)


def _convert(model: BaseModel, target: type[msgspec.Struct]) -> msgspec.Struct:
    return target(**{name: _value(getattr(model, name)) for name in target.__struct_fields__})


def _value(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _convert(value, _nested(type(value)))
    if isinstance(value, tuple):
        return tuple(_value(v) for v in value)
    return value

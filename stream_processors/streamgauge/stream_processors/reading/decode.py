"""From bytes to events, fast: msgspec Structs that take and refuse what the pydantic models do.

What msgspec takes, pydantic takes, with the same values; what msgspec refuses goes to the reference
parser, which then decides and names the reason, or repairs (null for a default, NUL, lone
surrogates). So a bad event costs 20 us and a good one 2. One thing msgspec does not look at is
UTF-8 and NUL in fields that nobody reads; the decoder does, on all values of a run at once.
Held together by tests/property/contracts.

In: raw values of a run. Out: one outcome per value: an event Struct, or a `Refusal`.
Not here: the Structs (structs.py), the bound that needs the append time (the processors), what
becomes of events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union

import msgspec

from streamgauge.contracts.bounds import MAX_EVENT_BYTES, MAX_INT64
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import parse_event
from streamgauge.contracts.reasons import Reject
from streamgauge.stream_processors.reading.structs import (
    LEAST_FIELDS,
    REQUEST,
    REQUEST_FIELDS,
    STRUCTS,
    slim_request,
    to_struct,
)

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
_keys: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _decoder_of(structs: Iterable[type[msgspec.Struct]]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(Union[tuple(structs)])  # noqa: UP007  # built at run time


_decoder = _decoder_of(STRUCTS.values())

Decoded = msgspec.Struct | Refusal
"""An event (a Struct of STRUCTS, a slim one, or UNKNOWN) or why it is none."""


class RunDecoder:
    """Decodes runs into Structs with no more fields than the stream carries.

    A request may have 90 fields, and those of one deployment have 30: a Struct with just these is
    made, filled and read in half the time. It refuses any other key; such an event becomes a full
    Struct, and its keys belong to the next Struct. So an event's Struct has the fields that it
    says something about, or more; a field that it lacks is unknown, and reads as None.
    """

    def __init__(self) -> None:
        self._fields = LEAST_FIELDS | {"producer_id", "seq", "sdk", "host"}
        self._extra: dict[str, None] = {}  # keys that no field has, so that they need no detour
        self._learn({})

    def _learn(self, keys: Iterable[str]) -> None:
        """Make the Struct that takes these keys, too."""
        for key in keys:
            if key in REQUEST_FIELDS:
                self._fields |= {key}
            elif len(self._extra) < MAX_EXTRA_KEYS:
                self._extra[key] = None
        others = [struct for struct in STRUCTS.values() if struct is not REQUEST]
        slim = slim_request(self._fields, self._extra)
        self._decode = _decoder_of([slim, *others]).decode

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
                keys &= REQUEST_FIELDS
            new |= keys
        return event


def sender_of(raw: bytes) -> Sender | None:
    """The client instance that a refused message names; None if it names none. Never raises."""
    if not _clean(raw):
        return None
    try:
        return _senders.decode(raw)
    except _ERRORS:
        return None


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

"""An event to JSON bytes of at most 64 KiB, by the fastest encoder at hand.

orjson or msgspec are used if the app has imported them by `init`, else the standard library: the
same JSON, and nobody pays for an import that is not their own.
What is too big loses first what monitoring can do without: embedding, lists, tags, then text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final

from streamgauge.contracts.bounds import MAX_EVENT_BYTES
from streamgauge.producers._text import cut

Encoder = Callable[[dict[str, Any]], bytes]
Event = dict[str, Any]

_SHED: Final = ("embedding", "sources", "tools", "guardrails", "tags", "open")
_TEXTS: Final = ("reference_text", "input_text", "output_text", "template", "comment")
_SHORT_TEXTS_BYTES: Final = (4_096, 1_024, 256)

_stdlib = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode_stdlib(event: Event) -> bytes:
    """JSON by the standard library."""
    return _stdlib.encode(event).encode()


def find_encoder() -> Encoder:
    """The fastest encoder that the app has loaded already."""
    for module, name in (("orjson", "dumps"), ("msgspec.json", "encode")):
        try:
            encoder: Encoder = getattr(sys.modules[module], name)
            if encoder({"a": "\u00e9", "b": [1, 2.5, None, True]}) == (
                b'{"a":"\xc3\xa9","b":[1,2.5,null,true]}'
            ):
                return encoder
        except Exception:  # noqa: BLE001, S112  # not there, or not as we know it: no matter
            continue
    return encode_stdlib


def encode_bounded(event: Event, encode: Encoder) -> bytes | None:
    """The event's bytes, shortened until they fit; None if even the bare event is too large."""
    data = encode(event)
    if len(data) <= MAX_EVENT_BYTES:
        return data
    event = dict(event)
    for name in _SHED:
        if event.pop(name, None) is not None:
            data = encode(event)
            if len(data) <= MAX_EVENT_BYTES:
                return data
    if event["type"] == "llm.request":
        event["truncated"] = True
    for limit in _SHORT_TEXTS_BYTES:
        for name in _TEXTS:
            if name in event:
                event[name] = cut(event[name], limit)
        data = encode(event)
        if len(data) <= MAX_EVENT_BYTES:
            return data
    return None

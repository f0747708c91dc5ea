"""The finished calls in runs of messages, for writers that only look at requests (scores, drift).

In: Chunks. Out: their valid requests, each once, with offsets; and the latest event time of ALL
valid events, since heartbeats move the clock too. What is no event, lies in the future or came
before is passed over in silence: the metrics writer counts it and writes the dead letters.
Not here: what becomes of requests.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.stream_processors.chunks import Chunk
from streamgauge.stream_processors.metrics.decode import REQUEST, Refusal, decode_values
from streamgauge.stream_processors.metrics.dedup import Seen
from streamgauge.stream_processors.metrics.processor import Memory


class ReadRequest(NamedTuple):
    """One request: where it lies and what it is (a Struct with the fields of LlmRequest)."""

    offset: int
    event: Any


class RequestReader:
    """Reads chunks and remembers which events of each source partition were seen."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def reset(self) -> None:
        """Forget what was seen; `restore` follows."""
        self._seen = {}

    def restore(self, state: object) -> None:
        """Take in the `Memory` of what lies below the resume positions."""
        if isinstance(state, Memory):
            self._seen = state.seen

    def read(self, chunk: Chunk) -> tuple[list[ReadRequest], int | None]:
        """(requests in offset order, latest ts in ms of any valid new event or None)."""
        seen = self._seen.setdefault(chunk.key, Seen())
        decoded = iter(decode_values([value for value in chunk.values if value is not None]))
        requests: list[ReadRequest] = []
        max_ts: int | None = None
        for offset, value, append_ms in zip(
            chunk.offsets, chunk.values, chunk.append_ms, strict=True
        ):
            if value is None:
                continue
            event: Any = next(decoded)
            if isinstance(event, Refusal) or event.ts > append_ms + FUTURE_MS:
                continue
            if not seen.first_time(event.producer_id, event.seq, event.id, offset):
                continue
            if max_ts is None or event.ts > max_ts:
                max_ts = event.ts
            if isinstance(event, REQUEST):
                requests.append(ReadRequest(offset, event))
        return requests, max_ts

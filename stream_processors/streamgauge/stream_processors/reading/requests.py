"""The finished calls in runs of messages, for writers that only look at requests (scores, drift).

In: Chunks. Out: their valid requests, each once, with offsets; and the latest event time of ALL
valid events, since heartbeats move the clock too. What is no event, lies in the future or came
before is passed over in silence: the metrics writer counts it and writes the dead letters.
Labels beyond the cap become `__other__`, as in windows; who was admitted is what metrics wrote down
plus what came since, so beyond the cap the two may differ by a few values, never by a count.
Not here: what becomes of requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from streamgauge.contracts.bounds import FUTURE_MS
from streamgauge.contracts.environment import number
from streamgauge.stream_processors.core.chunks import Chunk
from streamgauge.stream_processors.reading.decode import Refusal, RunDecoder
from streamgauge.stream_processors.reading.dedup import Seen
from streamgauge.stream_processors.reading.labels import CAP, OTHER, LabelCaps
from streamgauge.stream_processors.reading.memory import Memory
from streamgauge.stream_processors.reading.structs import kind_of

REQUEST: Final = "llm.request"
LABELS: Final = ("app", "env", "provider", "model", "prompt_name", "prompt_version")


def label_cap(env: Mapping[str, str]) -> int:
    """STREAMGAUGE_LABEL_CAP, as for the metrics worker. Raises Misconfigured."""
    return number(env, "STREAMGAUGE_LABEL_CAP", CAP, 1, 100_000, int)


class ReadRequest(NamedTuple):
    """One request: where it lies and what it is (a Struct; reads like an LlmRequest)."""

    offset: int
    event: Any


class RequestReader:
    """Reads chunks; remembers which events of each source partition were seen, and the labels.

    label_cap: values of a label per tenant before the others share one.
    """

    def __init__(self, *, label_cap: int = CAP) -> None:
        self._label_cap = label_cap
        self._decoder = RunDecoder()
        self.reset()

    def reset(self) -> None:
        """Forget everything; `restore` follows."""
        self._seen: dict[str, Seen] = {}
        self._caps = LabelCaps(self._label_cap)

    def restore(self, state: object) -> None:
        """Take in the `Memory` of what lies below the resume positions."""
        if isinstance(state, Memory):
            self._seen = state.seen
            for tenant, label, value in state.labels:
                self._caps.know(tenant, label, value)

    def read(self, chunk: Chunk) -> tuple[list[ReadRequest], int | None]:
        """(requests in offset order, latest ts in ms of any valid new event or None)."""
        seen = self._seen.setdefault(chunk.key, Seen())
        decoded = iter(self._decoder.decode([v for v in chunk.values if v is not None]))
        events: list[Any] = []
        offsets: list[int] = []
        for offset, value, append_ms in zip(
            chunk.offsets, chunk.values, chunk.append_ms, strict=True
        ):
            event: Any = next(decoded) if value is not None else None
            if event is None or isinstance(event, Refusal) or event.ts > append_ms + FUTURE_MS:
                continue
            events.append(event)
            offsets.append(offset)
        repeats = set(
            seen.repeats(
                [e.producer_id for e in events],
                [e.seq for e in events],
                [e.id for e in events],
                offsets,
            )
        )
        requests: list[ReadRequest] = []
        max_ts: int | None = None
        for i, (event, offset) in enumerate(zip(events, offsets, strict=True)):
            if i in repeats:
                continue
            if max_ts is None or event.ts > max_ts:
                max_ts = event.ts
            if kind_of(event) == REQUEST:
                self._cap_labels(event)
                requests.append(ReadRequest(offset, event))
        return requests, max_ts

    def _cap_labels(self, event: Any) -> None:
        event.tenant = self._capped("", "tenant", event.tenant)
        for label in LABELS:
            value = getattr(event, label)
            if value and self._capped(event.tenant, label, value) is not value:
                setattr(event, label, OTHER)

    def _capped(self, tenant: str, label: str, value: str) -> str:
        if value == OTHER or not self._caps.admit(tenant, label, value):
            return OTHER
        return value

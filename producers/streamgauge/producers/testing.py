"""For the tests of apps that embed the client: what would have been sent, in memory.

    def test_answer_is_logged():
        with recording(app="shop") as sent:
            answer("Where is my parcel?")
        sent.assert_request(model="gpt-4o-mini", status="ok")
        sent.assert_nowhere("jane.roe@example.com")

`recording` puts a real client with a MemorySink in the place of the process's client, so that
redaction, bounds and numbering are those of production. MemorySink can also hold events back or
refuse them, as a broker does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Unpack

from streamgauge.producers._client import Client
from streamgauge.producers._counts import Drop, Stats
from streamgauge.producers._default import swap
from streamgauge.producers._settings import ClientOptions
from streamgauge.producers._sink import Done, SinkFullError

SETTLE_S = 10.0


class MemorySink:
    """Keeps what is sent. `records` are (key, value) in the order of delivery.

    capacity: how many undelivered events it takes while `hold`; beyond that it is full, as a
    broker's client is. refuse: a reason with which every event is lost at delivery.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self.records: list[tuple[bytes, bytes]] = []
        self.capacity = capacity
        self.hold = False
        self.refuse: Drop | None = None
        self.closed = False
        self._pending: list[tuple[bytes, bytes, Done]] = []

    def send(self, key: bytes, value: bytes, done: Done) -> None:
        """Take one event. Raises SinkFullError beyond the capacity."""
        if len(self._pending) >= self.capacity:
            raise SinkFullError
        self._pending.append((key, value, done))

    def poll(self, timeout_s: float) -> None:
        """Deliver what is pending, unless held."""
        if self.hold:
            return
        pending, self._pending = self._pending, []
        for key, value, done in pending:
            if self.refuse is None:
                self.records.append((key, value))
            done(self.refuse, len(value))

    def purge(self) -> None:
        """Lose what is pending."""
        pending, self._pending = self._pending, []
        for _, value, done in pending:
            done(Drop.PURGED, len(value))

    def close(self) -> None:
        """Remember that the client closed it."""
        self.closed = True


class Recording:
    """What a client has sent so far; reading waits until everything logged is delivered."""

    def __init__(self, client: Client, sink: MemorySink) -> None:
        self.client = client
        self.sink = sink

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events in order, heartbeats included."""
        left = self.client.flush(SETTLE_S)
        if left and not self.sink.hold:
            raise AssertionError(f"{left} events were not delivered within {SETTLE_S:g} s")
        return [json.loads(value) for _, value in list(self.sink.records)]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The llm.request events."""
        return self.of_type("llm.request")

    @property
    def stats(self) -> Stats:
        """The client's counters, after what was logged is delivered."""
        self.client.flush(SETTLE_S)
        return self.client.stats()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Events of one type."""
        return [event for event in self.events if event["type"] == kind]

    def assert_request(self, **fields: object) -> dict[str, Any]:
        """The one request whose fields have these values; AssertionError if not exactly one has."""
        requests = self.requests
        found = [r for r in requests if all(r.get(name) == v for name, v in fields.items())]
        if len(found) != 1:
            shown = "\n".join(f"  { {n: r.get(n) for n in fields} }" for r in requests[:20])
            raise AssertionError(
                f"{len(found)} of {len(requests)} requests match {fields}; there are\n{shown}"
            )
        return found[0]

    def assert_nowhere(self, text: str) -> None:
        """AssertionError if the text is in any event: personal data, secrets."""
        needle = json.dumps(text, ensure_ascii=False)[1:-1]
        for event in self.events:
            if needle in json.dumps(event, ensure_ascii=False):
                raise AssertionError(f"{text!r} left in event {event['id']} ({event['type']})")


@contextmanager
def recording(**options: Unpack[ClientOptions]) -> Iterator[Recording]:
    """Record what `log`, `track` and `feedback` send inside the block. Options are those of `init`.

    The client before it is back afterwards. Environment variables are not looked at for `app`.
    """
    sink = MemorySink()
    options.setdefault("app", "test")
    options["sink"] = sink
    client = Client(**options)
    before = swap(client)
    try:
        yield Recording(client, sink)
        client.flush(SETTLE_S)
    finally:
        swap(before)
        client.close()

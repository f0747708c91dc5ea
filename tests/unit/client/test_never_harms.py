"""Whatever an app does with the API, nothing raises, blocks or goes uncounted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import parse_event
from streamgauge.producers import Client
from streamgauge.producers._fields import FEEDBACK, OWN, REQUEST, REQUEST_TEXTS
from streamgauge.producers.testing import MemorySink


class Bomb:
    """Explodes on every touch."""

    def _explode(self, *args: object, **kwargs: object) -> Any:
        raise RuntimeError("boom")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __hash__ = __eq__ = _explode
    __int__ = __float__ = __index__ = __getattr__ = __call__ = __lt__ = _explode


class FakeClass:
    """Lies about its type, and the lie explodes."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("boom")


class BombMap(dict[Any, Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("boom")

    keys = values = items = get = __getitem__ = __len__ = __iter__  # type: ignore[assignment]


LOOP: list[Any] = []
LOOP.append(LOOP)


class Strange(NamedTuple):
    """Names an object that Hypothesis itself had better not touch."""

    name: str


MAKE: dict[str, Callable[[], Any]] = {
    "bomb": Bomb,
    "liar": FakeClass,
    "bomb map": lambda: BombMap(a=1),
    "bombs inside": lambda: {"a": Bomb(), "b": [Bomb()], "c": (Bomb(), {"d": Bomb()})},
    "bomb list": lambda: [Bomb(), {"name": Bomb()}],
    "loop": lambda: LOOP,
    "object": object,
    "huge number": lambda: 10**400,
    "huge text": lambda: "x" * 100_000,
    "type": lambda: float,
    "function": lambda: print,
    "odd key": lambda: {Ellipsis: 1},
    "nested": lambda: {"a": {"b": {"c": 1}}},
    "range": lambda: range(10**9),
    "generator": lambda: (c for c in "ab"),
    "complex": lambda: 1j,
}


def real(value: Any) -> Any:
    return MAKE[value.name]() if isinstance(value, Strange) else value


def all_real(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: real(value) for name, value in fields.items() if name not in ("self", "target_id")
    }


objects = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=40),
    st.binary(max_size=10),
    st.sampled_from(sorted(MAKE)).map(Strange),
)
known = sorted({*REQUEST, *FEEDBACK, *REQUEST_TEXTS, *OWN, "comment"})
names = st.one_of(st.sampled_from(known), st.text(max_size=8))
fields = st.dictionaries(names, objects, max_size=8)
MAX_CALL_S = 1.0  # a call takes microseconds; a shared machine may pause us


class AnyUse(RuleBasedStateMachine):
    """Random sequences of API calls with random objects."""

    def __init__(self) -> None:
        super().__init__()
        self.sink = MemorySink(capacity=20)
        self.client = Client(app="shop", sink=self.sink, queue_events=30, heartbeat_s=0.1)
        self.closed = False
        self.offered = 0

    def timed(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.monotonic()
        result = function(*args, **kwargs)
        assert time.monotonic() - start < MAX_CALL_S
        return result

    @rule(given_fields=fields, required=st.booleans())
    def log(self, given_fields: dict[str, Any], required: bool) -> None:
        if required:
            given_fields = {"model": "m", "duration_ms": 1.0, **given_fields}
        event_id = self.timed(self.client.log, **all_real(given_fields))
        assert isinstance(event_id, str)
        assert event_id
        self.offered += 1

    @rule(target_id=objects, given_fields=fields)
    def feedback(self, target_id: Any, given_fields: dict[str, Any]) -> None:
        self.timed(self.client.feedback, real(target_id), **all_real(given_fields))
        self.offered += 1

    @rule(given_fields=fields, more=fields, fails=st.booleans())
    def track(self, given_fields: dict[str, Any], more: dict[str, Any], fails: bool) -> None:
        error = KeyError("the app's own") if fails else None
        call = self.timed(self.client.track, **all_real(given_fields))
        call.__enter__()
        call.set(**all_real(more))
        call.first_token()
        call.__exit__(type(error) if error else None, error, None)
        self.offered += 1

    @rule(args=st.lists(objects, min_size=1, max_size=3))
    def wrong_arguments(self, args: list[Any]) -> None:
        for function in (self.client.log, self.client.track, self.client.stats):
            wrong: Any = function
            self.timed(wrong, *map(real, args))

    @rule(name=objects, template=objects)
    def prompt(self, name: Any, template: Any) -> None:
        if self.timed(self.client.prompt, real(name), real(template)):
            self.offered += 1

    @rule(hold=st.booleans())
    def broker(self, hold: bool) -> None:
        self.sink.hold = hold

    @rule(timeout=st.one_of(st.floats(0, 0.02), st.sampled_from([-1, 0])))
    def flush(self, timeout: Any) -> None:
        assert self.timed(self.client.flush, min(timeout, 0.02) if timeout >= 0 else 0.01) >= 0

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        self.timed(self.client.close, 0.05)
        self.closed = True

    @invariant()
    def bounded(self) -> None:
        stats = self.client.stats()
        assert stats.queue_events <= 30 + 20 + 1

    def teardown(self) -> None:
        self.sink.hold = False
        self.client.close(10)
        stats = self.client.stats()
        beats = stats.accepted - self.offered
        assert beats >= 0, "an event was lost uncounted"
        assert stats.accepted == stats.sent + sum(stats.dropped.values())
        assert stats.sent == len(self.sink.records)
        assert "internal" not in stats.dropped, "a fault of ours, not of the app's objects"
        for _, value in self.sink.records:
            try:
                parse_event(value)
            except BadInput as error:
                raise AssertionError(value) from error


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@given(objects)
@settings(max_examples=50, deadline=None)
def test_feedback_and_flush_take_anything(anything: Any) -> None:
    client = Client(app="shop", sink=MemorySink())
    thing = real(anything)
    client.feedback(thing, name=thing, value=thing, comment=thing)
    client.flush(thing if isinstance(anything, Strange) else 0)
    client.close(1)
    stats = client.stats()
    assert stats.accepted == stats.sent + sum(stats.dropped.values())


def test_thousands_of_keyword_arguments_do_not_grow_the_queue() -> None:
    client = Client(app="shop", sink=MemorySink(capacity=0))
    many: dict[str, Any] = {f"k{i}": "v" * 100 for i in range(20_000)}
    client.log(**many, model="m", duration_ms=1)
    assert client.stats().accepted == 1
    assert client.stats().queue_bytes < 5_000
    client.close(0)


def test_the_queue_stays_bounded_while_the_broker_is_away() -> None:
    client = Client(
        app="shop", sink=MemorySink(capacity=0), queue_bytes=2_000_000, queue_events=100_000
    )
    for _ in range(200):
        client.log(model="m", duration_ms=1, input_text="x" * 1_000_000)
        assert client.stats().queue_bytes <= 2_000_000 + 80_000
    assert client.stats().dropped["queue_bytes"] > 150
    client.close(0)


def test_exceptions_of_the_app_itself_are_never_swallowed() -> None:
    client = Client(app="shop", sink=MemorySink())
    with pytest.raises(ZeroDivisionError), client.track(model="m"):
        _ = 1 / 0
    client.close()

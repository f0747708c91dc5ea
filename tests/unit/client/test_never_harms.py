"""Whatever an app does with the API, nothing raises, blocks or goes uncounted."""

from __future__ import annotations

import hashlib
import json
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


class Sly(type):
    """A metaclass that ends the process of whoever asks one of its classes for anything."""

    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(name)


def _end(*args: object, **kwargs: object) -> Any:
    raise SystemExit("called")


TOUCHES = ("__float__", "__int__", "__str__", "__repr__", "__bool__", "__len__", "__getattribute__")


def sly(name: str, module: str, *, base: type = object) -> Any:
    """A class of this name whose objects, too, end the process; pytest must not see it."""
    space = {**dict.fromkeys(TOUCHES, _end), "item": property(_end), "shape": property(_end),
             "status_code": property(_end), "response": property(_end),
             "__module__": module}  # fmt: skip
    return Sly(name, (base,), space)


POSERS = [
    ("decimal", "Decimal"), ("fractions", "Fraction"), ("uuid", "UUID"), ("numpy", "float32"),
    ("numpy", "ndarray"), ("app", "Model"),
]  # fmt: skip


def use_everywhere(client: Client, kind: Any) -> None:
    thing = kind()
    client.log(model="m", duration_ms=thing, input_text=thing, tags={"a": thing}, tools=[thing])
    client.log(model=kind, duration_ms=1.0)
    client.feedback(thing, name=thing, value=thing)
    client.prompt(thing, "template", version=thing, labels=thing)
    client.prompt("name", thing)
    client.flush(thing)
    with client.track(model=thing) as call:
        call.set(output_tokens=thing)
    client.close(thing)


@pytest.mark.parametrize(("module", "name"), POSERS)
def test_class_that_only_says_it_is_a_librarys_is_never_called(module: str, name: str) -> None:
    client = Client(app="shop", sink=MemorySink())
    came = ""
    try:
        use_everywhere(client, sly(name, module))
    except SystemExit as e:
        came = repr(e)
    client.close()
    assert came == ""
    stats = client.stats()
    assert stats.accepted == stats.sent + sum(stats.dropped.values())
    assert stats.problems["unfit_field"] > 0
    assert "internal" not in stats.problems


def test_exception_of_the_app_goes_on_though_its_class_and_properties_end_who_asks() -> None:
    sink = MemorySink()
    client = Client(app="shop", sink=sink)
    error = sly("SlyError", "app", base=Exception)()
    caught: BaseException | None = None
    try:
        with client.track(model="m"):
            raise error
    except BaseException as e:  # noqa: BLE001  # SystemExit is what must not come
        caught = e
    assert caught is error, "the app's own exception"
    client.close(10)
    (event,) = [json.loads(v) for _, v in sink.records if b"llm.request" in v]
    assert (event["status"], event["error_type"]) == ("error", "SlyError")
    assert "http_status" not in event


def test_a_huge_template_costs_the_app_a_fraction_of_its_hash() -> None:
    client = Client(app="shop", sink=MemorySink(capacity=0))
    template = "x" * 50_000_000

    def spent(function: Callable[[], object]) -> float:
        began = time.thread_time()
        function()
        return time.thread_time() - began

    whole = min(spent(lambda: hashlib.sha256(template.encode()).hexdigest()) for _ in range(3))
    ours = min(spent(lambda: client.prompt("p", template)) for _ in range(3))
    assert ours < whole / 5
    other = template[:-1] + "y"
    assert len({client.prompt("p", t) for t in (template, other, template + "x")}) == 3
    assert client.prompt("p", "short") == hashlib.sha256(b"short").hexdigest()[:32]
    client.close(0)

"""A tracked call: measured, seen while open, logged once, the app's exceptions untouched."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from streamgauge.producers import Client
from streamgauge.producers._calls import Call
from streamgauge.producers._open_calls import MAX, OpenCalls
from streamgauge.producers.testing import MemorySink, recording


class ReadTimeout(Exception):
    pass


class RateLimitError(Exception):
    status_code = 429


class Response:
    __slots__ = ("status_code",)

    def __init__(self, status_code: int) -> None:
        self.status_code = status_code


class StatusError(Exception):
    def __init__(self) -> None:
        super().__init__("secret text")
        self.response = Response(503)


class Awkward(Exception):
    @property
    def status_code(self) -> int:
        raise RuntimeError("no")


def test_a_call_is_measured_and_logged_when_it_ends() -> None:
    with recording() as sent:
        with sent.client.track(model="m", provider="openai", input_text="q") as call:
            call.first_token()
            call.first_token()
            call.set(output_text="a", output_tokens=3)
            call.set(output_tokens=4)
        event = sent.assert_request(id=call.id, status="ok", output_tokens=4, output_text="a")
    assert 0 <= event["ttft_ms"] <= event["duration_ms"] < 5000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("secret text"), {"status": "error", "error_type": "ValueError"}),
        (TimeoutError(), {"status": "timeout", "error_type": "TimeoutError"}),
        (ReadTimeout(), {"status": "timeout", "error_type": "ReadTimeout"}),
        (asyncio.CancelledError(), {"status": "cancelled", "error_type": "CancelledError"}),
        (KeyboardInterrupt(), {"status": "cancelled", "error_type": "KeyboardInterrupt"}),
        (GeneratorExit(), {"status": "cancelled", "error_type": "GeneratorExit"}),
        (
            RateLimitError(),
            {"status": "error", "error_type": "RateLimitError", "http_status": 429},
        ),
        (
            StatusError(),
            {"status": "error", "error_type": "StatusError", "http_status": 503},
        ),
        (Awkward(), {"status": "error", "error_type": "Awkward"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_exception_gives_the_status_and_goes_on_untouched(
    error: BaseException, expected: dict[str, Any]
) -> None:
    with recording() as sent:
        with pytest.raises(type(error)) as caught, sent.client.track(model="m"):
            raise error
        assert caught.value is error
        sent.assert_request(**expected)
        sent.assert_nowhere("secret text")


def test_async_calls_are_tracked_too() -> None:
    async def call_model(client: Client) -> None:
        async with client.track(model="m") as call:
            await asyncio.sleep(0)
            call.set(output_tokens=1)

    with recording() as sent:
        asyncio.run(call_model(sent.client))
        sent.assert_request(status="ok", output_tokens=1)


def test_a_cancelled_task_is_logged_as_cancelled() -> None:
    async def run(client: Client) -> None:
        async def call_model() -> None:
            async with client.track(model="m"):
                await asyncio.sleep(60)

        task = asyncio.create_task(call_model())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with recording() as sent:
        asyncio.run(run(sent.client))
        sent.assert_request(status="cancelled")


def test_an_open_call_is_counted_until_it_ends() -> None:
    with recording() as sent:
        with sent.client.track(model="m"), sent.client.track(model="n"):
            assert sent.client.stats().open_calls == 2
        assert sent.client.stats().open_calls == 0


def test_a_call_that_is_forgotten_is_neither_open_nor_logged() -> None:
    with recording() as sent:
        sent.client.track(model="m").__enter__()
        gc.collect()
        assert sent.client.stats().open_calls == 0
        assert sent.requests == []


def test_leaving_a_call_twice_logs_it_once() -> None:
    with recording() as sent:
        call = sent.client.track(model="m")
        with call:
            pass
        call.__exit__(None, None, None)
        assert len(sent.requests) == 1


def test_the_id_can_be_the_apps_own() -> None:
    with recording() as sent:
        with sent.client.track(model="m", id="req-7") as call:
            assert call.id == "req-7"
        sent.assert_request(id="req-7")


def test_open_calls_are_bounded_and_the_oldest_goes_first() -> None:
    calls = OpenCalls()
    assert all(calls.add(str(i), "m", float(i)) for i in range(MAX))
    assert not calls.add("one more", "m", 1e9)
    assert len(calls) == MAX
    report = calls.report()
    assert report["open_calls"] == MAX
    assert [call["call_id"] for call in report["open"]] == [str(i) for i in range(1, 17)]


def test_a_call_of_a_closed_client_is_counted_as_dropped() -> None:
    client = Client(app="shop", sink=MemorySink())
    with client.track(model="m"):
        client.close()
    assert client.stats().dropped == {"after_close": 1}


def test_a_call_made_wrongly_still_works_as_a_block() -> None:
    with recording() as sent:
        wrong: Any = sent.client.track
        with wrong("gpt-4o-mini") as call:
            assert isinstance(call, Call)
            call.set(output_tokens=1)
            call.first_token()
        assert sent.requests == []
        assert sent.stats.problems["internal"] >= 1

"""Kafka headers: dead letters and CloudEvents, both ways."""

from __future__ import annotations

import pytest

from streamgauge.contracts import cloudevents, dead_letters
from streamgauge.contracts.cloudevents import CloudEvent
from streamgauge.contracts.dead_letters import DeadLetter
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.reasons import Reject

LETTER = DeadLetter(Reject.BAD_JSON, "llm.events.v1@Zm9vYmFy", 3, 912, "event is not JSON")
EVENT = CloudEvent(
    id="i", source="/streamgauge/alerts-1", type="io.streamgauge.alert.transition.v1",
    time="2026-01-01T12:00:12.345Z", subject="ErrorBurstFast", partitionkey="d5e7eb118902be0e",
    dataschema="urn:streamgauge:schema:v1:alert", plain={"status": "firing", "app": "größer"},
)  # fmt: skip


def test_a_dead_letter_survives_its_headers() -> None:
    assert dead_letters.from_headers(LETTER.headers()) == LETTER
    assert LETTER.key == b"llm.events.v1@Zm9vYmFy"


def test_a_long_detail_is_cut() -> None:
    letter = DeadLetter(Reject.BAD_JSON, "s", 0, 0, "x" * 9_000)
    assert len(dict(letter.headers())["detail"]) == dead_letters.MAX_DETAIL_CHARS


@pytest.mark.parametrize("name", ["reason", "src", "partition", "offset"])
def test_a_dead_letter_without_a_header_is_refused(name: str) -> None:
    headers = [(k, v) for k, v in LETTER.headers() if k != name]
    with pytest.raises(BadInput) as caught:
        dead_letters.from_headers(headers)
    assert caught.value.reason == Reject.MISSING_FIELD
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("partition", b"x"), ("reason", b"because")])
def test_a_dead_letter_with_an_unreadable_header_is_refused(name: str, value: bytes) -> None:
    headers = [(k, value if k == name else v) for k, v in LETTER.headers()]
    with pytest.raises(BadInput) as caught:
        dead_letters.from_headers(headers)
    assert caught.value.reason == Reject.WRONG_TYPE


def test_a_record_without_headers_is_no_dead_letter() -> None:
    with pytest.raises(BadInput):
        dead_letters.from_headers(None)


def test_a_cloudevent_survives_its_headers() -> None:
    assert cloudevents.from_headers(EVENT.headers()) == EVENT


def test_cloudevent_headers_are_those_of_the_binary_mode() -> None:
    """cloudevents/spec, bindings/kafka-protocol-binding.md, section 3.2.5, example."""
    headers = dict(EVENT.headers())
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == b"i"
    assert headers["ce_time"] == b"2026-01-01T12:00:12.345Z"
    assert headers["content-type"] == b"application/json"
    assert headers["status"] == b"firing"


def test_cloudevent_headers_have_a_fixed_order() -> None:
    turned = CloudEvent(id="i", source="s", type="t", plain={"b": "2", "a": "1"})
    names = [name for name, _ in turned.headers()]
    assert names == ["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "a", "b"]


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type"])
def test_a_record_without_a_required_attribute_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        cloudevents.from_headers([(k, v) for k, v in EVENT.headers() if k != name])
    assert caught.value.reason == Reject.MISSING_FIELD


def test_another_specversion_is_refused() -> None:
    headers = [(k, b"2.0" if k == "ce_specversion" else v) for k, v in EVENT.headers()]
    with pytest.raises(BadInput) as caught:
        cloudevents.from_headers(headers)
    assert caught.value.reason == Reject.UNKNOWN_MAJOR


def test_attributes_that_we_do_not_know_are_dropped() -> None:
    assert cloudevents.from_headers([*EVENT.headers(), ("ce_later", b"x")]) == EVENT

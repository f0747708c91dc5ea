"""Bytes of records: deterministic, without nulls, refused with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from streamgauge.contracts.alerts import (
    Alert,
    AlertStatus,
    Severity,
    Transition,
    fingerprint,
)
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.evaluations import EvaluationRecord, Series
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import from_ms, parse_record, to_json_bytes, to_ms

NOW = datetime(2026, 1, 1, 12, 0, 12, 345_000, tzinfo=UTC)


def alert(**changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "schema_version": 1, "id": "i", "fingerprint": "f", "seq": 1, "epoch": 0, "episode": "e",
        "status": AlertStatus.FIRING, "transition": Transition.FIRED, "severity": Severity.PAGE,
        "rule": "R", "rule_version": "1", "kind": "ratio", "labels": {"app": "shop", "env": "prod"},
        "updated_at": NOW, "event_time": NOW,
    }  # fmt: skip
    return Alert(**{**fields, **changes})


def evaluation(**changes: Any) -> EvaluationRecord:
    fields: dict[str, Any] = {
        "v": 1, "rule": "R", "rule_version": "1", "step_ms": 10, "final": True,
        "series": [Series(labels={"app": "b"}, value=None, n=0)],
    }  # fmt: skip
    return EvaluationRecord(**{**fields, **changes})


def test_the_order_in_which_a_map_was_filled_does_not_change_the_bytes() -> None:
    one = alert(labels={"app": "shop", "env": "prod"})
    two = alert(labels={"env": "prod", "app": "shop"})
    assert to_json_bytes(one) == to_json_bytes(two)


def test_bytes_are_compact_utf8_and_sorted_without_nulls() -> None:
    record = evaluation(rule="größer")
    assert (
        to_json_bytes(record)
        == (
            '{"final":true,"rule":"größer","rule_version":"1",'
            '"series":[{"labels":{"app":"b"},"n":0}],"step_ms":10,"v":1}'
        ).encode()
    )


@pytest.mark.parametrize("record", [alert(), alert(evidence={"a": [1, 2.5, None]}), evaluation()])
def test_a_record_survives_its_bytes(record: Alert | EvaluationRecord) -> None:
    assert parse_record(type(record), to_json_bytes(record)) == record


def test_the_major_version_is_called_schema_on_the_wire() -> None:
    assert json.loads(to_json_bytes(alert()))["schema"] == 1


def test_moments_are_written_in_utc_with_milliseconds() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    written = json.loads(to_json_bytes(alert(updated_at=local)))["updated_at"]
    assert written == "2026-01-01T12:00:12.345Z"
    assert alert(updated_at=local).updated_at.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_refused() -> None:
    data = to_json_bytes(alert()).replace(b"12.345Z", b"12.345")
    with pytest.raises(BadInput):
        parse_record(Alert, data)


@pytest.mark.parametrize("epoch_ms", [0, 1, 999, 1_767_268_812_345, 4_102_444_799_999])
def test_milliseconds_survive_as_moments(epoch_ms: int) -> None:
    assert to_ms(from_ms(epoch_ms)) == epoch_ms


def test_a_known_moment() -> None:
    """date -ud 2026-01-01T12:00:12Z +%s gives 1767268812."""
    assert from_ms(1_767_268_812_345) == NOW


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"schema":1', b'"schema":2', Reject.UNKNOWN_MAJOR),
        (b'"schema":1', b'"schema":true', Reject.WRONG_TYPE),
        (b'"schema":1', b'"schema":1.0', Reject.WRONG_TYPE),
        (b'"status":"firing"', b'"status":"on fire"', Reject.UNKNOWN_VALUE),
        (b'"seq":1', b'"seq":0', Reject.OUT_OF_BOUNDS),
        (b'"seq":1', b'"seq":"1"', Reject.WRONG_TYPE),
        (b'"rule":"R",', b"", Reject.MISSING_FIELD),
        (b"}", b"", Reject.BAD_JSON),
    ],
)
def test_a_broken_record_is_refused_with_its_reason(old: bytes, new: bytes, reason: Reject) -> None:
    data = to_json_bytes(alert())
    assert old in data
    with pytest.raises(BadInput) as caught:
        parse_record(Alert, data.replace(old, new))
    assert caught.value.reason == reason


def test_a_reader_ignores_fields_of_a_later_version() -> None:
    data = to_json_bytes(alert())[:-1] + b',"zeal":{"a":1}}'
    assert parse_record(Alert, data) == alert()


def test_fingerprint_depends_on_rule_and_labels_and_on_nothing_else() -> None:
    same = fingerprint("R", {"b": "2", "a": "1"})
    assert fingerprint("R", {"a": "1", "b": "2"}) == same
    assert fingerprint("Q", {"a": "1", "b": "2"}) != same
    assert fingerprint("R", {"a": "1", "b": "3"}) != same


def test_fingerprint_of_composed_and_decomposed_letters_is_one() -> None:
    assert fingerprint("R", {"app": "caf\u00e9"}) == fingerprint("R", {"app": "cafe\u0301"})


@pytest.mark.parametrize(
    ("status", "active"),
    [
        ("pending", False),
        ("firing", True),
        ("recovering", True),
        ("nodata", True),
        ("resolved", False),
    ],
)
def test_an_alert_is_active_while_its_episode_is_open(status: str, active: bool) -> None:
    assert alert(status=AlertStatus(status)).active is active

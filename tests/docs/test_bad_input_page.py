"""docs/bad-input.md says of each bad input what the tests of the metrics worker prove."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from streamgauge.contracts.reasons import Reject
from streamgauge.stream_processors.metrics.accounting import OUTCOMES
from streamgauge.stream_processors.reading.dedup import ID_HORIZON, SEQ_HORIZON
from streamgauge.stream_processors.reading.labels import CAP
from tests.integration.metrics import test_bad_input as proof
from tests.support.kafka import TestKafka, create_topics

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bad-input.md").read_text(encoding="utf-8")
ONE_MESSAGE, AROUND = PAGE.split("## Around messages")
ROW = re.compile(r"^\| (?!input|---)(.+?) \| (.+?) \|", re.MULTILINE)

PROOFS = {
    "a message over the topic's limit": (
        "refused by the topic", "test_kafka_refuses_what_is_over_its_limit_and_tells_the_producer",
    ),
    "an aborted transaction": (
        "control", "test_aborted_transactions_and_control_records_are_passed_over",
    ),
    "repeats before and after a restart of the worker": (
        "duplicate", "test_repeats_are_dropped_also_after_a_restart",
    ),
    "more model names than the cap of labels (1,000 per tenant)": (
        "stored",
        "test_thousands_of_model_names_share_one_cell_beyond_the_cap_also_after_a_restart",
    ),
    "a topic deleted and made anew": (
        "stored", "test_a_topic_that_was_deleted_and_made_anew_is_counted_from_its_start",
    ),
}  # fmt: skip
"""Rows about more than one message: outcome, and the test that proves it."""


def test_table_of_single_messages_is_the_one_that_the_worker_is_tested_with() -> None:
    written = dict(ROW.findall(ONE_MESSAGE))
    proved = {
        name: f"dead letter `{outcome.removeprefix('dead: ')}`"
        if outcome.startswith("dead: ")
        else outcome
        for name, (_, outcome) in proof.BAD_INPUT.items()
    }
    assert written == proved


def test_every_reason_has_a_row_and_no_reason_is_made_up() -> None:
    assert set(re.findall(r"dead letter `(\w+)`", ONE_MESSAGE)) == {str(r) for r in Reject}


def test_order_of_reasons_is_that_of_the_code() -> None:
    (sentence,) = re.findall(r"first of this order is given: ([^.]+)\.", PAGE)
    assert re.findall(r"`(\w+)`", sentence) == [str(r) for r in Reject]


def test_outcomes_of_the_page_are_those_that_add_up() -> None:
    (total,) = re.findall(r"`(stored \+ [^`]+)` is the number of offsets", PAGE)
    assert tuple(total.split(" + ")) == OUTCOMES


def test_every_row_about_several_messages_names_a_test_that_exists() -> None:
    assert dict(ROW.findall(AROUND)) == {name: outcome for name, (outcome, _) in PROOFS.items()}
    for _, test in PROOFS.values():
        assert callable(getattr(proof, test, None) or globals().get(test)), test


def test_bounds_of_the_page_are_those_of_the_code() -> None:
    assert f"last {SEQ_HORIZON:,} offsets" in PAGE
    assert f"last {ID_HORIZON:,} ids" in " ".join(PAGE.split())
    assert f"cap of labels ({CAP:,} per tenant)" in PAGE


@pytest.mark.kafka
def test_kafka_refuses_what_is_over_its_limit_and_tells_the_producer(
    kafka: TestKafka, topic_prefix: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=1)
    told: list[int] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 9_000_000})
    producer.produce(
        f"{topic_prefix}events.v1",
        b"x" * 5_000_000,
        on_delivery=lambda error, _: told.append(0 if error is None else error.code()),
    )
    assert producer.flush(30) == 0
    assert told == [KafkaError.MSG_SIZE_TOO_LARGE]

"""What was lost and how fresh it is: never more than is proven, NULL where it is not known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from streamgauge.producers._counts import BEFORE_SEQ, Drop
from streamgauge.storage.client import StoreClient
from streamgauge.storage.sqltext import quote_string
from tests.support.sinks import SRC, START, Row, client, put

__all__ = ["client", "put"]  # fixtures of this file
pytestmark = pytest.mark.clickhouse


def test_loss_counts_what_never_came(client: StoreClient, put: Any) -> None:
    base = {"producer_id": "p1", "app": "shop", "tenant": "default"}
    put("producers", [base | {"n": 4, "min_seq": 1, "max_seq": 5, "accepted": 9}])
    put(
        "producers",
        [
            base
            | {"n": 2, "min_seq": 7, "max_seq": 9, "duplicates": 1, "accepted": 11}
            | {"dropped": [("queue_events", 2)], "last_stats": {"ts": START, "stats": "{}"}},
            {"producer_id": "p2", "accepted": 3, "sent": 3},
        ],
    )
    one, two = client.query("SELECT * FROM v_loss ORDER BY producer_id")
    assert (one["stored"], one["missing"], one["duplicates"], one["dropped_n"]) == (6, 3, 1, 2)
    assert (one["accepted"], one["heartbeat_at"], one["sent"]) == (11, START, None)
    assert (two["missing"], two["min_seq"], two["heartbeat_at"]) == (None, None, None)


def test_loss_counts_what_was_lost_before_the_first_and_after_the_last_event_that_came(
    client: StoreClient, put: Any
) -> None:
    def missing(**row: Any) -> tuple[int | None, ...]:
        producer = f"p{len(row)}-{row}"
        put("producers", [row | {"producer_id": producer}])
        (found,) = client.query(
            f"SELECT * FROM v_loss WHERE producer_id = {quote_string(producer)}"
        )
        return (found["missing"], found["missing_before"], found["missing_after"])

    # 51..60 and the heartbeat 61, which has counted itself
    seen = {"n": 11, "min_seq": 51, "max_seq": 61}
    assert missing(**seen, accepted=61) == (50, 50, 0)
    assert missing(**seen) == (50, 50, None), "numbers begin with 1 also without a heartbeat"
    # 1..11, and the heartbeat 11 told of 40 more that waited in the client
    seen = {"n": 11, "min_seq": 1, "max_seq": 11}
    assert missing(**seen, accepted=51) == (40, 0, 40)
    # the same, and 40 of the 51 were dropped before they had a number
    assert missing(**seen, accepted=51, dropped=[("queue_bytes", 40)]) == (0, 0, 0)
    # a running client has gone on since its heartbeat
    assert missing(**seen, accepted=7) == (0, 0, 0)
    # head, gap, tail and dead letters at once: 1..4, 6, 9..10 of 10 and 2 more
    seen = {"n": 2, "dead": 1, "min_seq": 5, "max_seq": 8}
    assert missing(**seen, accepted=13, dropped=[("invalid", 3)]) == (7, 4, 2)


@pytest.mark.parametrize("reason", Drop)
def test_loss_knows_which_drops_of_the_client_leave_a_gap(
    client: StoreClient, put: Any, reason: Drop
) -> None:
    """One event of five was dropped; four came, the last of them the heartbeat."""
    last = 4 if reason in BEFORE_SEQ else 5
    row = {"producer_id": "p", "n": 4, "min_seq": 1, "max_seq": last, "accepted": 5}
    put("producers", [row | {"dropped": [(reason.value, 1)]}])
    (found,) = client.query("SELECT missing, missing_after FROM v_loss")
    assert found == {"missing": last - 4, "missing_after": 0}


def test_a_client_older_than_the_retention_has_not_lost_what_retention_took(
    client: StoreClient, put: Any
) -> None:
    old = {"producer_id": "old", "n": 100, "min_seq": 1, "max_seq": 100, "accepted": 100}
    put("producers", [old], days_ago=31)
    first = {"producer_id": "old", "n": 50, "min_seq": 101, "max_seq": 152, "accepted": 152}
    put("producers", [first | {"n": 51}], days_ago=29)
    client.command("OPTIMIZE TABLE producers FINAL")
    put("producers", [first | {"n": 50, "min_seq": 153, "max_seq": 202, "accepted": 202}])
    put("producers", [{"producer_id": "new", "n": 5, "min_seq": 3, "max_seq": 7, "accepted": 7}])
    new, old = client.query("SELECT * FROM v_loss ORDER BY producer_id")
    assert (old["stored"], old["missing"], old["missing_before"]) == (101, 1, None)
    assert (new["stored"], new["missing"], new["missing_before"]) == (5, 2, 2)


def test_freshness_shows_every_writer_and_does_not_guess(client: StoreClient, put: Any) -> None:
    put("windows", [], key=f"{SRC}/1")
    put("histograms", [], key=f"{SRC}/1")
    put(
        "ingest_log",
        [
            {"src": SRC, "partition": 1, "outcome": "stored", "n": 90, "end_offset": 150}
            | {"last_offset": 99, "max_ts": START, "written_at": START + timedelta(seconds=1)}
        ],
    )
    drift, metrics = freshness(client)
    assert (drift["writer"], drift["source"], drift["position"]) == ("drift", f"{SRC}/1", 100)
    assert (metrics["writer"], metrics["lag"], metrics["max_ts"]) == ("metrics", 50, START)
    assert metrics["completeness"] == pytest.approx(100 / 150)
    assert (metrics["last_append"], metrics["watermark"]) == (None, None)
    put("score_windows", [], key="llm.events.v1@other/0")
    (scores,) = (row for row in freshness(client) if row["writer"] == "scores")
    assert (scores["lag"], scores["end_offset"], scores["max_ts"]) == (None, None, None)


def freshness(client: StoreClient) -> list[Row]:
    return client.query("SELECT * FROM v_freshness ORDER BY writer, source")


def test_freshness_of_a_writer_that_is_behind_shows_no_times_of_events_it_has_not_read(
    client: StoreClient, put: Any
) -> None:
    """Scores stopped at offset 100; metrics and drift have read what came after."""
    later, taken = START + timedelta(minutes=5), START + timedelta(minutes=4)
    for table, flushes in (("score_windows", 1), ("windows", 2), ("histograms", 2)):
        for _ in range(flushes):
            put(table, [])
    log = {"src": SRC, "partition": 0, "outcome": "stored", "n": 100}
    put("ingest_log", [log | {"last_offset": 99, "max_ts": START, "last_append": START}])
    second = {"last_offset": 199, "end_offset": 200, "max_ts": later, "last_append": taken}
    put("ingest_log", [log | second | {"written_at": later}])
    rows = client.query(
        "SELECT writer, lag, max_ts, last_append, watermark AS mark, written_at"
        " FROM v_freshness ORDER BY writer"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("drift", 0, later, taken, taken, None),
        ("metrics", 0, later, taken, taken, later),
        ("scores", 100, None, None, None, None),
    ]

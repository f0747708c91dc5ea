"""What was seen, within the horizon, in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamgauge.stream_processors.reading import dedup
from streamgauge.stream_processors.reading.dedup import Seen


def test_a_number_seen_before_is_a_repeat_in_any_order() -> None:
    seen = Seen()
    order = [1, 2, 3, 7, 5, 6, 4, 9, 8, 20]
    assert [seen.first_time("p", n, "", i) for i, n in enumerate(order)] == [True] * len(order)
    assert [seen.first_time("p", n, "", 50) for n in order] == [False] * len(order)
    assert seen.first_time("p", 10, "", 51)
    assert seen.first_time("q", 1, "", 52)


def test_numbers_in_order_take_one_interval() -> None:
    seen = Seen()
    for n in range(1, 10_001):
        seen.first_time("p", n, "", n)
    producer = seen._producers["p"]
    assert (producer.low, producer.next, producer.lows) == (1, 10_001, [])


def test_producers_that_are_not_ours_are_known_by_id() -> None:
    seen = Seen()
    assert seen.first_time(None, None, "a", 0)
    assert seen.first_time("p", None, "b", 1)
    assert not seen.first_time(None, 5, "a", 2)
    assert not seen.first_time(None, None, "b", 3)


def test_ids_beyond_the_horizon_are_forgotten_oldest_first() -> None:
    seen = Seen()
    for i in range(dedup.ID_HORIZON + 5):
        seen.first_time(None, None, f"e{i}", i)
    assert len(seen._ids) == dedup.ID_HORIZON
    assert not seen.first_time(None, None, "e5", 0)
    assert seen.first_time(None, None, "e0", 0)


def test_numbers_beyond_the_horizon_are_forgotten_with_their_producer() -> None:
    seen = Seen()
    seen.first_time("old", 1, "", 0)
    seen.first_time("p", 1, "", 10)
    seen.repeats(["p"], [5], ["x"], [1_050_000])
    assert set(seen._producers) == {"p"}
    assert seen.first_time("p", 1, "", 1_050_001)


def test_it_goes_on_from_what_the_store_tells() -> None:
    seen = Seen()
    seen.restore([("p", 1, 10, 30), ("p", 12, 15, 33), ("q", 3, 3, 5)], ["x", "y"], 40)
    repeats = [("p", 10), ("p", 12), ("q", 3)]
    assert [seen.first_time(p, n, "", 41) for p, n in repeats] == [False] * 3
    assert seen.first_time("p", 11, "", 42)
    assert not seen.first_time("p", 11, "", 43)
    assert not seen.first_time(None, None, "y", 44)


def test_clients_that_start_anew_for_each_call_do_not_fill_the_memory() -> None:
    seen = Seen()
    n = 5 * dedup.INTERVALS_KEPT
    for i in range(n):
        assert seen.first_time(f"lambda-{i}", 1, "", i)
    assert len(seen._producers) <= 2 * dedup.INTERVALS_KEPT
    assert not seen.first_time(f"lambda-{n - dedup.INTERVALS_KEPT}", 1, "", n)
    assert seen.first_time("lambda-0", 1, "", n)


def test_numbers_with_gaps_do_not_fill_the_memory() -> None:
    seen = Seen()
    for i in range(5 * dedup.INTERVALS_KEPT):
        assert seen.first_time("p", 2 * i + 1, "", i)
    assert len(seen._producers["p"].lows) <= 2 * dedup.INTERVALS_KEPT


Event = tuple[str | None, int | None, str]
events = st.lists(
    st.tuples(
        st.sampled_from(["p", "q", None]),
        st.one_of(st.none(), st.integers(1, 25)),
        st.sampled_from("abcdef"),
    ),
    max_size=120,
)


@given(events, st.integers(1, 40))
def test_it_sees_what_a_set_sees_in_whatever_pieces(given_events: list[Event], size: int) -> None:
    seen, known = Seen(), set()
    expected, found = [], []
    for i, (producer_id, seq, id_) in enumerate(given_events):
        key = (producer_id, seq) if producer_id and seq is not None else id_
        if key in known:
            expected.append(i)
        known.add(key)
    for start in range(0, len(given_events), size):
        piece = given_events[start : start + size]
        producer_ids, seqs, ids = zip(*piece, strict=True)
        offsets = range(start, start + len(piece))
        found += [start + i for i in seen.repeats(producer_ids, seqs, ids, offsets)]
    assert found == expected

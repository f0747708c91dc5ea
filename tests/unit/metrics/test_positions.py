"""What the store has decides where reading resumes and which table gets what."""

from __future__ import annotations

from faust.types import TP

from streamgauge.stream_processors.core.chunk_transport import Run
from streamgauge.stream_processors.core.positions import (
    MARKER_INTERVAL_MS,
    MARKER_OFFSETS,
    Positions,
)
from streamgauge.stream_processors.core.runs import chunks_of

A, B = "t@1/0", "t@1/1"


def test_reading_resumes_at_the_lowest_marker_of_all_tables() -> None:
    p = Positions(("x", "y"), {"x": {A: 30, B: 7}, "y": {A: 10}}, [A, B])
    assert p.pos == {A: 10, B: 0}
    assert not p.first_time(A)
    assert Positions(("x",), {}, [A]).first_time(A)


def test_markers_of_partitions_that_are_not_ours_are_left_alone() -> None:
    p = Positions(("x",), {"x": {A: 5, B: 9}}, [A])
    assert p.pos == {A: 5}
    p.absorbed(A, 8)
    (move,) = p.moves(now_ms=0)
    assert (move.expected, move.next) == ({A: 5}, {A: 8})


def test_a_run_is_cut_where_tables_differ_so_that_each_gets_an_offset_once() -> None:
    p = Positions(("x", "y", "z"), {"x": {A: 10}, "y": {A: 25}, "z": {A: 18}}, [A])
    assert p.split(A, 10, 30) == [
        (10, 18, frozenset("x")),
        (18, 25, frozenset("xz")),
        (25, 30, frozenset("xyz")),
    ]
    assert p.split(A, 25, 30) == [(25, 30, frozenset("xyz"))]


def test_a_table_ahead_of_what_was_absorbed_is_in_no_block() -> None:
    p = Positions(("x", "y"), {"x": {A: 10}, "y": {A: 25}}, [A])
    p.absorbed(A, 20)
    assert [m.table for m in p.moves(now_ms=0)] == ["x"]
    p.absorbed(A, 26)
    assert [m.table for m in p.moves(now_ms=0)] == ["x", "y"]


def test_what_is_read_back_is_for_no_table_and_in_no_block() -> None:
    p = Positions(("x", "y"), {"x": {A: 10, B: 5}, "y": {A: 25, B: 5}}, [A, B])
    p.back_to({A: 4, B: 9})
    assert p.pos == {A: 4, B: 5}, "never ahead of the position"
    assert p.read_back() == 6
    assert p.split(A, 4, 30) == [
        (4, 10, frozenset()),
        (10, 25, frozenset("x")),
        (25, 30, frozenset("xy")),
    ]
    p.absorbed(A, 9)
    assert p.read_back() == 1
    assert p.moves(now_ms=0, force=True) == []
    p.absorbed(A, 12)
    assert [(m.table, m.expected, m.next) for m in p.moves(now_ms=0)] == [("x", {A: 10}, {A: 12})]
    assert p.lowest(A) == 10


def test_what_retention_cut_off_is_lost_to_a_table_only_above_its_position() -> None:
    p = Positions(("x",), {"x": {A: 10}}, [A])
    p.back_to({A: 4})
    cut = Run(TP("t", 0), epoch=0, base=4, next=15, lost=11, end=None, records=[])
    assert [(c.base, c.next, c.lost, c.tables) for c in chunks_of(cut, "t@1", p)] == [
        (4, 10, 6, frozenset()),
        (10, 15, 5, frozenset("x")),
    ]


def test_only_what_every_table_has_may_be_acknowledged() -> None:
    p = Positions(("x", "y"), {}, [A])
    p.absorbed(A, 5)
    p.landed("x", {A: 5}, now_ms=0)
    assert p.lowest(A) == 0
    p.landed("y", {A: 5}, now_ms=0)
    assert p.lowest(A) == 5


def test_a_quiet_table_gets_a_marker_when_its_time_has_come_or_it_lags_far() -> None:
    p = Positions(("x",), {}, [A])
    p.absorbed(A, 5)
    assert [m.marker_due for m in p.moves(now_ms=0)] == [False]
    assert [m.marker_due for m in p.moves(now_ms=MARKER_INTERVAL_MS - 1)] == [False]
    assert [m.marker_due for m in p.moves(now_ms=MARKER_INTERVAL_MS)] == [True]
    assert [m.marker_due for m in p.moves(now_ms=1, force=True)] == [True]
    p.absorbed(A, MARKER_OFFSETS)
    assert [m.marker_due for m in p.moves(now_ms=1)] == [True]
    p.landed("x", {A: MARKER_OFFSETS}, now_ms=1)
    assert p.moves(now_ms=MARKER_INTERVAL_MS * 9) == []

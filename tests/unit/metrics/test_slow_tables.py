"""Rows of a slow table wait for its marker; the others do not."""

from __future__ import annotations

import pyarrow as pa

from streamgauge.stream_processors.core.positions import MARKER_INTERVAL_MS, Move, Positions
from streamgauge.stream_processors.core.slow_tables import MOST_BYTES, SlowTables

A = "t@1/0"


def rows(n: int) -> pa.Table:
    return pa.table({"n": [n]})


def flush(
    slow: SlowTables, p: Positions, end: int, *, now_ms: int, epoch: int = 1
) -> dict[str, list[int]]:
    """What a flush of the offsets up to `end` writes, by table; it lands."""
    p.absorbed(A, end)
    moves = p.moves(now_ms=now_ms)
    now, made = slow.due_now(epoch, moves, {"windows": rows(end), "spend": rows(end)})
    written = {}
    for move in now:
        written[move.table] = made.pop(move.table)["n"].to_pylist()
        p.landed(move.table, move.next, now_ms=now_ms)
    assert made == {}, "rows without a move"
    return written


def test_rows_wait_until_the_marker_is_due_and_go_in_one_block() -> None:
    slow, p = SlowTables(frozenset({"spend"})), Positions(("windows", "spend"), {}, [A])
    assert flush(slow, p, 5, now_ms=0) == {"windows": [5]}
    assert flush(slow, p, 8, now_ms=MARKER_INTERVAL_MS - 1) == {"windows": [8]}
    assert p.lowest(A) == 0
    written = flush(slow, p, 9, now_ms=MARKER_INTERVAL_MS)
    assert written == {"windows": [9], "spend": [5, 8, 9]}
    assert p.lowest(A) == 9
    assert flush(slow, p, 10, now_ms=MARKER_INTERVAL_MS + 1) == {"windows": [10]}


def test_what_waited_before_a_restart_is_not_written_since_it_is_read_again() -> None:
    slow, p = SlowTables(frozenset({"spend"})), Positions(("windows", "spend"), {}, [A])
    flush(slow, p, 5, now_ms=0)
    again = Positions(("windows", "spend"), p.stored, [A])
    assert again.pos == {A: 0}
    assert again.split(A, 0, 9) == [
        (0, 5, frozenset({"spend"})), (5, 9, frozenset({"windows", "spend"})),
    ]  # fmt: skip
    assert flush(slow, again, 9, now_ms=0, epoch=2) == {"windows": [9]}
    last = flush(slow, again, 10, now_ms=MARKER_INTERVAL_MS, epoch=2)
    assert last["spend"] == [9, 10]


def test_a_marker_that_is_due_goes_out_without_rows() -> None:
    slow = SlowTables(frozenset({"spend"}))
    move = Move("spend", {A: 0}, {A: 5}, marker_due=True)
    assert slow.due_now(1, [move], {}) == ([move], {})


def test_rows_that_take_too_much_memory_do_not_wait_longer() -> None:
    slow = SlowTables(frozenset({"spend"}))
    move = Move("spend", {A: 0}, {A: 5}, marker_due=False)
    third = pa.table({"user_id": ["u" * (MOST_BYTES // 3)]})
    for _ in range(2):
        assert slow.due_now(1, [move], {"spend": third}) == ([], {})
    now, made = slow.due_now(1, [move], {"spend": pa.concat_tables([third, third])})
    assert now == [move]
    assert made["spend"].num_rows == 4
    assert slow.due_now(1, [move], {"spend": third}) == ([], {})

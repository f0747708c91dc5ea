"""Under which revisions cells are written, and which hours a reprocessing takes: pure rules."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from streamgauge.contracts.errors import BadInput
from streamgauge.storage.block import REVISION, build_block
from streamgauge.storage.tables import TABLES
from streamgauge.stream_processors.metrics.revisions import Revisions, under_revisions
from streamgauge.stream_processors.reprocess.run import (
    SLICE_EVENTS,
    HourPlan,
    Task,
    make_plan,
    slices,
)

HOUR = 1_790_002_800
TASK = Task(datetime.fromtimestamp(HOUR, UTC), datetime.fromtimestamp(HOUR + 7_200, UTC))


def cells(*rows: tuple[str, int]) -> pa.Table:
    """One cell of n = 1 per (tenant, start)."""
    schema = TABLES["windows"].data
    given = {"tenant": [tenant for tenant, _ in rows], "t": [t for _, t in rows]}
    columns = []
    for field in schema:
        if field.name in given:
            columns.append(pa.array(given[field.name]).cast(field.type))
        elif pa.types.is_map(field.type):
            columns.append(pa.array([[(1, 2)]] * len(rows), field.type) if "hist" in field.name
                           else pa.array([[("a", 3)]] * len(rows), field.type))  # fmt: skip
        elif pa.types.is_string(field.type):
            columns.append(pa.array([field.name] * len(rows)))
        else:
            zeros = np.full(len(rows), 0 if field.name == "revision" else 1)
            columns.append(pa.array(zeros).cast(field.type))
    return pa.table(columns, schema=schema)


def written(table: pa.Table) -> list[tuple[str, int, int]]:
    return sorted(
        (r["tenant"], int(r["t"].timestamp()), r["revision"])
        for r in table.select(["tenant", "t", "revision"]).to_pylist()
    )


def test_cells_are_not_even_copied_while_no_hour_of_theirs_has_a_revision() -> None:
    made = cells(("a", HOUR))
    assert under_revisions(made, Revisions(7)) is made
    assert under_revisions(made, Revisions(7, [(("a", HOUR - 3_600), [7])])) is made


def test_each_cell_is_written_under_0_and_every_revision_of_its_tenants_hour() -> None:
    known = Revisions(7, [(("a", HOUR), [5, 7, 7]), (("b", HOUR + 3_600), [7])])
    made = cells(("a", HOUR), ("a", HOUR + 3_590), ("a", HOUR + 3_600), ("b", HOUR))
    found = under_revisions(made, known)
    assert written(found) == [
        *(("a", HOUR, r) for r in (0, 5, 7)),
        *(("a", HOUR + 3_590, r) for r in (0, 5, 7)),
        ("a", HOUR + 3_600, 0),
        ("b", HOUR, 0),
    ]
    copy = found.filter(pa.compute.equal(found["revision"], 5))
    assert copy.drop_columns("revision") == made.slice(0, 2).drop_columns("revision")


@pytest.mark.parametrize("position", [{}, {REVISION: 0}, {REVISION: 9}])
def test_a_marker_carries_the_revision_that_its_writer_knew(position: dict[str, int]) -> None:
    key = {"t@1/0": 5}
    block = build_block(
        "windows", cells(("a", HOUR)), written_on=TASK.start.date(),
        expected={"t@1/0": 3, **position}, next={**key, **position},
    )  # fmt: skip
    row, marker = pa.ipc.open_stream(block.body).read_all().to_pylist()
    assert (row["kind"], row[REVISION]) == (0, 0)
    assert (marker["kind"], marker[REVISION]) == (1, position.get(REVISION, 0))
    assert dict(marker["next"]) == {**key, **position}


@pytest.mark.parametrize("raw", [0, 1, SLICE_EVENTS, 7 * SLICE_EVENTS, 10**12])
def test_slices_cover_the_hour_once(raw: int) -> None:
    parts = list(slices(HourPlan(HOUR, ("a",), raw, raw)))
    assert (parts[0][0], parts[-1][1]) == (HOUR, HOUR + 3_600)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(parts))
    assert len(parts) >= min(60, raw // SLICE_EVENTS)
    assert len(parts) <= 60


def test_a_plan_takes_every_tenant_seen_and_the_shared_cell() -> None:
    plan = make_plan(
        TASK, {("a", HOUR): 2, ("__other__", HOUR): 1}, {("a", HOUR): 2, ("z", HOUR): 1}
    )
    assert plan == (HourPlan(HOUR, ("__other__", "a", "z"), 3, 3),)
    assert make_plan(TASK, {}, {}) == ()


def test_one_tenant_cannot_be_told_from_a_shared_cell() -> None:
    alone = Task(TASK.start, TASK.end, "a")
    seen = {("a", HOUR): 2, ("b", HOUR): 1}
    assert make_plan(alone, seen, seen) == (HourPlan(HOUR, ("a",), 2, 2),)
    with pytest.raises(BadInput, match="counted together as __other__"):
        make_plan(alone, {**seen, ("__other__", HOUR): 1}, seen)


def test_hours_with_raw_rows_gone_are_named_with_what_is_there() -> None:
    later = HOUR + 3_600
    counted, raw = {("a", HOUR): 2_000, ("a", later): 7}, {("a", HOUR): 1_500, ("a", later): 7}
    with pytest.raises(BadInput, match="1,500 of 2,000") as refused:
        make_plan(TASK, counted, raw)
    kept = TASK.start + timedelta(hours=1)
    assert f"whole: 1 of 2 hours, {kept:%Y-%m-%d %H:00} to" in refused.value.message

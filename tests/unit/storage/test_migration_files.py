"""Migration files: their rules, and both renderings."""

from __future__ import annotations

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.migration_files import load, render, shipped


def test_shipped_migrations_keep_the_rules_and_render_for_both_topologies() -> None:
    for migration in shipped():
        for statement in migration.statements:
            single = render(statement, database="d")
            cluster = render(statement, database="d", cluster="prod")
            assert "{{" not in single + cluster
            assert "ON CLUSTER" not in single
            assert "ON CLUSTER 'prod'" in cluster or "CREATE" not in cluster


def test_engine_and_reading_differ_on_a_cluster() -> None:
    engine = "{{ENGINE:ReplacingMergeTree(rev)}} {{FROM:events}}"
    assert render(engine, database="d") == "ReplacingMergeTree(rev) `d`.`events`"
    assert render(engine, database="d", cluster="c") == (
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}',"
        " '{replica}', rev) cluster('c', `d`.`events`)"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CREATE TABLE IF NOT EXISTS t (a UInt8)", "first line"),
        ("-- light\nCREATE TABLE t (a UInt8)", "not idempotent"),
        ("-- light\nALTER TABLE t UPDATE a = 1 WHERE 1", "moves data"),
        ("-- light\nALTER TABLE t MATERIALIZE COLUMN a", "moves data"),
    ],
)
def test_file_that_breaks_a_rule_is_refused(text: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        load([("0001_x.sql", text)])


def test_gap_in_the_numbers_is_refused() -> None:
    with pytest.raises(Misconfigured, match="not numbered"):
        load([("0002_x.sql", "-- light\nALTER TABLE t ADD COLUMN IF NOT EXISTS a UInt8")])


def test_checksum_ignores_comments_and_spacing_only() -> None:
    def sha(sql: str) -> str:
        return load([("0001_x.sql", "-- light\n" + sql)])[0].checksum(1)

    same = sha("ALTER TABLE t ADD COLUMN a UInt8")
    assert sha("-- why\nALTER  TABLE t\n ADD COLUMN a UInt8;") == same
    assert sha("ALTER TABLE t ADD COLUMN a UInt16") != same


def test_unknown_placeholder_is_refused() -> None:
    with pytest.raises(Misconfigured, match="placeholder"):
        render("SELECT {{NOPE}}", database="d")


def test_statements_of_a_loop_stand_once_per_tuple() -> None:
    text = "-- light\n-- for V, N in (a, 1), (b b, 2)\nDROP VIEW IF EXISTS {{V}}{{N}};\n-- end\n"
    (migration,) = load([("0001_x.sql", text)])
    assert [s.splitlines()[-1] for s in migration.statements] == [
        "DROP VIEW IF EXISTS a1",
        "DROP VIEW IF EXISTS b b2",
    ]

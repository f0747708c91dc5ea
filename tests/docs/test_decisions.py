"""What docs/decisions says in numbers and names is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamgauge.alerting.evaluation.conditions import CHANCE_SIGMAS, SCATTER_SIGMAS
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S, ROUND_LIMIT_S
from streamgauge.producers.traffic.timeline import LONG_SPAN_MS, MAX_BEATS, heartbeat_every
from streamgauge.stream_processors.drift.settings import DriftSettings
from streamgauge.stream_processors.drift.statistic import Z_CLIP

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
MIGRATIONS = ROOT / "storage" / "streamgauge" / "storage" / "migrations"


def text(number: int) -> str:
    (page,) = (p for p in PAGES if p.name.startswith(f"{number:04}-"))
    return " ".join(page.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_decision_says_context_choice_and_what_was_given_up(page: Path) -> None:
    body = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.name[:4]} \w", body)
    assert re.findall(r"^\*\*(.+?)\.\*\*", body, re.MULTILINE) == ["Context", "Choice", "Given up"]


def test_every_decision_has_a_line_in_the_list() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix(f"# {page.name[:4]} ")
        assert f"- [{page.name[:4]}]({page.name}) {title}\n" in listed


def test_guards_against_chance_are_those_of_the_code() -> None:
    assert f"{CHANCE_SIGMAS:g} standard deviations" in text(13)
    assert f"{SCATTER_SIGMAS:g} standard errors" in text(13)


def test_figures_of_the_drift_page_are_those_of_the_code() -> None:
    assert f"clipped at {Z_CLIP:g}," in text(14)
    assert f"with {DriftSettings().min_windows} reference windows" in text(14)


def test_heartbeats_of_long_replays_are_as_the_page_says() -> None:
    assert f"Over 6 hours there are {MAX_BEATS:,} in all" in text(15)
    assert LONG_SPAN_MS == 6 * 3_600_000
    assert f"up to {heartbeat_every(14 * 86_400_000) // 1000} s of event time" in text(15)


def test_limit_of_the_watchdog_is_as_the_page_says() -> None:
    assert f"over {ROUND_LIMIT_S:g} s ends the process" in text(16)
    assert f"times out after {CALL_TIMEOUT_S:g} s" in text(16)


def test_tables_have_the_projection_and_the_block_column_where_the_page_says() -> None:
    sql = "\n".join(p.read_text(encoding="utf-8") for p in sorted(MIGRATIONS.glob("*.sql")))
    tables = re.findall(
        r"CREATE TABLE IF NOT EXISTS \{\{DB\}\}\.(\w+).*?\((.*?)\n\)\n(ENGINE.*?);", sql, re.DOTALL
    )
    sinks = [(name, columns, rest) for name, columns, rest in tables if " next Simple" in columns]
    assert len(sinks) > 10
    for name, columns, rest in sinks:
        adds_up = "AggregatingMergeTree" in rest
        replacing = "ReplacingMergeTree" in rest
        assert ("PROJECTION positions" in columns) is not adds_up, name
        assert bool(re.search(r"ORDER BY \(.*, block\)", rest)) is replacing, name
        assert ("deduplicate_merge_projection_mode = 'rebuild'" in rest) is replacing, name

"""docs/reference says what the commands, metrics and views are, all of them, as they are now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamgauge.deploy.cli import root
from streamgauge.storage.settings import StoreSettings
from tests.docs.reference_pages import (
    REFERENCE,
    cli_page,
    commands,
    metrics_page,
    prometheus_metrics,
    views_page,
)

MEND = "stale: python -m tests.docs.reference_pages"
ROOT = REFERENCE.parents[1]
SOURCES = ("producers", "storage", "stream_processors", "alerting", "deploy")


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_page_of_the_command_line_is_current() -> None:
    assert page("cli.md") == cli_page(), MEND


def test_every_command_has_a_sentence_and_every_option_a_meaning() -> None:
    missing = []
    for path, command, _ in commands(root._root()):
        missing += [] if command.help else [path]
        missing += [f"{path} {p.opts}" for p in command.params if hasattr(p, "help") and not p.help]
    # their names and choices say it all
    assert set(missing) <= {
        f"streamgauge {where}"
        for where in (
            "alerts fire-test ['--severity']",
            "events replay ['--content']",
            "events simulate ['--content']",
            "events simulate ['--curve']",
            "topics create ['--partitions']",
        )
    }


def test_page_of_metrics_is_current() -> None:
    assert page("metrics.md") == metrics_page(), MEND


def test_no_prometheus_metric_is_defined_outside_telemetry() -> None:
    users = {
        path.name
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        if "prometheus_client" in path.read_text(encoding="utf-8")
    }
    assert users == {"telemetry.py"}
    assert len(prometheus_metrics()) > 10


@pytest.mark.clickhouse
def test_page_of_views_is_current(store: StoreSettings) -> None:
    assert page("views.md") == views_page(store), MEND


def test_every_view_and_column_has_a_meaning() -> None:
    text = page("views.md")
    assert len(re.findall(r"^## v_\w+\n\nOne row is .+\.$", text, re.MULTILINE)) == len(
        re.findall(r"^## ", text, re.MULTILINE)
    )
    assert not re.findall(r"^\| `\w+` \| .* \| +\|$", text, re.MULTILINE)


def test_every_page_of_docs_is_linked_from_another() -> None:
    pages = {p.resolve() for p in (ROOT / "docs").rglob("*.md")}
    start = (ROOT / "docs" / "README.md").resolve()
    linked: set[Path] = set()
    readers = [*pages, ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
    for reader in readers:
        for target in re.findall(r"\]\(([^)#\s]+)", reader.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            found = (reader.parent / target).resolve()
            assert found.exists(), f"{reader.name} links to {target}, which is not there"
            linked |= {found, found / "README.md"}
    assert sorted(str(p.relative_to(ROOT)) for p in pages - linked - {start}) == []

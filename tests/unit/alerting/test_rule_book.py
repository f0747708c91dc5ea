"""Rules in force while people edit their files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamgauge.alerting.evaluation.rule_book import RuleBook
from streamgauge.alerting.rules.loader import RuleSet
from streamgauge.contracts.errors import Misconfigured

RULE = (
    "rules:\n  - {{name: {name}, kind: threshold, metric: requests, window: 1m, value: {value},"
    " severity: info, annotations: {{{texts}}}}}\n"
)
LONG = f"{'x' * 1000}: text"  # a name may have 256 characters on the wire


def write(path: Path, *, name: str = "A", value: str = "5", texts: str = "") -> None:
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(RULE.format(name=name, value=value, texts=texts))
    os.utime(path, ns=(before + 10**9, before + 10**9))  # never the same second


@pytest.mark.parametrize("bad", [{"value": ".nan"}, {"value": ".inf"}, {"texts": LONG}])
def test_rule_that_cannot_be_run_leaves_the_old_set_in_force(
    tmp_path: Path, bad: dict[str, str]
) -> None:
    path = tmp_path / "r.yml"
    write(path)
    book = RuleBook(path, runbook_base="")
    versions, policies = dict(book.versions), dict(book.policies)
    write(path, name="B", **bad)
    assert book.poll() == frozenset()
    assert '"B"' in book.problem
    assert (set(book.rules), book.versions, book.policies) == ({"A"}, versions, policies)
    write(path, name="C")
    assert (set(book.poll()), set(book.policies), book.problem) == ({"A"}, {"C"}, "")


def test_rule_that_cannot_be_run_is_misconfigured_at_start(tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    write(path, texts=LONG)
    with pytest.raises(Misconfigured, match='rule "A" cannot be run'):
        RuleBook(path, runbook_base="")


def test_an_engine_that_is_started_again_while_its_rules_are_bad_goes_on_with_those_of_before(
    tmp_path: Path,
) -> None:
    rules, kept = tmp_path / "rules", tmp_path / "kept"
    rules.mkdir()
    path = rules / "mine.yml"
    write(path)
    before = RuleBook(rules, runbook_base="", kept=kept)
    path.write_text("rules: [")
    again = RuleBook(rules, runbook_base="", kept=kept)
    assert again.rules.keys() == before.rules.keys()
    assert again.versions == before.versions
    assert "mine.yml" in again.problem
    assert again.poll() == frozenset()
    write(path)
    assert again.poll() == frozenset()
    assert again.problem == ""


def test_engine_that_is_killed_while_it_keeps_its_rules_starts_again_with_whole_ones(
    tmp_path: Path,
) -> None:
    path, kept = tmp_path / "mine.yml", tmp_path / "kept"
    write(path)
    RuleBook(path, runbook_base="", kept=kept)
    (folder,) = kept.iterdir()
    folder.rename(kept / "new")  # as a kill before the last step leaves it
    (kept / "part").mkdir()
    path.unlink()
    assert set(RuleBook(path, runbook_base="", kept=kept).rules) == {"A"}


def test_rules_kept_that_are_bad_too_do_not_hide_what_is_wrong_with_the_file(
    tmp_path: Path,
) -> None:
    path, kept = tmp_path / "mine.yml", tmp_path / "kept"
    write(path)
    RuleBook(path, runbook_base="", kept=kept)
    for copy in kept.rglob("*.yml"):
        copy.write_text("rules: 7")
    path.write_text("rules: [")
    with pytest.raises(Misconfigured, match=r"mine\.yml"):
        RuleBook(path, runbook_base="", kept=kept)


class EditedMeanwhile(RuleBook):
    """An editor is quicker: the file is broken right after it was read."""

    def _load(self, path: Path) -> RuleSet:
        found = super()._load(path)
        if path.suffix:
            path.write_text("rules: [")
        return found


def test_file_that_is_broken_right_after_it_was_read_is_not_kept(tmp_path: Path) -> None:
    path, kept = tmp_path / "mine.yml", tmp_path / "kept"
    write(path)
    RuleBook(path, runbook_base="", kept=kept)
    write(path, name="B")
    assert set(EditedMeanwhile(path, runbook_base="", kept=kept).rules) == {"B"}
    assert set(RuleBook(path, runbook_base="", kept=kept).rules) == {"A"}, "the last that was kept"


def test_a_first_start_with_bad_rules_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("rules: [")
    with pytest.raises(Misconfigured, match=r"mine\.yml"):
        RuleBook(path, runbook_base="", kept=tmp_path / "kept")

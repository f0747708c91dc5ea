"""Rule files: what is refused, where, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.alerting import check
from streamgauge.alerting.rules.durations import format_duration, parse_duration
from streamgauge.alerting.rules.kept import kept_ms
from streamgauge.alerting.rules.loader import load, version_of
from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.retention import Retention

GOOD = {
    "name": "A", "kind": "ratio", "bad": "errors", "window": "5m", "value": "0.5",
    "severity": "page",
}  # fmt: skip


BOMB = "rules:\n" + "".join(
    f"  - &{name} [{', '.join(['*' + before if before else 'x'] * 10)}]\n"
    for before, name in zip(["", *"abcdefgh"], "abcdefghi", strict=True)
)
"""A thousand million values in nine lines."""


def write(folder: Path, **fields: str) -> Path:
    """A file with one rule; the field `f` stands on line 2 + its index."""
    path = folder / "r.yml"
    lines = [f"{'  - ' if i == 0 else '    '}{k}: {v}" for i, (k, v) in enumerate(fields.items())]
    path.write_text("rules:\n" + "\n".join(lines) + "\n")
    return path


def without(*names: str) -> dict[str, str]:
    return {k: v for k, v in GOOD.items() if k not in names}


def test_good_rule_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path, **GOOD)
    assert check(path) == []
    assert load(path).rules["A"].every == 30_000


@pytest.mark.parametrize(
    ("fields", "line", "words"),
    [
        ({**GOOD, "wnidow": "3m"}, 8, 'wnidow: unknown field for kind "ratio"'),
        ({**GOOD, "window": "5"}, 5, 'has no unit; write "5m"'),
        ({**GOOD, "window": "15s"}, 5, "no multiple of 10s"),
        ({**GOOD, "every": "2h"}, 8, "outside 10s..1h"),
        (without("window"), 2, "window: is missing"),
        ({**GOOD, "kind": "burn"}, 3, '"burn" is unknown; known: threshold, ratio'),
        ({**GOOD, "bad": "errorz"}, 4, 'unknown metric "errorz"'),
        ({**GOOD, "bad": "latency_p95_ms"}, 4, "is no count"),
        ({**GOOD, "value": "1.5"}, 6, "can never fire"),
        ({**GOOD, "recover": "0.6"}, 8, "bad side of 0.5"),
        (without("severity"), 2, "severity: is missing"),
        ({**GOOD, "levels": "{ticket: 0.1, page: 0.5}"}, 6, 'exactly one of "value" and "levels"'),
        (
            {**without("value", "severity"), "levels": "{ticket: 0.5, page: 0.1}"}, 6,
            "not monotone",
        ),
        ({**GOOD, "group_by": "[app, colour]"}, 8, 'unknown dimension "colour"'),
        ({**GOOD, "where": "{colour: red}"}, 8, 'unknown dimension "colour"'),
        ({**GOOD, "labels": "{severity: page}"}, 8, "set by the engine"),
        ({**GOOD, "annotations": '{summary: "{prompt}"}'}, 8, "names {prompt}"),
        ({**GOOD, "early": "true"}, 8, "may fire on open windows"),
        ({**GOOD, "window": "30d"}, 5, "are kept"),
        (
            {"name": "B", "kind": "novelty", "dimension": "model", "window": "1h", "baseline": "1d",
             "learn": "1h", "severity": "info", "for": "5m"}, 9, "novelty cannot wait",
        ),
        (
            {"name": "B", "kind": "novelty", "dimension": "app", "window": "1h", "baseline": "1d",
             "learn": "1h", "severity": "info"}, 4, "is in group_by",
        ),
        ({"name": "C", "kind": "budget", "amount_usd": "5", "period": "month"}, 2,
         "name the time zone"),
        (
            {"name": "C", "kind": "budget", "amount_usd": "5", "period": "month", "tz": "Mars/One"},
            6, "unknown time zone",
        ),
        ({"name": "C", "kind": "budget", "amount_usd": "-5", "period": "rolling:24h"}, 4,
         "greater than or equal to 0.01"),
        (
            {"name": "D", "kind": "change", "metric": "requests", "window": "5m", "baseline": "12m",
             "value": "2", "severity": "info"}, 6, "must be a multiple of window",
        ),
        (
            {"name": "D", "kind": "change", "metric": "requests", "window": "5m", "baseline": "30m",
             "value": "0.5", "severity": "info"}, 7, "no change in the direction",
        ),
        (
            {"name": "D", "kind": "change", "metric": "requests", "window": "5m", "baseline": "30m",
             "value": "2", "severity": "info", "parts": "5", "agree": "6"}, 10, "cannot agree",
        ),
        ({"name": "C", "kind": "budget", "amount_usd": "0.0000000001", "period": "rolling:24h"}, 4,
         "greater than or equal to 0.01"),
        ({"name": "E", "kind": "absence", "metric": "latency_p95_ms", "window": "5m",
          "baseline": "30m", "expected": "5", "severity": "info"}, 4, "is no count"),
        ({**GOOD, "annotations": '{summary: "{value:>900000000}"}'}, 8, "without a form"),
        ({**GOOD, "annotations": '{summary: "{value!r}"}'}, 8, "without a form"),
        ({"name": "9x", **without("name")}, 2, "pattern"),
        ({**GOOD, "labels": "{squad: %s}" % ("x" * 257)}, 8, "at most 256 characters"),
        ({**GOOD, "value": ".nan"}, 6, "finite number"),
        ({**GOOD, "value": ".inf"}, 6, "finite number"),
        ({**GOOD, "recover": "-.inf"}, 8, "finite number"),
        (
            {**without("value", "severity"), "levels": "{ticket: 0.1, page: .nan}"}, 6,
            "finite number",
        ),
        ({"name": "E", "kind": "absence", "window": "5m", "baseline": "30m", "expected": ".inf",
          "severity": "info"}, 6, "finite number"),
    ],
)  # fmt: skip
def test_bad_rule_is_refused_at_its_line(
    tmp_path: Path, fields: dict[str, str], line: int, words: str
) -> None:
    problems = check(write(tmp_path, **fields))
    assert any(p.line == line and words in p.message for p in problems), [str(p) for p in problems]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "is empty"),
        ("rules: 5\n", 1, "must be a list"),
        ("- a\n", 1, "must be a mapping"),
        ("rules: []\nrulez: []\n", 2, 'unknown key "rulez"'),
        ("rules:\n  - {name: A, name: B}\n", 2, "written twice"),
        ("rules:\n  - just text\n", 2, "a mapping of fields"),
        ("rules:\n  - name: A\n   kind: x\n", 3, "is not YAML"),
        ("rules: \x07\n", 1, "is not YAML"),
        ("rules:\n  - {name: A, kind: !!python/name:os.system x}\n", 2, "is not YAML"),
        ("rules:\n  - {name: A, <<: 5}\n", 2, "is not YAML"),
        ("rules:\n  - {name: A, [a]: 5}\n", 2, "a key must be a plain word"),
        ("rules:\n  - {name: A, kind: [ratio]}\n", 2, "is unknown"),
        ("rules:\n  - {name: A, kind: 2026-02-30}\n", 2, "cannot be read"),
        ("rules:\n  - {name: A, value: %s}\n" % ("9" * 6000), 2, "cannot be read"),
        ("rules: " + "[" * 5000 + "]" * 5000, 1, "nested too deeply"),
        ("rules: &r\n  - {name: A, kind: ratio, x: *r}\n", 2, "anchor contains itself"),
        (BOMB, 6, "expand to more than"),
        ("#" * 1_100_000, 1, "is longer than 1,000,000 bytes"),
    ],
)
def test_bad_file_is_refused_at_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "f.yml"
    path.write_text(text)
    problems = check(path)
    assert any(p.line == line and words in p.message for p in problems), [str(p) for p in problems]


def test_two_rules_of_one_name_in_a_folder_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **GOOD)
    (tmp_path / "s.yaml").write_text((tmp_path / "r.yml").read_text())
    (problem,) = check(tmp_path)
    assert "name of another rule" in problem.message


def test_load_names_the_problems_in_one_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r'r.yml:5: rule "A": window:'):
        load(write(tmp_path, **{**GOOD, "window": "5"}))


def test_version_follows_the_meaning_and_not_the_layout(tmp_path: Path) -> None:
    path = write(tmp_path, **GOOD)
    before = load(path).versions["A"]
    path.write_text("# a comment\n" + path.read_text())
    assert load(path).versions["A"] == before
    path.write_text(path.read_text().replace("0.5", "0.6"))
    after = load(path)
    assert after.versions["A"] != before
    assert version_of(after.rules["A"]) == after.versions["A"]


def test_durations_read_back_as_written() -> None:
    for text in ("10s", "5m", "2h", "14d", "90s"):
        assert format_duration(parse_duration(text)) == text


def test_rule_that_looks_further_back_than_its_cells_are_kept_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = write(
        tmp_path,
        name="C",
        kind="budget",
        amount_usd="5",
        period="month",
        tz="Europe/Berlin",
        every="60s",
    )
    assert check(budget) == []
    monkeypatch.setenv("STREAMGAUGE_KEEP_WINDOWS_60S_DAYS", "14")
    (problem,) = check(budget)
    assert problem.line == 5
    assert "are kept 14d (STREAMGAUGE_KEEP_WINDOWS_60S_DAYS)" in problem.message
    monkeypatch.setenv("STREAMGAUGE_KEEP_WINDOWS_60S_DAYS", "32")
    assert check(budget) == []


def test_retention_that_rules_believe_is_that_of_the_store() -> None:
    kept = Retention.from_env({})
    assert kept_ms({}) == {s * 1000: kept.days[f"windows_{s}s"] * 86_400_000 for s in (10, 60)}
    env = {"STREAMGAUGE_KEEP_WINDOWS_10S_DAYS": "3", "STREAMGAUGE_KEEP_WINDOWS_60S_DAYS": "400"}
    kept = Retention.from_env(env)
    assert kept_ms(env) == {s * 1000: kept.days[f"windows_{s}s"] * 86_400_000 for s in (10, 60)}

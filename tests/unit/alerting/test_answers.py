"""Due steps to records: what one failing rule, query or round does to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streamgauge.alerting.evaluation.answers import MAX_RECORD_BYTES, Answers
from streamgauge.alerting.evaluation.batch import Due
from streamgauge.alerting.evaluation.early import Said
from streamgauge.alerting.evaluation.rule_book import RuleBook
from streamgauge.contracts.errors import BadInput, Unreachable
from streamgauge.contracts.records import to_json_bytes
from streamgauge.contracts.tick_book import SourceClock

T = 1_700_006_400_000
CLOCK = SourceClock(T, T, held=False, completeness=1.0)
RULES = """rules:
  - {name: Calls, kind: threshold, metric: requests, window: 1m, value: 5, severity: info,
     group_by: [app]}
  - {name: Money, kind: budget, amount_usd: 50, period: rolling:1h, group_by: [app]}
  - {name: New, kind: novelty, dimension: model, window: 1h, baseline: 1d, learn: 1h,
     severity: info, group_by: [app]}
"""


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    path = tmp_path / "r.yml"
    path.write_text(RULES)
    return RuleBook(path, runbook_base="")


def ask(sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """One app, whose sums in the last interval are all 10; of models nothing."""
    if "model" in sql:
        return []
    slot = len(parameters["breaks"]) - 1
    return [["chat", slot, T - 60_000, *[10] * sql.count(" AS a")]]


def due(book: RuleBook, *, final: bool = True) -> list[Due]:
    return [Due(rule, T, final) for rule in book.rules.values()]


def test_rule_that_cannot_be_judged_takes_no_other_down(book: RuleBook) -> None:
    money = book.rules["Money"]
    book.rules["Money"] = money.model_copy(update={"amount_usd": Decimal("1e-12")})
    answers = Answers(book, ask, live=False)
    records = {r.rule: r for r in answers.records(due(book), clock=CLOCK, said=Said())}
    assert set(records) == {"Calls", "Money", "New"}
    assert "ZeroDivisionError" in str(records["Money"].error)
    assert records["Calls"].error is None
    assert [s.breach for s in records["Calls"].series] == ["info"]
    assert answers.failing == {"Money": 1}
    assert "ZeroDivisionError" in answers.errors["Money"]
    book.rules["Money"] = money
    answers.records(due(book), clock=CLOCK, said=Said())
    assert (answers.failing, answers.errors) == ({}, {})


def test_rule_for_which_no_query_can_be_made_takes_no_other_down(book: RuleBook) -> None:
    broken = book.rules["Money"].model_copy(update={"period": "rolling:1fortnight"})
    book.rules["Money"] = broken
    answers = Answers(book, ask, live=False)
    records = answers.records(due(book), clock=CLOCK, said=Said())
    assert {r.rule: r.error is None for r in records} == {
        "Calls": True, "Money": False, "New": True,
    }  # fmt: skip


def test_rule_whose_query_the_store_refuses_takes_no_other_down(book: RuleBook) -> None:
    def refuses_money(sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        if "cost_nano_usd" in sql:
            raise BadInput("no such column", reason="store_47")
        return ask(sql, parameters)

    answers = Answers(book, refuses_money, live=False)
    records = answers.records(due(book), clock=CLOCK, said=Said())
    assert {r.rule: r.error for r in records} == {
        "Calls": None, "Money": "no such column", "New": None,
    }  # fmt: skip


def test_record_too_large_for_the_log_becomes_one_that_says_so(book: RuleBook) -> None:
    def many(sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        (row,) = ask(sql, parameters)
        return [[f"{i:05}{'x' * 240}", *row[1:]] for i in range(5000)]

    book.rules["Calls"] = book.rules["Calls"].model_copy(update={"max_series": 5000})
    answers = Answers(book, many, live=False)
    (record,) = answers.records([Due(book.rules["Calls"], T)], clock=CLOCK, said=Said())
    assert record.error is not None
    assert "lower max_series" in record.error
    assert len(to_json_bytes(record)) < MAX_RECORD_BYTES


def test_breach_of_an_open_window_thrown_away_with_its_round_is_said_again(book: RuleBook) -> None:
    asked = []

    def hiccups(sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        asked.append(sql)
        if len(asked) == 2:
            raise Unreachable("away")
        return ask(sql, parameters)

    answers, said = Answers(book, hiccups, live=True), Said()
    with pytest.raises(Unreachable):
        answers.records(due(book, final=False), clock=CLOCK, said=said.copy())
    first = answers.records(due(book, final=False), clock=CLOCK, said=said)
    assert "Calls" in {r.rule for r in first}
    assert answers.records(due(book, final=False), clock=CLOCK, said=said) == []


def test_open_windows_are_judged_again_only_when_something_came(book: RuleBook) -> None:
    said = Said()
    a_round = said.copy()
    assert a_round.news("Calls", (T, 5))
    assert not a_round.news("Calls", (T, 5))
    assert said.news("Calls", (T, 5)), "the round was thrown away"

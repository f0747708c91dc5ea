"""One alert as a line of `streamgauge alerts`."""

from __future__ import annotations

import pytest

from streamgauge.contracts.alerts import Alert
from streamgauge.deploy.cli.alerts import why
from tests.support.alert_records import alert


def ended(**fields: object) -> Alert:
    return alert(status="resolved", transition="resolved", **fields)


def test_a_change_that_ended_beyond_its_limit_says_why() -> None:
    evidence = {"now": 9.123456, "baseline": 0.667, "unit": "USD"}
    change = ended(kind="change", value=13.67, threshold=8.0, evidence=evidence)
    assert why(change) == " [9.123 after 0.667 USD: too small a change, or within chance]"
    down = ended(kind="change", value=0.4, threshold=0.5, evidence=evidence)
    assert "too small a change" in why(down)


@pytest.mark.parametrize("value", [2.0, None])
def test_a_change_that_ended_within_its_limit_needs_no_reason(value: float | None) -> None:
    evidence = {"now": 2.0, "baseline": 1.0}
    assert why(ended(kind="change", value=value, threshold=8.0, evidence=evidence)) == ""


def test_an_end_that_was_not_by_the_rule_says_by_what() -> None:
    assert why(ended(reason="rule_changed")) == " [rule changed]"
    assert why(alert(reason=None)) == ""

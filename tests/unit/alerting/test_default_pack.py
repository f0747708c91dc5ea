"""The shipped rules on simulated traffic: planted trouble is found, clean traffic is silent."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from streamgauge.alerting.rules.loader import DEFAULT_PACK, check, load
from streamgauge.contracts.alerts import Alert, Transition
from tests.support.alerting import Cells, run_rules, traffic

START = 1_700_000_000_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
HOUR = 60 * MINUTE
RULES = load().enabled
RUNBOOKS = Path(__file__).resolve().parents[3] / "deploy" / "runbooks"


def fired(alerts: list[Alert]) -> list[tuple[str, str, int]]:
    """Rule, app and minute after START of every alert that fired."""
    return [
        (a.rule, a.labels["app"], round((a.updated_at.timestamp() * 1000 - START) / MINUTE))
        for a in alerts
        if a.transition is Transition.FIRED
    ]


def between(first: int, last: int, inside: float, outside: float):  # type: ignore[no-untyped-def]
    """A value for the minutes [first, last) after START, another one elsewhere."""
    return lambda t: inside if first <= (t - START) / MINUTE < last else outside


def test_pack_passes_its_own_check_and_has_at_least_ten_rules() -> None:
    assert check(DEFAULT_PACK) == []
    assert len(RULES) >= 10


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_has_a_runbook_with_the_four_parts(name: str) -> None:
    text = (RUNBOOKS / RULES[name].runbook).read_text()
    assert text.startswith(f"# {name}\n")
    for part in ("## Meaning", "## First three commands", "## Fix", "## Escalation"):
        assert part in text, f"{name}: {part} is missing"


@pytest.mark.parametrize(
    ("rule", "trouble"),
    [
        ("ErrorBurstFast", {"errors": between(40, 46, 0.8, 0.01)}),
        ("ErrorRateHigh", {"errors": between(40, 60, 0.25, 0.01)}),
        ("LatencyShift", {"slow": between(40, 51, 3.0, 1.0)}),
        ("TTFTShift", {"slow": between(40, 51, 3.5, 1.0)}),
        ("OutputSpeedDrop", {"slow": between(40, 51, 3.0, 1.0)}),
        ("CostPerRequestShift", {"dear": between(40, 51, 4.0, 1.0)}),
        ("SpendRunaway", {"dear": between(40, 48, 100.0, 1.0)}),
        ("BudgetSpent", {"dear": between(40, 50, 200.0, 1.0)}),
        ("NoTraffic", {"per_minute": between(40, 60, 0.0, 60.0)}),
        ("UnpricedModel", {"unpriced": between(40, 60, 0.4, 0.0)}),
    ],
)
def test_planted_trouble_is_found_for_its_app_and_no_other(
    rule: str, trouble: dict[str, object]
) -> None:
    cells = Cells()
    steady = {"per_minute": lambda _: 60.0}
    for seed, app in enumerate(("search", "chat")):
        more = trouble if app == "search" else {}
        traffic(
            cells, random.Random(seed), app, start_ms=START, end_ms=START + 60 * MINUTE,
            **{**steady, **more},  # type: ignore[arg-type]
        )  # fmt: skip
    alerts, _ = run_rules(RULES.values(), cells, START, START + 60 * MINUTE)
    found = fired(alerts)
    assert {app for _, app, _ in found} == {"search"}, found
    minutes = [m for name, _, m in found if name == rule]
    assert len(minutes) == 1, f"{rule} fired {len(minutes)} times: {found}"
    assert 40 <= minutes[0] <= 50, "planted from minute 40 on"


@pytest.mark.parametrize("seed", range(3))
def test_clean_traffic_fires_nothing(seed: int) -> None:
    """Steady, small, daily, bursty and evening-only apps for five hours."""
    rng = random.Random(f"clean-{seed}")
    cells = Cells()
    shapes = {
        "steady": lambda t: 90.0,
        "small": lambda t: 0.5,
        "middling": lambda t: 6.0,
        "wave": lambda t: 40 * (1 + 0.8 * math.sin((t - START) / HOUR)),
        # half an hour of work out of every two: a batch job
        "batch": lambda t: 120.0 if (t - START) % (2 * HOUR) < 4 * MINUTE else 0.0,
        # falls asleep over two hours, then nothing at all
        "evening": lambda t: max(0.0, 60.0 * (1 - (t - START) / (2.5 * HOUR))),
    }
    for app, shape in shapes.items():
        traffic(cells, rng, app, start_ms=START, end_ms=START + 5 * HOUR, per_minute=shape)
    alerts, records = run_rules(RULES.values(), cells, START, START + 5 * HOUR)
    assert fired(alerts) == []
    assert sum(len(r.series) for r in records) > 10_000, "the rules did look at series"

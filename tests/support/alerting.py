"""Alert tests: cells in memory, rule files, an engine process.

`Cells` is a store of `windows` rows that answers a batch as the SQL does, by plain addition, so the
whole pure path (grid, batch, conditions, state machine) runs without Kafka and ClickHouse.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from streamgauge.alerting.evaluation.batch import Batch, Due, batches
from streamgauge.alerting.evaluation.evaluate import evaluate
from streamgauge.alerting.evaluation.panes import FIRST, merge
from streamgauge.alerting.evaluation.policy import policy_of
from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.alerting.rules.metrics import MAP_DIMENSIONS
from streamgauge.alerting.rules.model import Rule
from streamgauge.alerting.states.machine import RuleState, step
from streamgauge.contracts import histogram
from streamgauge.contracts.alerts import Alert

LABELS = ("tenant", "env", "app", "team", "feature", "op", "provider", "model")


class Cells:
    """Rows of `windows` at 10 s and 60 s."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, tuple[str, ...]], dict[int, dict[str, Any]]] = {}

    def add(self, t_ms: int, labels: Mapping[str, str], cell: Mapping[str, Any]) -> None:
        """Add to the cells that a moment lies in."""
        full = {"tenant": "default", "env": "prod", "provider": "openai", "model": "m1", **labels}
        key = tuple(full.get(name, "") for name in LABELS)
        for resolution in (10_000, 60_000):
            t = t_ms // resolution * resolution
            slots = self.rows.setdefault((resolution, key), {})
            slots[t] = dict(merge((slots[t], cell))) if t in slots else dict(merge((cell,)))

    def answer(self, batch: Batch) -> list[list[Any]]:
        """What the batch's SQL would bring."""
        groups: dict[tuple[str, ...], dict[int, list[dict[str, Any]]]] = {}
        at = [LABELS.index(d) for d in batch.dimensions]
        for (resolution, key), slots in self.rows.items():
            if resolution != batch.resolution or batch.where:
                continue
            group = groups.setdefault(tuple(key[i] for i in at), {})
            for t, cell in slots.items():
                slot = sum(b <= t for b in batch.breaks)
                if 0 < slot < len(batch.breaks):
                    group.setdefault(slot, []).append({**cell, FIRST: t})
        out: list[list[Any]] = []
        for labels, by_slot in groups.items():
            for slot, cells in by_slot.items():
                whole = merge(cells)
                names = [_column(a) for a in batch.aggregates]
                values = [whole.get(n, {} if _is_map(n) else 0) for n in names]
                out.append([*labels, slot, whole[FIRST], *values])
        return out


def _column(aggregate: str) -> str:
    kind, _, rest = aggregate.partition(":")
    return MAP_DIMENSIONS[rest] if kind == "map" else rest or kind


def _is_map(name: str) -> bool:
    return name.endswith("_hist") or name in MAP_DIMENSIONS.values()


def judge_at(rule: Rule, cells: Cells, step_ms: int, *, final: bool = True) -> LoggedEvaluation:
    """The record of one rule at one step over these cells."""
    (batch,) = batches([Due(rule, step_ms)])
    panes = batch.panes(cells.answer(batch))
    return evaluate(
        rule, panes, step_ms, policy=policy_of(rule), version="v", watermark_ms=step_ms, final=final
    )


def run_rules(
    rules: Iterable[Rule], cells: Cells, start_ms: int, end_ms: int
) -> tuple[list[Alert], list[LoggedEvaluation]]:
    """All alerts that rules make of cells, on every grid step of a stretch."""
    alerts: list[Alert] = []
    records: list[LoggedEvaluation] = []
    for rule in rules:
        state = RuleState()
        first = -(-start_ms // rule.every) * rule.every
        steps = list(range(first, end_ms + 1, rule.every))
        for i in range(0, len(steps), 60):
            (batch,) = batches([Due(rule, s) for s in steps[i : i + 60]])
            panes = batch.panes(cells.answer(batch))
            for at in steps[i : i + 60]:
                record = evaluate(
                    rule, panes, at, policy=policy_of(rule), version="v", watermark_ms=at
                )
                records.append(record)
                state, made = step(state, record)
                alerts += made
    return sorted(alerts, key=lambda a: (a.updated_at, a.rule)), records


def poisson(rng: random.Random, mean: float) -> int:
    """A Poisson number (Knuth's method below 30, normal above)."""
    if mean > 30:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, k, p = math.exp(-mean), 0, rng.random()
    while p > limit:
        k += 1
        p *= rng.random()
    return k


def traffic(
    cells: Cells,
    rng: random.Random,
    app: str,
    *,
    start_ms: int,
    end_ms: int,
    per_minute: Callable[[int], float],
    errors: Callable[[int], float] = lambda _: 0.01,
    slow: Callable[[int], float] = lambda _: 1.0,
    dear: Callable[[int], float] = lambda _: 1.0,
    unpriced: Callable[[int], float] = lambda _: 0.0,
) -> None:
    """Requests of one app: Poisson arrivals, lognormal durations and costs, a share of errors.

    The functions give rate, shares and factors at a time (ms).
    """
    for t in range(start_ms, end_ms, 10_000):
        n = poisson(rng, per_minute(t) / 6)
        for _ in range(n):
            duration = rng.lognormvariate(8.0, 0.7) * slow(t)
            known = rng.random() >= unpriced(t)
            cell: dict[str, Any] = {
                "n": 1,
                "errors": int(rng.random() < errors(t)),
                "duration_ms_hist": {histogram.bucket(duration): 1},
                "ttft_ms_hist": {histogram.bucket(duration / 5): 1},
                "output_tps_hist": {histogram.bucket(rng.lognormvariate(4, 0.3) / slow(t)): 1},
                "cost_nano_usd": round(rng.lognormvariate(12.5, 1.0) * dear(t)) if known else 0,
                "unpriced_n": 0 if known else 1,
                "unpriced_tokens": 0 if known else 900,
                "response_models": {"m1" if known else "mystery": 1},
            }
            cells.add(t, {"app": app, "model": "m1" if known else "mystery"}, cell)

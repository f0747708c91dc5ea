"""What a rule is: one frozen model per kind, strict about every field.

In: the mapping of one YAML item. Out: a `Rule`. Durations become integer ms; a budget's amount is
an exact decimal number of USD.
A rule says nothing about where it is run; `evaluate.py` gives it meaning, `policy.py` what the
state machine must know. Not here: line numbers (loader.py) and checks across fields (lint.py).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from streamgauge.alerting.rules.durations import DurationMs
from streamgauge.alerting.rules.metrics import DIMENSIONS, MAP_DIMENSIONS, METRICS
from streamgauge.contracts.bounds import MAX_STRING_CHARS

Severity = Literal["info", "ticket", "page"]
SEVERITIES: tuple[Severity, ...] = ("info", "ticket", "page")
Op = Literal[">=", ">", "<=", "<"]
Dimension = Annotated[str, Field(json_schema_extra={"enum": list(DIMENSIONS)})]


def _metric(name: object) -> object:
    if isinstance(name, str) and name not in METRICS:
        raise ValueError(f'unknown metric "{name}"; known: {", ".join(sorted(METRICS))}')
    return name


MetricName = Annotated[str, BeforeValidator(_metric)]


class Strict(BaseModel):
    """Frozen, and deaf to no typing mistake. No number is infinite or none at all."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


class Match(Strict):
    """Which values of a dimension count: one list, or none of a list, or a regular expression."""

    one_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    regex: str = ""


def _match(value: object) -> object:
    if isinstance(value, str):
        return {"one_of": (value,)}
    if isinstance(value, list):
        return {"one_of": tuple(value)}
    if isinstance(value, dict) and "not" in value:
        refused = value["not"]
        rest = {k: v for k, v in value.items() if k != "not"}
        return {"none_of": (refused,) if isinstance(refused, str) else tuple(refused), **rest}
    return value


class NoData(Strict):
    """What a series without a value means.

    keep: nothing changes; after `after` of event time an open alert ends as `missing_series`.
    ok: as if all were well. nodata: a state of its own after `after`. fire: as a breach.
    """

    mode: Literal["keep", "ok", "nodata", "fire"] = "keep"
    after: DurationMs = 3_600_000


class _Base(Strict):
    """What all kinds have.

    max_series: most series that a record names, the hardest breaches first. Alerts of series that
    are left out stay as they are, and the engine's log names the rule.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=80)
    description: str = ""
    enabled: bool = True
    labels: dict[str, Annotated[str, Field(max_length=MAX_STRING_CHARS)]] = {}
    annotations: dict[str, str] = {}
    group_by: tuple[Dimension, ...] = ("tenant", "env", "app")
    where: dict[Dimension, Annotated[Match, BeforeValidator(_match)]] = {}
    every: DurationMs = 30_000
    for_ms: DurationMs = Field(0, alias="for")
    keep_firing_for: DurationMs = 0
    recover: float | None = None
    severity: Severity | None = None
    no_data: NoData = NoData()
    min_events: int = Field(1, ge=0)
    max_series: int = Field(1000, ge=1, le=100_000)
    early: bool | None = None
    runbook: str = ""

    @field_validator("group_by", mode="after")
    @classmethod
    def _known_group(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _known_dimension(name)
        if len(set(names)) != len(names):
            raise ValueError("a dimension is named twice")
        return names

    @field_validator("where", mode="after")
    @classmethod
    def _known_where(cls, where: dict[str, Match]) -> dict[str, Match]:
        for name in where:
            _known_dimension(name)
        return where


def _known_dimension(name: str) -> None:
    if name not in DIMENSIONS:
        raise ValueError(f'unknown dimension "{name}"; known: {", ".join(DIMENSIONS)}')


class _Leveled(_Base):
    op: Op = ">="
    value: float | None = None
    levels: dict[Severity, float] = {}

    def ladder(self) -> list[tuple[Severity, float]]:
        """Levels from the mildest to the hardest severity, with their thresholds."""
        if self.levels:
            return [(s, self.levels[s]) for s in SEVERITIES if s in self.levels]
        return [(self.severity or "ticket", self.value or 0.0)]


class Threshold(_Leveled):
    """A metric over a rolling window against a number."""

    kind: Literal["threshold"]
    metric: MetricName
    window: DurationMs


class Ratio(_Leveled):
    """Bad over total in a rolling window; unknown below `min_events`."""

    kind: Literal["ratio"]
    bad: MetricName
    total: MetricName = "requests"
    window: DurationMs
    min_bad: int = Field(1, ge=0)


class Change(_Leveled):
    """A metric now, as a multiple of its own past.

    The past is `baseline` just before the window, cut into pieces of the window's length; the
    baseline is the median of the pieces' values, so that an incident that lasts does not become
    normal before it fills half of it. min_windows: pieces that must hold `min_events` each.
    floor_abs: least distance from the baseline, in the metric's unit. A percentile must also have
    moved by more than chance (conditions.beyond_chance), so few events may be judged. For a mean,
    parts and agree do the same: the window is cut into `parts`, and at least `agree` of them must
    reach the level on their own, and the whole must lie beyond the scatter of such parts in the
    baseline (conditions.beyond_scatter), so that a few dear calls are no shift.
    """

    kind: Literal["change"]
    metric: MetricName
    window: DurationMs
    baseline: DurationMs
    min_windows: int = Field(3, ge=1)
    floor_abs: float = Field(0.0, ge=0)
    parts: int = Field(1, ge=1, le=30)
    agree: int = Field(1, ge=1, le=30)


class Absence(_Base):
    """A steady series stopped: nothing in the window, though its own rate says `expected`.

    expected: least events that each piece (of the window's length) of the `baseline` before the
    window must hold; the lowest piece counts, so that a burst or a fading evening expects nothing.
    """

    kind: Literal["absence"]
    metric: MetricName = "requests"
    window: DurationMs
    baseline: DurationMs
    expected: float = Field(gt=0)


class Novelty(_Base):
    """A value of `dimension` that the `baseline` before the window never held.

    learn: least length of the group's own history before the window; until then nothing is new.
    """

    kind: Literal["novelty"]
    dimension: str
    window: DurationMs
    baseline: DurationMs
    learn: DurationMs
    min_count: int = Field(1, ge=1)

    @field_validator("dimension", mode="after")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DIMENSIONS and name not in MAP_DIMENSIONS:
            known = ", ".join((*DIMENSIONS, *MAP_DIMENSIONS))
            raise ValueError(f'unknown dimension "{name}"; known: {known}')
        return name


class Budget(_Base):
    """Money spent in a period against an amount of at least a cent; levels are shares of it."""

    kind: Literal["budget"]
    amount_usd: Decimal = Field(ge=Decimal("0.01"), le=1_000_000_000)
    period: str = Field(pattern=r"^(day|week|month|rolling:\d+[mhd])$")
    tz: str = ""
    levels: dict[Severity, float] = {"page": 1.0}

    @property
    def op(self) -> Op:
        """Spending is judged upward."""
        return ">="

    def ladder(self) -> list[tuple[Severity, float]]:
        """Levels from the mildest to the hardest, as shares of the amount."""
        return [(s, self.levels[s]) for s in SEVERITIES if s in self.levels]

    @field_validator("amount_usd", mode="before")
    @classmethod
    def _exact(cls, amount: object) -> object:
        return str(amount) if isinstance(amount, float | int) else amount

    @field_validator("tz", mode="after")
    @classmethod
    def _zone(cls, name: str) -> str:
        if name:
            try:
                ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                raise ValueError(
                    f'unknown time zone "{name}"; write for example "Europe/Berlin"'
                ) from None
        return name


Rule = Threshold | Ratio | Change | Absence | Novelty | Budget
KINDS = ("threshold", "ratio", "change", "absence", "novelty", "budget")

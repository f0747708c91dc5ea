"""Compares what was planted with what was alerted.

In: incidents of the truth file and the alert episodes that a subscriber received. Out: one line per
incident (found or missed, by which rule, how long after, in event time) and the alerts that nothing
explains. Pure: no Kafka, no clock.

An episode is explained by an incident if it is about the incident's app and began between the
incident's start and its end plus GRACE_MS, whatever its rule: an error burst may also push the
latency up. An incident counts as found only by a rule that is meant for its kind (MEANT_FOR).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GRACE_MS = 15 * 60_000
"""Rolling windows and baselines carry an incident on after its end."""

MEANT_FOR: dict[str, frozenset[str]] = {
    "error_burst": frozenset({"ErrorBurstFast", "ErrorRateHigh"}),
    "latency_x3": frozenset({"LatencyShift", "TTFTShift", "LatencyHigh"}),
    "cost_x4": frozenset({"CostPerRequestShift", "SpendRunaway"}),
    "silence": frozenset({"NoTraffic"}),
    "runaway": frozenset({"BudgetSpent", "SpendRunaway"}),
    "unknown_model": frozenset({"UnpricedModel", "NewModel"}),
}
"""Rules of the default pack that name each kind of planted incident."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One incident of the truth file. Times are event time in ms since the epoch."""

    kind: str
    app: str
    start_ms: int
    end_ms: int
    page: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert episode that fired. `app` is empty for alerts that are not about one app."""

    rule: str
    app: str
    severity: str
    fired_ms: int
    episode: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one incident. `by` is the first rule meant for it that fired, if any."""

    planted: Planted
    by: Episode | None
    also: tuple[Episode, ...]

    @property
    def delay_s(self) -> float | None:
        """Seconds of event time from the start of the incident to the alert."""
        return None if self.by is None else (self.by.fired_ms - self.planted.start_ms) / 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer. `ok` is what the demo's exit code says."""

    findings: tuple[Finding, ...]
    false_alarms: tuple[Episode, ...]

    @property
    def missed(self) -> tuple[Planted, ...]:
        """Incidents that no rule meant for them found."""
        return tuple(f.planted for f in self.findings if f.by is None)

    @property
    def ok(self) -> bool:
        """Every page-class incident was found and nothing fired without a cause."""
        return not self.false_alarms and not any(p.page for p in self.missed)


def explains(planted: Planted, episode: Episode) -> bool:
    """Whether this incident can be the cause of this alert."""
    return (
        planted.app == episode.app
        and planted.start_ms <= episode.fired_ms <= planted.end_ms + GRACE_MS
    )


def judge(planted: Sequence[Planted], episodes: Iterable[Episode]) -> Verdict:
    """Match alerts with incidents. Copies of an episode are dropped."""
    unique = sorted(
        {e.episode: e for e in episodes}.values(), key=lambda e: (e.fired_ms, e.rule, e.app)
    )
    findings = []
    for incident in sorted(planted, key=lambda p: p.start_ms):
        caused = [e for e in unique if explains(incident, e)]
        meant = [e for e in caused if e.rule in MEANT_FOR[incident.kind]]
        by = meant[0] if meant else None
        findings.append(Finding(incident, by, tuple(e for e in caused if e is not by)))
    false_alarms = tuple(e for e in unique if not any(explains(p, e) for p in planted))
    return Verdict(tuple(findings), false_alarms)

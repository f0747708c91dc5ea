"""Compares what was planted with what was alerted.

In: incidents of the truth file and the alert episodes that a subscriber received. Out: one line per
incident (found or missed, by which rule, how long after, in event time) and the alerts that nothing
explains. Pure: no Kafka, no clock.

An incident is found by an episode of a rule that is meant for its kind (MEANT_FOR); one that must
wake somebody only by an episode that reached severity page. An episode is explained by an incident
if it is about the incident's app, began between the incident's start and its end plus GRACE_MS, and
its rule is meant for the kind or is a known side effect of it (SIDE_EFFECTS). All else is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GRACE_MS = 15 * 60_000
"""Rolling windows and baselines carry an incident on after its end."""

MEANT_FOR: Mapping[str, frozenset[str]] = {
    "error_burst": frozenset({"ErrorBurstFast", "ErrorRateHigh"}),
    "latency_x3": frozenset({"LatencyShift", "TTFTShift"}),
    "cost_x4": frozenset({"CostPerRequestShift", "SpendRunaway"}),
    "silence": frozenset({"NoTraffic"}),
    "runaway": frozenset({"BudgetSpent", "SpendRunaway"}),
    "unknown_model": frozenset({"UnpricedModel", "NewModel"}),
}
"""Rules of the default pack that name each kind of planted incident."""

SIDE_EFFECTS: Mapping[str, Mapping[str, str]] = {
    "latency_x3": {
        "OutputSpeedDrop": "the same answers take three times as long: a third of the speed",
    },
    "runaway": {
        "CostPerRequestShift": "the loop's contexts are far longer than the app's usual ones",
        "OutputSpeedDrop": "the loop's answers are short and wait long for their contexts",
    },
}
"""Rules that an incident trips beside its own, each with the reason why it must."""


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
    """One alert episode that fired. `app` is empty for alerts that are not about one app.

    severity: with which it fired. paged_ms: when it reached severity page, at once or by
    escalation; None if it never did.
    """

    rule: str
    app: str
    severity: str
    fired_ms: int
    episode: str
    paged_ms: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one incident. `by` is the first episode that found it, if any."""

    planted: Planted
    by: Episode | None
    also: tuple[Episode, ...]

    @property
    def found_ms(self) -> int | None:
        """When somebody was told: of a page-class incident, when somebody was woken."""
        if self.by is None:
            return None
        return self.by.paged_ms if self.planted.page else self.by.fired_ms

    @property
    def delay_s(self) -> float | None:
        """Seconds of event time from the start of the incident to the alert."""
        at = self.found_ms
        return None if at is None else (at - self.planted.start_ms) / 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole answer. `ok` is what the demo's exit code says."""

    findings: tuple[Finding, ...]
    false_alarms: tuple[Episode, ...]

    @property
    def missed(self) -> tuple[Planted, ...]:
        """Incidents that nothing found."""
        return tuple(f.planted for f in self.findings if f.by is None)

    @property
    def ok(self) -> bool:
        """Every page-class incident was found and nothing fired without a cause."""
        return not self.false_alarms and not any(p.page for p in self.missed)


def explains(planted: Planted, episode: Episode) -> bool:
    """Whether this incident is a known cause of this alert."""
    known = episode.rule in MEANT_FOR[planted.kind] or episode.rule in SIDE_EFFECTS.get(
        planted.kind, ()
    )
    return known and planted.app == episode.app and _during(planted, episode.fired_ms)


def finds(planted: Planted, episode: Episode) -> bool:
    """Whether this alert tells of this incident as loudly as its class asks for."""
    if episode.rule not in MEANT_FOR[planted.kind] or not explains(planted, episode):
        return False
    return not planted.page or (episode.paged_ms is not None and _during(planted, episode.paged_ms))


def _during(planted: Planted, at_ms: int) -> bool:
    return planted.start_ms <= at_ms <= planted.end_ms + GRACE_MS


def judge(planted: Sequence[Planted], episodes: Iterable[Episode]) -> Verdict:
    """Match alerts with incidents. Copies of an episode are dropped."""
    unique = sorted(
        {e.episode: e for e in episodes}.values(), key=lambda e: (e.fired_ms, e.rule, e.app)
    )
    findings = []
    for incident in sorted(planted, key=lambda p: p.start_ms):
        caused = [e for e in unique if explains(incident, e)]
        found = [Finding(incident, e, ()) for e in caused if finds(incident, e)]
        first = min(found, key=lambda f: f.found_ms or 0, default=None)
        by = first.by if first is not None else None
        findings.append(Finding(incident, by, tuple(e for e in caused if e is not by)))
    false_alarms = tuple(e for e in unique if not any(explains(p, e) for p in planted))
    return Verdict(tuple(findings), false_alarms)

"""What was already said of open windows, so that it is said once and not once a tick. Pure.

A round works on a copy; the copy counts once the round's records are in the log. What was thrown
away with a round (the store hiccupped) is therefore said again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.alerting.rules.model import SEVERITIES

_RANK: dict[str, int] = {severity: i for i, severity in enumerate(SEVERITIES)}


@dataclass(slots=True)
class Said:
    """Per rule: what it was last judged on; per series: the hardest level told."""

    _judged_on: dict[str, tuple[int, int]] = field(default_factory=dict)
    _told: dict[tuple[str, str], int] = field(default_factory=dict)

    def copy(self) -> Said:
        """For a round."""
        return Said(dict(self._judged_on), dict(self._told))

    def news(self, rule: str, stored: tuple[int, int]) -> bool:
        """Whether open windows have changed since the rule was judged on them; notes it.

        stored: latest event time (ms) and sum of the positions of what is stored.
        """
        if self._judged_on.get(rule) == stored:
            return False
        self._judged_on[rule] = stored
        return True

    def worth_writing(self, record: LoggedEvaluation) -> bool:
        """Every final record; one that is not only if it says something harder; notes it."""
        ranks = {
            (record.rule, repr(sorted(s.labels.items()))): _RANK[s.breach]
            for s in record.series
            if s.breach is not None
        }
        if record.final:
            self._forget_told(record.rule)
            self._told.update(ranks)
            return True
        news = any(rank > self._told.get(key, -1) for key, rank in ranks.items())
        for key, rank in ranks.items():
            self._told[key] = max(rank, self._told.get(key, -1))
        return news

    def forget(self, rule: str) -> None:
        """The rule is gone."""
        self._judged_on.pop(rule, None)
        self._forget_told(rule)

    def _forget_told(self, rule: str) -> None:
        for key in [k for k in self._told if k[0] == rule]:
            del self._told[key]

"""The rules in force, and noticing that their files have changed.

In: a file or folder. Out: the `RuleSet` in force and, after a change, which rules are gone. A set
that does not pass `check` is refused as a whole; the old one stays in force and the log says why.
"""

from __future__ import annotations

import logging
from pathlib import Path

from streamgauge.alerting.evaluation.policy import policy_of
from streamgauge.alerting.evaluation.self_alerts import RESERVED_RULES
from streamgauge.alerting.evaluation_log import Policy
from streamgauge.alerting.rules.loader import RuleSet, files_of, load
from streamgauge.alerting.rules.model import Rule
from streamgauge.contracts.errors import Misconfigured

log = logging.getLogger(__name__)
Stamp = tuple[tuple[str, int, int], ...]


class RuleBook:
    """Rules by name with their policies and versions. Misconfigured if the first load fails."""

    def __init__(self, path: Path, *, runbook_base: str, live: bool = False) -> None:
        self._path = path
        self._base = runbook_base
        self._live = live
        self._stamp = self._look()
        self.problem = ""
        self._set(self._load())

    def poll(self) -> frozenset[str]:
        """Look at the files again; the names of rules that are no longer in force."""
        stamp = self._look()
        if stamp == self._stamp:
            return frozenset()
        self._stamp = stamp
        try:
            found = self._load()
        except Misconfigured as e:
            self.problem = str(e)
            log.error("rules_refused", extra={"path": str(self._path), "why": self.problem})
            return frozenset()
        self.problem = ""
        gone = frozenset(self.rules) - frozenset(found.enabled)
        self._set(found)
        log.info("rules_loaded", extra={"rules": len(self.rules), "gone": sorted(gone)})
        return gone

    def _set(self, rules: RuleSet) -> None:
        self.rules: dict[str, Rule] = rules.enabled
        self.versions = dict(rules.versions)
        self.policies: dict[str, Policy] = {
            name: policy_of(rule, runbook_base=self._base, live=self._live)
            for name, rule in self.rules.items()
        }

    def _load(self) -> RuleSet:
        found = load(self._path)
        taken = RESERVED_RULES & set(found.rules)
        if taken:
            raise Misconfigured(
                f"{self._path}: the engine itself has rules named {', '.join(sorted(taken))}",
                hint="choose another name",
            )
        return found

    def _look(self) -> Stamp:
        stamps = []
        for file in files_of(self._path):
            try:
                stat = file.stat()
            except OSError:
                continue
            stamps.append((str(file), stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)

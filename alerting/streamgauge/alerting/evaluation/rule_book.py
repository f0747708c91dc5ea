"""The rules in force, and noticing that their files have changed.

In: a file or folder. Out: the `RuleSet` in force and, after a change, which rules are gone. A set
that does not pass `check`, or for which no policies can be made, is refused as a whole; the old one
stays in force and the log says why.
"""

from __future__ import annotations

import logging
from pathlib import Path

from streamgauge.alerting.evaluation.policy import policy_of
from streamgauge.alerting.evaluation.self_alerts import RESERVED_RULES
from streamgauge.alerting.evaluation_log import Policy
from streamgauge.alerting.rules.loader import RuleSet, files_of, load
from streamgauge.alerting.rules.model import Rule
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError

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
        self.rules: dict[str, Rule] = {}
        self.versions: dict[str, str] = {}
        self.policies: dict[str, Policy] = {}
        self._set()

    def poll(self) -> frozenset[str]:
        """Look at the files again; the names of rules that are no longer in force."""
        before = frozenset(self.rules)
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return frozenset()
            self._stamp = stamp
            self._set()
        except Exception as e:  # noqa: BLE001 - a rim: no file that people edit ends the engine
            why = str(e) if isinstance(e, StreamgaugeError) else repr(e)
            if why != self.problem:
                log.error("rules_refused", extra={"path": str(self._path), "why": why})
            self.problem = why
            return frozenset()
        self.problem = ""
        gone = before - frozenset(self.rules)
        log.info("rules_loaded", extra={"rules": len(self.rules), "gone": sorted(gone)})
        return gone

    def _set(self) -> None:
        """Put the files' rules in force, all of them or none."""
        found = self._load()
        rules = found.enabled
        policies = {name: self._policy(rule) for name, rule in rules.items()}
        self.rules, self.versions, self.policies = rules, dict(found.versions), policies

    def _policy(self, rule: Rule) -> Policy:
        try:
            return policy_of(rule, runbook_base=self._base, live=self._live)
        except ValueError as e:  # pydantic's too: what a rule may say and a record cannot hold
            raise Misconfigured(f'{self._path}: rule "{rule.name}" cannot be run: {e}') from e

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

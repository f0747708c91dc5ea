"""The rules in force, and noticing that their files have changed.

In: a file or folder. Out: the `RuleSet` in force and, after a change, which rules are gone. A set
that does not pass `check`, or for which no policies can be made, is refused as a whole; the old one
stays in force, the log says why, and the evaluator raises RulesRefused. So that this also holds for
an engine that is started again, the files of the set in force are copied to `kept`.
"""

from __future__ import annotations

import logging
import shutil
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
    """Rules by name with their policies and versions.

    kept: folder of this process for copies of the files in force; None: keep none. Misconfigured if
    the first load fails and nothing was kept.
    """

    def __init__(
        self, path: Path, *, runbook_base: str, live: bool = False, kept: Path | None = None
    ) -> None:
        self._path = path
        self._kept = kept
        self._base = runbook_base
        self._live = live
        self._stamp = self._look()
        self.problem = ""
        self.rules: dict[str, Rule] = {}
        self.versions: dict[str, str] = {}
        self.policies: dict[str, Policy] = {}
        try:
            self._set(path)
        except Misconfigured as e:
            if kept is None or not self._set_kept(kept):
                raise
            self.problem = str(e)
            log.error("rules_refused", extra={"path": str(path), "why": str(e), "kept": str(kept)})

    def poll(self) -> frozenset[str]:
        """Look at the files again; the names of rules that are no longer in force."""
        before = frozenset(self.rules)
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return frozenset()
            self._stamp = stamp
            self._set(self._path)
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

    def _set(self, path: Path) -> None:
        """Put the rules of these files in force, all of them or none."""
        found = self._load(path)
        rules = found.enabled
        policies = {name: self._policy(rule) for name, rule in rules.items()}
        self.rules, self.versions, self.policies = rules, dict(found.versions), policies
        if self._kept is not None and path == self._path:
            self._keep(found, self._kept)

    def _set_kept(self, kept: Path) -> bool:
        """Put the rules that were kept in force; False if there are none that can be."""
        for folder in (kept / "now", kept / "new"):  # the second: killed just before the last step
            if folder.is_dir():
                try:
                    self._set(folder)
                except Misconfigured as e:
                    log.error("rules_kept_refused", extra={"path": str(folder), "why": str(e)})
                else:
                    return True
        return False

    def _keep(self, found: RuleSet, kept: Path) -> None:
        """Copies of the files of this set. `now`, or `new` without it, is whole at every moment."""
        part, new, now, old = (kept / name for name in ("part", "new", "now", "old"))
        try:
            if new.exists() and not now.exists():
                new.rename(now)
            for rest in (part, new, old):
                shutil.rmtree(rest, ignore_errors=True)
            part.mkdir(parents=True)
            for i, file in enumerate(files_of(self._path)):
                shutil.copyfile(file, part / f"{i:04}{file.suffix}")
            if load(part).versions != found.versions:
                raise Misconfigured("the files have been changed since they were read")
            part.rename(new)
            if now.exists():
                now.rename(old)
            new.rename(now)
            shutil.rmtree(old, ignore_errors=True)
        except (OSError, Misconfigured) as e:  # a full disk is no reason to judge nothing
            log.warning("rules_not_kept", extra={"folder": str(kept), "why": str(e)})

    def _policy(self, rule: Rule) -> Policy:
        try:
            return policy_of(rule, runbook_base=self._base, live=self._live)
        except ValueError as e:  # pydantic's too: what a rule may say and a record cannot hold
            raise Misconfigured(f'{self._path}: rule "{rule.name}" cannot be run: {e}') from e

    def _load(self, path: Path) -> RuleSet:
        found = load(path)
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

"""From due steps to records: which queries are asked, and what is done when one fails.

In: due steps, the clock, a way to ask the store. Out: records for the log, in the order of steps.
A rule that fails, for whatever reason, gets a record that says so and takes no other down; only the
store's own trouble (Retryable, Misconfigured) ends the round. Pure but for `ask`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamgauge.alerting.evaluation.batch import Batch, Due, batches, single
from streamgauge.alerting.evaluation.early import Said
from streamgauge.alerting.evaluation.evaluate import MAX_ERROR_CHARS, evaluate, failed
from streamgauge.alerting.evaluation.panes import Panes
from streamgauge.alerting.evaluation.rule_book import RuleBook
from streamgauge.alerting.evaluation_log import LoggedEvaluation
from streamgauge.contracts.errors import BadInput, Misconfigured, Retryable, StreamgaugeError
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import to_json_bytes
from streamgauge.contracts.tick_book import SourceClock

log = logging.getLogger(__name__)
MAX_RECORD_BYTES = 900_000
"""Kafka takes a megabyte; a larger record would be refused for ever, with all that is beside it."""
Ask = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Statement and parameters -> rows; BadInput if the statement is refused."""


@dataclass(slots=True)
class Answers:
    """Judges what is due. failing: failures in a row by rule, errors: the last one's words.
    queries: answered so far.

    dropping: rules that have more series than their max_series.
    """

    book: RuleBook
    ask: Ask
    live: bool
    failing: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    dropping: set[str] = field(default_factory=set)
    queries: int = 0

    def records(
        self, found: Sequence[Due], *, clock: SourceClock, said: Said
    ) -> list[LoggedEvaluation]:
        """What is to be written about these steps. Raises Retryable or Misconfigured: the store."""
        todo, records = self._batches(found, clock)
        for batch in todo:
            records += self._answer(batch, clock, said)
        order = {name: i for i, name in enumerate(self.book.rules)}
        return sorted(records, key=lambda r: (r.step_ms, order.get(r.rule, 0), not r.final))

    def _batches(
        self, found: Sequence[Due], clock: SourceClock
    ) -> tuple[list[Batch], list[LoggedEvaluation]]:
        """Queries for what is due, and records of rules for which none can be made."""
        try:
            return batches(found, live=self.live), []
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is alone
            todo: list[Batch] = []
            records: list[LoggedEvaluation] = []
        for name in dict.fromkeys(item.rule.name for item in found):
            mine = [item for item in found if item.rule.name == name]
            try:
                todo += batches(mine, live=self.live)
            except Exception as e:  # noqa: BLE001 - one rule does not take the others down
                records += self._failed(mine, e, clock)
        return todo, records

    def _answer(self, batch: Batch, clock: SourceClock, said: Said) -> list[LoggedEvaluation]:
        try:
            panes = batch.panes(self.ask(*batch.sql()))
        except (Retryable, Misconfigured):
            raise  # the store's trouble, not a rule's
        except Exception as e:  # noqa: BLE001 - one rule does not take the others down
            parts = single(batch)
            if len(parts) > 1:
                return [r for part in parts for r in self._answer(part, clock, said)]
            return self._failed(batch.items, e, clock)
        self.queries += 1
        out: list[LoggedEvaluation] = []
        for item in batch.items:
            try:
                record = self._judged(item, panes, clock)
            except Exception as e:  # noqa: BLE001 - one rule does not take the others down
                out += self._failed([item], e, clock)
                continue
            self._works(item.rule.name)
            self._told_of_dropped(record)
            if said.worth_writing(record):
                out.append(record)
        return out

    def _judged(self, item: Due, panes: Panes, clock: SourceClock) -> LoggedEvaluation:
        name = item.rule.name
        record = evaluate(
            item.rule, panes, item.step_ms,
            policy=self.book.policies[name], version=self.book.versions[name],
            watermark_ms=clock.watermark_ms, completeness=clock.completeness, final=item.final,
        )  # fmt: skip
        size = len(to_json_bytes(record))
        if size > MAX_RECORD_BYTES:
            raise BadInput(
                f"the record of {len(record.series)} series has {size:,} bytes, at most "
                f"{MAX_RECORD_BYTES:,} go into the log",
                reason=Reject.TOO_LARGE,
                hint="lower max_series, or group by less",
            )
        return record

    def forget(self, rule: str) -> None:
        """The rule is gone."""
        self._works(rule)
        self.dropping.discard(rule)

    def _works(self, rule: str) -> None:
        self.failing.pop(rule, None)
        self.errors.pop(rule, None)

    def _told_of_dropped(self, record: LoggedEvaluation) -> None:
        """Log it when a rule begins to have more series than it may, and when it ends."""
        if not record.final or (record.rule in self.dropping) == bool(record.dropped_series):
            return
        if record.dropped_series:
            self.dropping.add(record.rule)
            facts = {"rule": record.rule, "dropped": record.dropped_series}
            log.warning("series_dropped", extra={**facts, "hint": "raise max_series"})
        else:
            self.dropping.discard(record.rule)
            log.info("series_dropped_no_more", extra={"rule": record.rule})

    def _failed(
        self, items: Sequence[Due], error: Exception, clock: SourceClock
    ) -> list[LoggedEvaluation]:
        """Records of steps that could not be judged; only final ones are told."""
        why = str(error) if isinstance(error, StreamgaugeError) else repr(error)
        large = isinstance(error, BadInput) and error.reason == Reject.TOO_LARGE
        out = []
        for item in items:
            if not item.final:
                continue
            name = item.rule.name
            self.failing[name] = self.failing.get(name, 0) + 1
            self.errors[name] = why[:MAX_ERROR_CHARS]
            log.error("rule_failed", extra={"rule": name, "step_ms": item.step_ms, "why": why})
            out.append(
                failed(
                    item.rule, item.step_ms, policy=None if large else self.book.policies[name],
                    version=self.book.versions[name], watermark_ms=clock.watermark_ms, error=why,
                    failures=self.failing[name],
                )
            )  # fmt: skip
        return out

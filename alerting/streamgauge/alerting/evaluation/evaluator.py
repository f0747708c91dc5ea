"""The evaluator: ticks in, cells from the store, one record per rule and step into the log.

Woken by ticks, driven by their watermark: every grid step between a rule's last one and the clock
is evaluated, in order, so a replay at any speed finds the same. Conditions that more data can only
worsen are also judged on open windows; such records are not final. A source that holds its clock
back for `stall_s` only stops what needs final windows, and WatermarkStalled says so.
Records go out in transactions; where to go on is read from the log itself, so a kill leaves no gap
and no second final record. Not here: what is asked and what fails (answers.py), what a rule means
(conditions.py), alerts (machine_loop.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streamgauge.alerting.evaluation import self_alerts
from streamgauge.alerting.evaluation.answers import Answers
from streamgauge.alerting.evaluation.batch import Due
from streamgauge.alerting.evaluation.early import Said
from streamgauge.alerting.evaluation.evaluate import MAX_ERROR_CHARS, removed
from streamgauge.alerting.evaluation.grid import due, floor_step, open_steps
from streamgauge.alerting.evaluation.last_steps import last_records
from streamgauge.alerting.evaluation.rule_book import RuleBook
from streamgauge.alerting.evaluation_log import FROZEN_AFTER, LoggedEvaluation
from streamgauge.alerting.kafka_io import (
    Restart,
    commit,
    consumer,
    end_of,
    identities,
    take,
    transactional_producer,
    translated,
)
from streamgauge.alerting.rules.lint import fires_early, is_monotone
from streamgauge.alerting.rules.model import Rule
from streamgauge.alerting.settings import AlertSettings
from streamgauge.alerting.watchdog import CALL_TIMEOUT_S
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput, Retryable
from streamgauge.contracts.records import parse_record, to_json_bytes
from streamgauge.contracts.tick_book import TickBook
from streamgauge.contracts.ticks import Tick, Writer
from streamgauge.contracts.topics import ALERT_EVALS, TICKS
from streamgauge.storage.client import StoreClient, connect

log = logging.getLogger(__name__)
SOURCE = Writer.METRICS
STEPS_A_ROUND = 60
OPEN_STEPS = 12
TICKS_BACK = 1500
POLL_RULES_S = 1.0
IDENTITY_EVERY_S = 5.0
_Troubles = dict[tuple[tuple[str, str], ...], float]


@dataclass(slots=True)
class Health:
    """For the health line. clock_ms: of the metrics source."""

    clock_ms: int | None = None
    records: int = 0
    store: str = "ok"


class Evaluator:
    """`run_once` until told to stop, then `close`."""

    def __init__(
        self, settings: AlertSettings, *, clock: Clock, alive: Callable[[], None] = lambda: None
    ) -> None:
        """alive: told between calls, since a round that catches up has many."""
        self._settings = settings
        self._alive = alive
        self._clock = clock
        kafka = settings.kafka
        self._ids = identities(kafka, ALERT_EVALS, TICKS)
        self._log, self._ticks_topic = (t.name for t in self._ids)
        self._live = settings.clock_mode == "live"
        self.book = RuleBook(
            settings.rules,
            runbook_base=settings.runbook_base,
            live=self._live,
            kept=settings.rules_kept,
        )
        self.health = Health()
        self._ticks = TickBook(self._live, round(settings.lateness_s * 1000))
        self._watch = self_alerts.SelfWatch(settings.runbook_base)
        self._producer = transactional_producer(kafka, f"{kafka.prefix}alert-evaluator")
        known = last_records(kafka, self._ids[0], set(self.book.rules), clock=clock)
        self._last = {name: r.step_ms for name, r in known.items() if r.removed is None}
        self._gone = {
            name: r.rule_version
            for name, r in known.items()
            if r.removed is None
            and name not in self.book.rules
            and name not in self_alerts.RESERVED_RULES
        }
        self.answers = Answers(self.book, self._ask, self._live)
        self._said = Said()
        self._store: StoreClient | None = None
        now = clock.monotonic()
        self._heard_at = self._moved_at = self._polled_at = self._checked_at = now
        self._seen_clock: int | None = None
        self._store_since: float | None = None
        self._consumer: Consumer = consumer(kafka, group=f"{kafka.prefix}alert-evaluator")
        end = end_of(kafka, self._ticks_topic, 0)
        self._consumer.assign([TopicPartition(self._ticks_topic, 0, max(0, end - TICKS_BACK))])

    def run_once(self, timeout_s: float = 0.2) -> int:
        """Take in ticks and evaluate what has become due; returns the number of records written.

        Raises Fenced, Restart or Unreachable. A store that does not answer is waited for.
        """
        self._absorb(timeout_s)
        now = self._clock.monotonic()
        if now - self._polled_at >= POLL_RULES_S:
            self._polled_at = now
            before = dict(self.book.versions)
            for name in self.book.poll():
                self._gone[name] = before.get(name, "")
        if now - self._checked_at > IDENTITY_EVERY_S:
            self._checked_at = now
            if identities(self._settings.kafka, ALERT_EVALS, TICKS) != self._ids:
                raise Restart("topics were made anew")
            self._alive()
        records = self._removals()
        said = self._said.copy()
        try:
            found = self._due(said)
            records += self.answers.records(found, clock=self._ticks.clock(SOURCE), said=said)
            if self._store_since is not None and (found or self._reaches_store()):
                self._store_since = None
            self.health.store = "ok"
        except Retryable as e:
            said = self._said  # nothing of this round will be in the log
            self._drop_store()
            self.health.store = str(e)
            if self._store_since is None:
                self._store_since = now
                log.warning("store_unreachable", extra={"why": str(e)})
        records += self._about_itself()
        self._publish(records)
        self._said = said
        return len(records)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
        self._drop_store()

    # -- ticks ---------------------------------------------------------------------------------

    def _absorb(self, timeout_s: float) -> None:
        try:
            messages = take(self._consumer, 1000, timeout_s)
        except KafkaException as e:
            raise translated(e, "ticks") from e
        for message in messages:
            if message.error() is not None:
                continue
            try:
                tick = parse_record(Tick, message.value() or b"")
            except BadInput as e:
                log.warning("tick_refused", extra={"why": e.message})
                continue
            self._ticks.absorb(tick, message.timestamp()[1])
            if tick.writer is SOURCE:  # the others may live on while no rule can be judged
                self._heard_at = self._clock.monotonic()
        clock = self._ticks.clock(SOURCE)
        now = self._clock.monotonic()
        if clock.watermark_ms != self._seen_clock or not clock.held:
            self._seen_clock, self._moved_at = clock.watermark_ms, now
        self.health.clock_ms = clock.watermark_ms

    # -- what is due ---------------------------------------------------------------------------

    def _due(self, said: Said) -> list[Due]:
        clock = self._ticks.clock(SOURCE)
        if clock.watermark_ms is None:
            return []
        live = self._live
        oldest = clock.watermark_ms - round(self._settings.max_catch_up_s * 1000) if live else None
        stalled = self._stalled_s() >= self._settings.stall_s
        found: list[Due] = []
        for name, rule in self.book.rules.items():
            last = self._last.get(name)
            if last is None:
                last = self._beginning(rule, clock.watermark_ms)
                if last is None:
                    continue
            steps = due(last, clock.watermark_ms, rule.every, limit=STEPS_A_ROUND, oldest_ms=oldest)
            found += [Due(rule, s) for s in steps]
            done = steps[-1] if steps else max(last, oldest or 0)
            behind = done + rule.every <= clock.watermark_ms
            # In a replay only final steps are judged: which panes are open depends on its speed.
            early = (live and fires_early(rule)) or (stalled and is_monotone(rule))
            news = (clock.open_ms or 0, clock.stored)
            if early and clock.open_ms and not behind and said.news(name, news):
                opened = open_steps(done, clock.open_ms, rule.every, limit=OPEN_STEPS)
                found += [Due(rule, s, final=False) for s in opened]
        return found

    def _beginning(self, rule: Rule, watermark_ms: int) -> int | None:
        """Where a rule without history begins: now, or in a replay where the data begin."""
        if self._live:
            self._last[rule.name] = floor_step(watermark_ms, rule.every) - rule.every
        else:
            rows = self._ask(
                "SELECT toInt64(toUnixTimestamp(min(t))) * 1000, count() FROM windows"
                " WHERE kind = 0 AND resolution = 10",
                {},
            )
            if not rows or not rows[0][1]:
                return None
            self._last[rule.name] = min(
                floor_step(int(rows[0][0]), rule.every), floor_step(watermark_ms, rule.every)
            )
        return self._last[rule.name]

    # -- about itself --------------------------------------------------------------------------

    def _stalled_s(self) -> float:
        return self._clock.monotonic() - self._moved_at

    def _about_itself(self) -> list[LoggedEvaluation]:
        now, wall = self._clock.monotonic(), self._clock.now_ms()
        silent = now - self._heard_at
        no_ticks: _Troubles = {(): round(silent)} if silent >= self._settings.no_ticks_s else {}
        held: _Troubles = {}
        if not no_ticks and self._stalled_s() >= self._settings.stall_s:
            held[("source", SOURCE),] = round(self._stalled_s())
        failing: _Troubles = {
            (("failing_rule", name),): float(n)
            for name, n in self.answers.failing.items()
            if n >= FROZEN_AFTER and name in self.book.rules
        }
        errors: dict[tuple[tuple[str, str], ...], str] = {
            (("failing_rule", name),): why for name, why in self.answers.errors.items()
        }
        if self._store_since is not None and now - self._store_since >= self._settings.no_ticks_s:
            whole = (("failing_rule", "(all: the store does not answer)"),)
            failing[whole], errors[whole] = float(FROZEN_AFTER), self.health.store[:MAX_ERROR_CHARS]
        refused: _Troubles = {(): 1.0} if self.book.problem else {}
        errors[()] = self.book.problem[:MAX_ERROR_CHARS]
        said = [
            self._watch.record(self_alerts.REFUSED, refused, wall, errors=errors),
            self._watch.record(self_alerts.INGEST, no_ticks, wall),
            self._watch.record(self_alerts.WATERMARK, held, wall),
            self._watch.record(self_alerts.FAILING, failing, wall, errors=errors),
        ]
        return [record for record in said if record is not None]

    def _removals(self) -> list[LoggedEvaluation]:
        out = []
        for name, version in sorted(self._gone.items()):
            at = max(self._last.pop(name, 0), self.health.clock_ms or 0)
            out.append(removed(name, version, at))
            self._said.forget(name)
            self.answers.forget(name)
        self._gone.clear()
        return out

    # -- rim -----------------------------------------------------------------------------------

    def _publish(self, records: Sequence[LoggedEvaluation]) -> None:
        if not records:
            return
        try:
            self._producer.begin_transaction()
            for record in records:
                value = to_json_bytes(record.model_copy(update={"live": self._live}))
                self._producer.produce(self._log, value, key=record.rule)
            commit(self._producer, alive=self._alive)
        except KafkaException as e:
            raise translated(e, "evaluation log") from e
        except BufferError as e:
            raise Restart("the producer's queue is full") from e
        for record in records:
            if record.final and record.rule in self.book.rules:
                self._last[record.rule] = max(self._last.get(record.rule, 0), record.step_ms)
        self.health.records += len(records)

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        self._alive()
        client = self._client()
        self._alive()
        return client.rows(sql, parameters)[1]

    def _client(self) -> StoreClient:
        if self._store is None:
            self._store = connect(self._settings.store, timeout_s=CALL_TIMEOUT_S)
        return self._store

    def _reaches_store(self) -> bool:
        self._ask("SELECT 1", {})
        return True

    def _drop_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

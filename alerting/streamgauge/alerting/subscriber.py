"""Subscribe to alerts: what is open now, then every transition, without a gap and without doubles.

In: the alerts topic. Out: `Alert`s in order per fingerprint. Needs the base install only.

    with AlertSubscriber("localhost:9092", match={"app": "search", "severity": ["page"]}) as sub:
        for alert in sub.current():
            print("open:", alert.rule, alert.labels)
        for alert in sub:
            print(alert.transition, alert.annotations.get("summary"))

Without `group` every subscriber reads everything. With `group=` the members share the partitions,
and go on where `commit` left off. Delivery is at least once; (fingerprint, seq) drops doubles.
A match on severity selects episodes: who got one transition of an episode gets the rest of it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from streamgauge.contracts.alerts import Alert, AlertStatus, Transition
from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import BadInput, Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.records import parse_record
from streamgauge.contracts.topics import ALERTS

OPTIONAL = frozenset({"pending", "recovering"})
REMEMBERED = 100_000
"""Fingerprints whose last seq is remembered."""
Match = Mapping[str, str | Sequence[str]]

_ELECTING = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
"""A topic that is new, or a broker that has just come back."""


class AlertSubscriber:
    """Iterate over it for live alerts; `current()` for those that are open.

    bootstrap: Kafka's address, or settings; None: from the environment. match: label or attribute
    (rule, severity, kind, status) -> value, shell pattern, or list of them. include: "pending",
    "recovering", else those transitions are left out. from_start: also the transitions of the past.
    Not thread-safe. Raises Unreachable if the broker does not answer, Misconfigured without topic.
    """

    def __init__(
        self,
        bootstrap: str | KafkaSettings | None = None,
        *,
        group: str | None = None,
        match: Match | None = None,
        include: frozenset[str] | set[str] | Sequence[str] = frozenset(),
        from_start: bool = False,
        prefix: str | None = None,
        clock: Clock | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._settings = _settings(bootstrap, prefix)
        unknown = set(include) - OPTIONAL
        if unknown:
            raise Misconfigured(
                f"include={sorted(unknown)} is unknown", hint='write "pending" or "recovering"'
            )
        self._include = frozenset(include)
        self._match = {
            k: (v,) if isinstance(v, str) else tuple(v) for k, v in (match or {}).items()
        }
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s
        self._group = group
        self._topic = self._settings.topic(ALERTS)
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._followed: set[str] = set()
        self._state: dict[str, Alert] = {}
        self._where: dict[str, tuple[int, int]] = {}
        self._pending: list[Alert] = []
        self._closed = False
        config: dict[str, Any] = self._settings.librdkafka(
            group_id=group or "streamgauge-subscriber", isolation_level="read_committed",
            enable_auto_commit=False, enable_partition_eof=True, fetch_wait_max_ms=20,
            auto_offset_reset="earliest" if from_start else "latest",
            allow_auto_create_topics=False, reconnect_backoff_max_ms=1000,
        )  # fmt: skip
        config.setdefault(
            "log_level", 2
        )  # who is away is told by Unreachable, not 20 lines a second
        self._consumer = Consumer(config)
        if group is None:
            self._assign_all(from_start=from_start)
        else:
            self._consumer.subscribe([self._topic])

    def current(self) -> list[Alert]:
        """The alerts that are open now, by fingerprint. Iterating afterwards goes on without a gap.

        Call it before iterating, and without a group. Reads the compacted topic to its end.
        """
        if self._group is not None:
            raise Misconfigured(
                "current() needs all partitions, a group shares them",
                hint="use a second AlertSubscriber without group",
            )
        ends = self._ends()
        self._consumer.assign([TopicPartition(self._topic, p, OFFSET_BEGINNING) for p in ends])
        left = {p for p, (low, high) in ends.items() if high > low}
        deadline = self._clock.monotonic() + self._timeout_s
        while left:
            if self._clock.monotonic() > deadline:
                raise Unreachable(
                    f"{self._topic} could not be read to its end in {self._timeout_s:g} s"
                )
            for message in self._consumer.consume(1000, 0.2):
                partition, offset = message.partition() or 0, message.offset() or 0
                error = message.error()
                if error is None:
                    fresh = self._take(message)
                    if offset >= ends[partition][1] and fresh is not None:
                        self._pending.append(fresh)
                    done = offset + 1 >= ends[partition][1]
                else:
                    done = (
                        error.code() == KafkaError._PARTITION_EOF and offset >= ends[partition][1]
                    )
                if done:
                    left.discard(partition)
        early = {a.id for a in self._pending}
        return [a for _, a in sorted(self._state.items()) if self._open(a) and a.id not in early]

    def iter(self, timeout: float | None = None) -> Iterator[Alert]:
        """Live alerts; ends after `timeout` seconds without one. None: never ends."""
        last = self._clock.monotonic()
        while not self._closed:
            if self._pending:
                alert = self._pending.pop(0)
                yield alert
                last = self._clock.monotonic()
                continue
            left = 0.5 if timeout is None else last + timeout - self._clock.monotonic()
            if left <= 0:
                return
            first = self._consumer.poll(min(left, 0.5))
            for message in [first, *self._consumer.consume(100, 0)] if first is not None else []:
                error = message.error()
                if error is not None:
                    self._trouble(error)
                    continue
                fresh = self._take(message)
                if fresh is not None:
                    self._pending.append(fresh)

    def __iter__(self) -> Iterator[Alert]:
        """Live alerts, for ever."""
        return self.iter()

    def commit(self, alert: Alert) -> None:
        """This alert and all before it in its partition are handled: a member of the group that
        takes over goes on after it. Only with `group`."""
        if self._group is None:
            raise Misconfigured("commit() needs a group", hint='AlertSubscriber(..., group="name")')
        at = self._where.get(alert.id)
        if at is None:
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, at[0], at[1] + 1)], asynchronous=False
            )
        except KafkaException as e:
            raise Unreachable(f"commit to {self._topic}: {e.args[0].str()}") from e

    def close(self) -> None:
        """Leave. Iterations end."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def __enter__(self) -> AlertSubscriber:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _take(self, message: Message) -> Alert | None:
        """The alert of a message if it is new and wanted."""
        value, key = message.value(), message.key()
        if value is None:
            if key is not None:
                self._seen.pop(key.decode("utf-8", "replace"), None)
                self._state.pop(key.decode("utf-8", "replace"), None)
            return None
        try:
            alert = parse_record(Alert, value)
        except BadInput:
            return None  # another major, or not ours
        order = (alert.epoch, alert.seq)
        before = self._seen.get(alert.fingerprint)
        if before is not None and order <= before:
            return None
        self._seen[alert.fingerprint] = order
        self._seen.move_to_end(alert.fingerprint)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        wanted = self._wanted(alert)
        if alert.active or alert.status is AlertStatus.PENDING:
            self._state[alert.fingerprint] = alert
        else:
            self._state.pop(alert.fingerprint, None)
        if not wanted:
            return None
        if self._group is not None:
            self._where[alert.id] = (message.partition() or 0, message.offset() or 0)
            if len(self._where) > REMEMBERED:
                self._where.pop(next(iter(self._where)))
        return alert if self._public(alert) else None

    def _wanted(self, alert: Alert) -> bool:
        if all(_hit(alert, name, patterns) for name, patterns in self._match.items()):
            if alert.status is not AlertStatus.RESOLVED:
                self._followed.add(alert.episode)
            else:
                self._followed.discard(alert.episode)
            return True
        if alert.episode in self._followed:
            if alert.status is AlertStatus.RESOLVED:
                self._followed.discard(alert.episode)
            return True
        return False

    def _public(self, alert: Alert) -> bool:
        if alert.transition is Transition.CANCELLED or alert.status is AlertStatus.PENDING:
            return "pending" in self._include
        if alert.status is AlertStatus.RECOVERING or alert.transition is Transition.REFIRED:
            return "recovering" in self._include
        return True

    def _open(self, alert: Alert) -> bool:
        wanted = alert.episode in self._followed
        return wanted and (alert.active or "pending" in self._include)

    def _assign_all(self, *, from_start: bool) -> None:
        ends = self._ends()
        self._consumer.assign(
            [
                TopicPartition(self._topic, p, OFFSET_BEGINNING if from_start else high)
                for p, (_, high) in sorted(ends.items())
            ]
        )

    def _ends(self) -> dict[int, tuple[int, int]]:
        """First and last position per partition. A leader that is being elected is waited for."""
        deadline = self._clock.monotonic() + self._timeout_s
        while True:
            try:
                return self._ends_now()
            except KafkaException as e:
                error = e.args[0]
                late = self._clock.monotonic() > deadline
                if late or error.code() not in _ELECTING:
                    raise Unreachable(
                        f"Kafka at {self._settings.bootstrap} did not answer in"
                        f" {self._timeout_s:g} s: {error.str()}",
                        hint="check the address (STREAMGAUGE_BOOTSTRAP) and that the broker runs",
                    ) from None  # librdkafka's words are in the message
            self._clock.sleep(0.2)

    def _ends_now(self) -> dict[int, tuple[int, int]]:
        topic = self._consumer.list_topics(self._topic, self._timeout_s).topics[self._topic]
        if topic.error is not None:
            raise Misconfigured(
                f"topic {self._topic} does not exist at {self._settings.bootstrap}",
                hint="`streamgauge topics create`, or give the prefix",
            )
        found = {}
        for p in topic.partitions:
            marks = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, p), self._timeout_s
            )
            found[p] = marks or (0, 0)
        return found

    def _trouble(self, error: KafkaError) -> None:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Misconfigured(
                f"topic {self._topic} does not exist", hint="`streamgauge topics create`"
            )
        if error.fatal():
            raise Unreachable(f"{self._topic}: {error.str()}")


def _settings(bootstrap: str | KafkaSettings | None, prefix: str | None) -> KafkaSettings:
    if isinstance(bootstrap, KafkaSettings):
        return bootstrap
    env = dict(os.environ)
    if bootstrap is not None:
        env["STREAMGAUGE_BOOTSTRAP"] = bootstrap
    if prefix is not None:
        env["STREAMGAUGE_TOPIC_PREFIX"] = prefix
    return KafkaSettings.from_env(env)


def _hit(alert: Alert, name: str, patterns: Sequence[str]) -> bool:
    """Whether a label or an attribute has one of the values; `*` and `?` are wild."""
    attributes = {
        "rule": alert.rule, "severity": str(alert.severity), "kind": alert.kind,
        "status": str(alert.status), "transition": str(alert.transition),
    }  # fmt: skip
    value = attributes.get(name, alert.labels.get(name))
    return value is not None and any(fnmatchcase(value, p) for p in patterns)


def to_alertmanager_v4(
    alerts: Sequence[Alert], *, receiver: str = "streamgauge", external_url: str = ""
) -> dict[str, Any]:
    """Alerts of one rule as the body that Alertmanager's webhooks send, version 4."""
    labels = [a.labels for a in alerts]
    common = dict(set.intersection(*(set(d.items()) for d in labels))) if labels else {}
    texts = [a.annotations for a in alerts]
    common_texts = dict(set.intersection(*(set(d.items()) for d in texts))) if texts else {}
    rule = alerts[0].rule if alerts else ""
    return {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{rule}"}}',
        "truncatedAlerts": 0,
        "status": "firing" if any(a.active for a in alerts) else "resolved",
        "receiver": receiver,
        "groupLabels": {"alertname": rule},
        "commonLabels": dict(sorted(common.items())),
        "commonAnnotations": dict(sorted(common_texts.items())),
        "externalURL": external_url,
        "alerts": [
            {
                "status": "firing" if a.active else "resolved",
                "labels": a.labels,
                "annotations": a.annotations,
                "startsAt": (a.fired_at or a.starts_at or a.updated_at).isoformat(),
                "endsAt": a.ends_at.isoformat() if a.ends_at else "0001-01-01T00:00:00Z",
                "generatorURL": a.generator_url or "",
                "fingerprint": a.fingerprint,
            }
            for a in alerts
        ],
    }

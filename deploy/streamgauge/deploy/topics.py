"""Topics of the registry on a broker: create what is missing, say what differs.

In: `KafkaSettings` of any cluster. Out: what was created, and problems with how to mend each.
Never changes an existing topic: partition counts and cleanup are the operator's to change.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not re-exported for mypy
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.contracts.topics import DEFAULT_PARTITIONS, REGISTRY, TopicSpec
from streamgauge.deploy.clients import admin as admin_client

SETTLE_S = 30.0
REPLICATION_BY_BROKER = -1  # the broker's default.replication.factor


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One difference between the registry and the broker."""

    topic: str
    what: str
    mend: str


def create_topics(
    settings: KafkaSettings,
    *,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int = REPLICATION_BY_BROKER,
    registry: Sequence[TopicSpec] = REGISTRY,
    timeout_s: float = SETTLE_S,
) -> list[str]:
    """Create the registry's topics that are missing; names of those created, sorted.

    Returns when every one of them has a leader for each partition, so that producing works.
    """
    admin = admin_client(settings)
    present = _topics(admin, settings, timeout_s)
    missing = [spec for spec in registry if settings.topic(spec) not in present]
    new = [
        NewTopic(
            settings.topic(spec),
            num_partitions=spec.partitions or partitions,
            replication_factor=replication,
            config=dict(spec.config),
        )
        for spec in missing
    ]
    created = []
    if new:
        for name, future in admin.create_topics(new, operation_timeout=timeout_s).items():
            try:
                future.result(timeout_s)
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise Misconfigured(
                        f"cannot create topic {name}: {error.args[0].str()}",
                        hint="the account needs Create on the cluster or the topic prefix",
                    ) from error
    _wait_for_leaders(admin, settings, [settings.topic(s) for s in registry], timeout_s)
    return sorted(created)


def remove_topics(
    settings: KafkaSettings,
    *,
    registry: Sequence[TopicSpec] = REGISTRY,
    timeout_s: float = SETTLE_S,
) -> list[str]:
    """Delete the registry's topics of this prefix; their names. Misconfigured if that is refused.

    Consumer groups end with them: the broker drops the offsets of a topic that is deleted.
    """
    admin = admin_client(settings)
    present = _topics(admin, settings, timeout_s)
    names = sorted(settings.topic(spec) for spec in registry if settings.topic(spec) in present)
    if not names:
        return []
    deleted = []
    for name, future in admin.delete_topics(names, operation_timeout=timeout_s).items():
        try:
            future.result(timeout_s)
            deleted.append(name)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue  # gone already: the list of topics was a moment old
            raise Misconfigured(
                f"cannot delete {name}: {error.args[0].str()}",
                hint=f"delete the topics named {settings.prefix}* yourself",
            ) from error
    return sorted(deleted)


def require_broker(settings: KafkaSettings, *, timeout_s: float = 10.0) -> None:
    """Unreachable if no broker answers there."""
    _topics(admin_client(settings), settings, timeout_s)


def check_topics(
    settings: KafkaSettings,
    *,
    partitions: int | None = DEFAULT_PARTITIONS,
    registry: Sequence[TopicSpec] = REGISTRY,
    timeout_s: float = 10.0,
) -> list[TopicProblem]:
    """What differs from the registry: missing topics, partition counts, settings.

    partitions: the count for topics without one of their own; None accepts any count.
    """
    admin = admin_client(settings)
    present = _topics(admin, settings, timeout_s)
    problems = []
    there = []
    for spec in registry:
        name = settings.topic(spec)
        if name not in present:
            problems.append(
                TopicProblem(name, "is missing", "create it with `streamgauge topics create`")
            )
            continue
        there.append(spec)
        want = spec.partitions or partitions
        if want is not None and present[name] != want:
            problems.append(
                TopicProblem(
                    name,
                    f"has {present[name]} partitions, the registry says {want}",
                    "more: kafka-topics.sh --alter --partitions; fewer: only by making it anew; "
                    "or pass --partitions",
                )
            )
    return problems + _config_problems(admin, settings, there, timeout_s)


def _config_problems(
    admin: AdminClient, settings: KafkaSettings, specs: Sequence[TopicSpec], timeout_s: float
) -> list[TopicProblem]:
    if not specs:
        return []
    resources = {ConfigResource(ResourceType.TOPIC, settings.topic(s)): s for s in specs}
    problems = []
    answers = admin.describe_configs(list(resources), request_timeout=timeout_s)
    for resource, future in answers.items():
        spec = resources[resource]
        seen = {name: entry.value for name, entry in future.result(timeout_s).items()}
        for name, want in sorted(spec.config.items()):
            if seen.get(name) != want:
                mend = (
                    f"kafka-configs.sh --alter --entity-type topics --entity-name {resource.name} "
                    f"--add-config {name}={want}"
                )
                what = f"has {name}={seen.get(name)}, the registry says {want}"
                problems.append(TopicProblem(resource.name, what, mend))
    return problems


def _topics(admin: AdminClient, settings: KafkaSettings, timeout_s: float) -> dict[str, int]:
    """Partition count by topic name."""
    try:
        found = admin.list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise Unreachable(
            f"no Kafka answers at {settings.bootstrap}: {error.args[0].str()}",
            hint="start one with `streamgauge kafka start`, or check STREAMGAUGE_BOOTSTRAP "
            "and the STREAMGAUGE_KAFKA_* settings",
        ) from error
    return {name: len(topic.partitions) for name, topic in found.items() if topic.error is None}


def _wait_for_leaders(
    admin: AdminClient, settings: KafkaSettings, names: list[str], timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        topics = admin.list_topics(timeout=timeout_s).topics
        if all(
            name in topics
            and topics[name].error is None
            and topics[name].partitions
            and all(p.leader >= 0 for p in topics[name].partitions.values())
            for name in names
        ):
            return
        if time.monotonic() > deadline:
            raise Unreachable(f"topics at {settings.bootstrap} got no leaders in {timeout_s:.0f} s")
        time.sleep(0.05)

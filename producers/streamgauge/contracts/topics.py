"""The topic registry: every Kafka topic of streamgauge, with its settings.

`streamgauge topics create | check` and every producer and consumer take names and settings from
here. Imports nothing heavy: the embedded client loads this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_PREFIX = "llm."
DEFAULT_PARTITIONS = 8
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `name` is without the prefix and carries its major version.

    key: what a record's key is. partitions: None means the registry's default (8 on one machine).
    config: Kafka topic settings that `topics check` compares.
    """

    name: str
    key: str
    content: str
    partitions: int | None = None
    config: dict[str, str] = field(default_factory=dict)

    def full_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Name on the broker."""
        return prefix + self.name


def _delete(days: int, **more: str) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY_MS),
        "message.timestamp.type": "LogAppendTime",
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def _compact(uncompacted_days: int = 7) -> dict[str, str]:
    return {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(uncompacted_days * DAY_MS),
        "delete.retention.ms": str(uncompacted_days * DAY_MS),
        "message.timestamp.type": "LogAppendTime",
    }


EVENTS = TopicSpec(
    "events.v1",
    "producer_id:seq//1024",
    "LLM events, one per message",
    None,
    _delete(7, max_message_bytes=str(4 * 2**20)),
)
TICKS = TopicSpec("ticks.v1", "writer", "Watermarks and offsets of the writers", 1, _delete(1))
ALERT_EVALS = TopicSpec(
    "alert-evals.v1", "rule", "Rule evaluations, the log behind alerts", None, _delete(7)
)
ALERTS = TopicSpec(
    "alerts.v1", "fingerprint", "Alert transitions; the last per key is its state", None, _compact()
)
ALERT_COMMANDS = TopicSpec(
    "alert-commands.v1", "command id", "Silences and acknowledgements", None, _compact()
)
ALERT_NOTIFICATIONS = TopicSpec(
    "alert-notifications.v1", "receiver|group", "Notifier log", None, _compact()
)
DIRECTIVES = TopicSpec("directives.v1", "scope", "Desired state for apps", None, _compact())
DEAD_LETTERS = TopicSpec(
    "deadletters.v1",
    "source",
    "Refused input, raw bytes",
    None,
    _delete(14, max_message_bytes=str(5 * 2**20)),
)

REGISTRY: tuple[TopicSpec, ...] = (
    EVENTS,
    TICKS,
    ALERT_EVALS,
    ALERTS,
    ALERT_COMMANDS,
    ALERT_NOTIFICATIONS,
    DIRECTIVES,
    DEAD_LETTERS,
)


def source_id(topic: str, topic_id: str) -> str:
    """Identity of one life of a topic: `topic@` and the first 8 characters of Kafka's topic id.

    A topic that is deleted and made anew is another source, so its offsets are not "seen already".
    """
    return f"{topic}@{topic_id[:8]}"

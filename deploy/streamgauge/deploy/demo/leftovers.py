"""What a demo run made on a broker or a ClickHouse of the user's: named, removed, or left.

In: a stack that was started. Out: names, statements that remove them, their removal. Services of
the run's own lie in its folder (runs.py) and are not meant here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.stack import Stack
from streamgauge.deploy.topics import remove_topics
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.sqltext import quote_name


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Topics under one prefix, one database; None where the service was the run's own."""

    kafka: KafkaSettings | None
    store: StoreSettings | None

    @classmethod
    def of(cls, stack: Stack) -> Leftovers:
        """What this stack put on services that are not its own."""
        return cls(
            stack.kafka if stack.state.kafka_external else None,
            stack.store if stack.state.store_external else None,
        )

    @property
    def names(self) -> list[str]:
        """What there is and where, for a sentence; empty if nothing."""
        found = []
        if self.kafka is not None:
            found.append(f"topics {self.kafka.prefix}* at {self.kafka.bootstrap}")
        if self.store is not None:
            found.append(f"database {self.store.database} at {self.store.url}")
        return found

    @property
    def removal(self) -> list[str]:
        """Command lines and statements that remove it by hand."""
        found = []
        if self.kafka is not None:
            found.append(
                f"kafka-topics.sh --bootstrap-server {self.kafka.bootstrap}"
                f" --delete --topic '{re.escape(self.kafka.prefix)}.*'"
            )
        if self.store is not None:
            found.append(_drop(self.store))
        return found

    def remove(self) -> None:
        """Remove it; Misconfigured if that is refused, Unreachable if a service is away."""
        if self.kafka is not None:
            remove_topics(self.kafka)
        if self.store is not None:
            with connect(self.store) as client:
                client.command(_drop(self.store), use_database=False)


def _drop(store: StoreSettings) -> str:
    return f"DROP DATABASE IF EXISTS {quote_name(store.database)} SYNC"

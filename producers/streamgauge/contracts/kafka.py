"""How to reach a Kafka cluster: one frozen settings object for every client of ours.

Settings are librdkafka's own names and are passed through untouched, so everything that librdkafka
can do (SASL, mTLS, OAUTHBEARER) works without us naming it (whether librdkafka knows them:
pass_through.py). Imports only the standard library.

    STREAMGAUGE_BOOTSTRAP=broker:9093
    STREAMGAUGE_KAFKA_SECURITY_PROTOCOL=SASL_SSL      -> security.protocol
    STREAMGAUGE_KAFKA_SASL_PASSWORD=...               -> sasl.password
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.topics import DEFAULT_PREFIX, TopicSpec

ENV_BOOTSTRAP = "STREAMGAUGE_BOOTSTRAP"
ENV_PREFIX = "STREAMGAUGE_TOPIC_PREFIX"
ENV_PASS_THROUGH = "STREAMGAUGE_KAFKA_"  # noqa: S105 - a prefix, no password


_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Address, topic prefix and passed-through librdkafka settings. `repr` hides secrets."""

    bootstrap: str
    prefix: str = DEFAULT_PREFIX
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_env(
        cls, env: Mapping[str, str] = os.environ, *, default_bootstrap: str | None = None
    ) -> KafkaSettings:
        """Read the environment; Misconfigured if no bootstrap address is known, or the prefix
        cannot begin a topic's name.
        """
        bootstrap = env.get(ENV_BOOTSTRAP) or default_bootstrap
        if not bootstrap:
            raise Misconfigured(
                "no Kafka address",
                hint=f"start the stack with `streamgauge up`, or set {ENV_BOOTSTRAP}=host:port",
            )
        extra = {
            name.removeprefix(ENV_PASS_THROUGH).lower().replace("_", "."): value
            for name, value in env.items()
            if name.startswith(ENV_PASS_THROUGH) and value
        }
        prefix = env.get(ENV_PREFIX) or DEFAULT_PREFIX
        if not _PREFIX.fullmatch(prefix):
            raise Misconfigured(
                f"{ENV_PREFIX}={prefix!r}: expected at most 100 letters, digits, '.', '_' and '-'",
                hint=f"such as {DEFAULT_PREFIX}",
            )
        return cls(bootstrap, prefix, extra)

    def topic(self, spec: TopicSpec) -> str:
        """Name of a registry topic on this cluster."""
        return spec.full_name(self.prefix)

    def librdkafka(self, **settings: object) -> dict[str, object]:
        """Configuration for a confluent-kafka client; `a_b` in keyword names means `a.b`."""
        return {
            "bootstrap.servers": self.bootstrap,
            **self.extra,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }

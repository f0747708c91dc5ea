"""Does librdkafka know the settings that are passed through? Asked before a service starts."""

from __future__ import annotations

from confluent_kafka import KafkaException, Producer

from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import ENV_PASS_THROUGH, KafkaSettings


def require_known(settings: KafkaSettings) -> KafkaSettings:
    """The settings; Misconfigured if librdkafka refuses to make a client with them."""
    if not settings.extra:
        return settings
    try:
        Producer({**settings.librdkafka(), "log_level": 0})  # a name with `_`, unlike the others
    except KafkaException as error:
        names = sorted(ENV_PASS_THROUGH + n.upper().replace(".", "_") for n in settings.extra)
        raise Misconfigured(
            f"librdkafka does not take {', '.join(names)}: {error.args[0].str()}",
            hint=f"{ENV_PASS_THROUGH}X_Y is librdkafka's setting x.y",
        ) from None
    return settings

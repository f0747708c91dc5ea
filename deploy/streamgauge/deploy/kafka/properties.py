"""The broker's settings and JVM flags, as text: pure.

Measured with these: 170-180 MB resident, 3-4 s from start to the first answer.
"""

from __future__ import annotations

import base64
from pathlib import Path

DAY_MS = 86_400_000


def cluster_id(random_bytes: bytes) -> str:
    """A Kafka cluster id: 16 random bytes in url-safe base64 without padding.

    Never begins with "-": Kafka's tools would read it as an option.
    """
    assert len(random_bytes) == 16
    text = base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()
    return text if text[0] != "-" else "A" + text[1:]


def server_properties(
    *, data: Path, host: str, port: int, controller_port: int, partition_cap_bytes: int
) -> str:
    """Text of server.properties for one node that is broker and controller.

    partition_cap_bytes: a partition's oldest segments are deleted above this size, so that the
    disk of one machine is bounded whatever the topics' retention times say.
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.bootstrap.servers": f"{host}:{controller_port}",
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data,
        # one node: every internal topic has one replica
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "default.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "auto.create.topics.enable": "false",
        "message.max.bytes": 4_194_304,  # a too large event shall reach the dead letters
        # after a crash the old registration must expire before the broker may register again:
        # with the default of 9 s a restart takes 11 s, with this 4 s
        "broker.session.timeout.ms": 3_000,
        "broker.heartbeat.interval.ms": 500,
        # disk
        "log.retention.bytes": partition_cap_bytes,
        "log.segment.bytes": max(16_777_216, min(134_217_728, partition_cap_bytes // 4)),
        "log.retention.check.interval.ms": 60_000,
        # memory: the defaults take a 128 MB buffer for the cleaner and threads for a big machine
        "log.cleaner.dedupe.buffer.size": 16_777_216,
        "log.cleaner.threads": 1,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def jvm_flags(java_major: int, *, heap_mb: int) -> list[str]:
    """Flags of the broker's JVM; heap_mb is the most its heap may take."""
    flags = [
        "-Xms64m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:ReservedCodeCacheSize=48m",
        "-XX:+ExitOnOutOfMemoryError",
    ]
    if java_major >= 25:
        flags.append("-XX:+UseCompactObjectHeaders")
    if java_major >= 24:
        flags.append("--enable-native-access=ALL-UNNAMED")
    return flags

"""The Faust app of a worker: settings, and what Faust must not do on its own.

Per concern one app: its name is the consumer group. No tables, no web, no topics made by it.
"""

from __future__ import annotations

import faust

from streamgauge.contracts.topics import DEFAULT_PREFIX
from streamgauge.stream_processors.core.chunk_transport import ChunkTransport
from streamgauge.stream_processors.core.kafka_io import credentials
from streamgauge.stream_processors.settings import WorkerSettings

BUFFERED_RUNS = 4
FETCH_BYTES = 1024 * 1024
HEARTBEAT_S = 3.0  # so soon a rebalance is noticed, however long the session
METADATA_MS = 5_000  # so soon a topic made anew, or new partitions, are noticed


class WorkerApp(faust.App):
    """Faust without its data folder."""

    def _create_directories(self) -> None:
        """Nothing of ours is on disk; Faust would make `<name>-data` where the process stands."""


def group_name(writer: str, prefix: str) -> str:
    """Consumer group of a writer; a topic prefix of one's own has groups of its own."""
    return f"streamgauge-{writer}" if prefix == DEFAULT_PREFIX else f"{prefix}{writer}"


def build_app(writer: str, s: WorkerSettings) -> WorkerApp:
    """An app on the chunk transport, without agents."""
    app = WorkerApp(
        group_name(writer, s.kafka.prefix),
        broker="kafka://" + s.kafka.bootstrap.replace(",", ";"),
        broker_credentials=credentials(s.kafka),
        broker_client_id=f"sg-{writer}-{s.instance}",
        broker_session_timeout=s.session_s,
        broker_heartbeat_interval=min(HEARTBEAT_S, s.session_s / 3.5),
        broker_rebalance_timeout=s.session_s,
        broker_request_timeout=max(30.0, s.session_s + 5),
        broker_commit_interval=1.0,
        consumer_group_instance_id=s.static_id or None,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=METADATA_MS,
        stream_buffer_maxsize=BUFFERED_RUNS,
        stream_wait_empty=False,
        stream_recovery_delay=0,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        autodiscover=False,
    )
    app.transport = ChunkTransport(app.conf.broker_consumer, app)
    return app

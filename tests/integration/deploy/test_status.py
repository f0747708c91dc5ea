"""What status says of a broker that is killed, while stack.json goes on saying that it is up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor import Level, examine
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.state import ProcessState, StackState, write_state
from streamgauge.deploy.status import Snapshot, collect, explain
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.settings import StoreSettings
from tests.support.kafka import TestKafka, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]


def said_to_be_up(name: str, pid: int | None) -> ProcessState:
    identity = None if pid is None else Pid.of(pid)
    assert identity is not None
    return ProcessState(name, "up", identity.as_json(), log=f"/{name}.log")


def look(home: Path) -> Snapshot:
    # an address of the environment means other services than this stack's own
    elsewhere = {"STREAMGAUGE_BOOTSTRAP": "127.0.0.1:1", "STREAMGAUGE_STORE_URL": "http://x:1"}
    return collect(Context.find(elsewhere, home), clock=SystemClock())


def test_a_killed_broker_is_dead_whatever_stack_json_says(
    kafka: TestKafka, store: StoreSettings, store_server: EmbeddedStore, tmp_path: Path,
    topic_prefix: str,
) -> None:  # fmt: skip
    create_topics(kafka.bootstrap, topic_prefix, partitions=1)
    me = Pid.of(os.getpid())
    assert me is not None
    state = StackState(
        home=str(tmp_path), state="up", supervisor=me.as_json(), bootstrap=kafka.bootstrap,
        prefix=topic_prefix, store_url=store.url, store_user=store.user, database=store.database,
        password_file=str(store_server.password_file),
        processes={
            "kafka": said_to_be_up("kafka", kafka.pid),
            "store": said_to_be_up("store", store_server.pid),
        },
    )  # fmt: skip
    write_state(tmp_path, state)
    assert look(tmp_path).ok
    try:
        kafka.kill()
        seen = look(tmp_path)
        assert {p.name: p.state for p in seen.processes} == {"kafka": "dead", "store": "up"}
        assert seen.silent == (f"Kafka at {kafka.bootstrap}",)
        assert not seen.ok
        notes = "\n".join(explain(seen))
        assert "is gone, stack.json says up" in notes
        assert f"Kafka at {kafka.bootstrap} does not answer" in notes
        found = examine(Context.find({}, tmp_path), clock=SystemClock())
        assert [f.level for f in found if f.what == "kafka"] == [Level.BAD, Level.BAD]
    finally:
        kafka.restart()
    back = look(tmp_path)  # another process, of which stack.json does not know
    assert {p.name: p.state for p in back.processes} == {"kafka": "up", "store": "up"}
    assert back.ok
    assert any("not as the process in stack.json" in note for note in explain(back))

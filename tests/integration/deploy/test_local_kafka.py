"""The local Apache Kafka: data survives, brokers do not disturb each other, errors are one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.kafka import LocalKafka
from streamgauge.deploy.kafka.local import answers_metadata
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.stack.services import KafkaService
from streamgauge.deploy.stack.supervised import Supervised
from streamgauge.deploy.topics import create_topics

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    local = LocalKafka(tmp_path_factory.mktemp("own-kafka"))
    local.start()
    yield local
    local.kill()


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})  # in order
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        for message in consumer.consume(100, timeout=0.5):
            assert message.error() is None
            value = message.value()
            assert value is not None
            found.append(value)
    consumer.close()
    return found


@pytest.mark.slow
def test_acknowledged_records_survive_a_kill_and_a_stop(broker: LocalKafka) -> None:
    settings = KafkaSettings(broker.bootstrap, "survive.")
    create_topics(settings, partitions=1)
    values = [b"%d" % n for n in range(1000)]
    produce(broker.bootstrap, "survive.events.v1", values)
    address = broker.bootstrap

    broker.kill()
    assert broker.pid is None
    assert not answers_metadata(address, timeout_s=0.5)
    assert broker.restart() == address
    assert read(address, "survive.events.v1", 1000) == values

    broker.stop()
    assert broker.start() == address
    assert read(address, "survive.events.v1", 1000) == values


@pytest.mark.slow
def test_another_port_is_taken_if_the_last_one_is_gone(tmp_path: Path) -> None:
    first = LocalKafka(tmp_path)
    first.start()
    port = first.port
    create_topics(KafkaSettings(first.bootstrap, "p."), partitions=1)
    produce(first.bootstrap, "p.events.v1", [b"kept"])
    first.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        second = LocalKafka(tmp_path)
        second.start()
        try:
            assert second.port != port
            assert read(second.bootstrap, "p.events.v1", 1) == [b"kept"]
        finally:
            second.kill()


@pytest.mark.slow
def test_a_restarted_broker_waits_for_its_port_and_takes_no_other(tmp_path: Path) -> None:
    service = KafkaService(LocalKafka(tmp_path))
    broker = Supervised(service, clock=SystemClock(), on_change=lambda: None)
    broker.launch()
    broker.wait_first_start()
    address = service.broker.bootstrap
    try:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            broker.kill()
            deadline = time.monotonic() + 30
            while True:  # until the dead one has let go of it
                try:
                    other.bind(("127.0.0.1", service.broker.port))
                    break
                except OSError:
                    assert time.monotonic() < deadline
            other.listen()
            while "is taken by another process" not in broker.state.note:
                assert time.monotonic() < deadline, broker.state
                time.sleep(0.05)
        assert broker.wait_up(60)
        assert service.broker.bootstrap == address
        assert answers_metadata(address, timeout_s=5)
    finally:
        broker.stop(10)


@pytest.mark.slow
def test_the_usual_port_is_taken_at_first_unless_another_process_is_faster(tmp_path: Path) -> None:
    (usual,) = free_ports(1)
    first = LocalKafka(tmp_path, usual_port=usual)
    first.spawn()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", usual))
        other.listen()  # before the JVM is there
        assert first.port == usual
        first.start()
    address = first.bootstrap
    first.stop()
    assert address != f"127.0.0.1:{usual}"
    again = LocalKafka(tmp_path, usual_port=usual)
    again.spawn()
    again.kill()
    assert again.bootstrap == address  # clients know it by now


def test_a_broker_of_another_cluster_is_not_taken_for_ours(broker: LocalKafka) -> None:
    assert answers_metadata(broker.bootstrap, timeout_s=5)
    assert not answers_metadata(broker.bootstrap, timeout_s=5, cluster="another")


@pytest.mark.slow
def test_two_brokers_run_side_by_side(broker: LocalKafka, tmp_path: Path) -> None:
    other = LocalKafka(tmp_path)
    other.start()
    try:
        assert other.bootstrap != broker.bootstrap
        create_topics(KafkaSettings(other.bootstrap, "only-here."), partitions=1)
        produce(other.bootstrap, "only-here.events.v1", [b"x"])
        assert "only-here.events.v1" in read_topics(other.bootstrap)
        assert "only-here.events.v1" not in read_topics(broker.bootstrap)
        assert read(other.bootstrap, "only-here.events.v1", 1) == [b"x"]
    finally:
        other.kill()


def read_topics(bootstrap: str) -> set[str]:
    from confluent_kafka.admin import AdminClient

    return set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics)


def test_a_second_broker_on_the_same_folder_is_refused(broker: LocalKafka) -> None:
    with pytest.raises(Misconfigured, match=f"pid {broker.pid}"):
        LocalKafka(broker.data_dir).start()
    assert answers_metadata(broker.bootstrap, timeout_s=5)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Misconfigured, match=f"port {port} for Kafka is taken") as caught:
            LocalKafka(tmp_path, port).start()
    assert "--kafka-port" in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_broker_that_dies_at_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    local = LocalKafka(tmp_path)
    local.start()
    local.stop()
    (tmp_path / "log" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=other\n")
    with pytest.raises(Unreachable, match="ended with code 1 before it answered") as caught:
        local.start()
    assert "node" in caught.value.message.lower()
    assert str(local.log_path) in caught.value.hint
    assert local.pid is None


def test_a_folder_with_a_comma_is_refused_in_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot keep its log in .*a,b: it takes a comma"):
        LocalKafka(tmp_path / "a,b").start()
    assert not (tmp_path / "a,b").exists()


@pytest.mark.slow
def test_the_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from streamgauge.deploy.kafka import LocalKafka\n"
        f"k = LocalKafka(Path({str(tmp_path)!r})); k.spawn(); print(k.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait(10)
    parent.stdin.close()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_broker_stays_small(broker: LocalKafka) -> None:
    assert broker.pid is not None
    assert psutil.Process(broker.pid).memory_info().rss < 320 * 1024 * 1024
    assert os.stat(broker.log_path).st_size > 0

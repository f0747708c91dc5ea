"""Killing a process at a moment at which its work is provably half done.

A victim is first frozen (SIGSTOP), then it is looked at from outside whether something is in
flight; if not, it goes on unharmed and the next moment is tried. What counts as in flight:

- store: a part of `windows` or `events` is being written (its directory `tmp_insert_*` is there);
- metrics: the store's answer to an insert lies unread in the worker's socket;
- alerts: a transaction is open on the evaluation log or the alert topic;
- kafka: the same, by a frozen alert engine that goes on when the broker is dead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # public, but not in its __all__

from streamgauge.contracts import topics
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.stack import Stack
from streamgauge.storage.client import StoreClient
from tests.support.stack import store_client

TABLES = ("windows", "events")
ANSWER_S = 0.3
"""How long a frozen worker is left before it is asked whether the store's answer has come."""


def kill_in_flight(stack: Stack, name: str, *, timeout_s: float = 30.0) -> None:
    """kill -9 `name` with an insert or a publication in flight; AssertionError if none was."""
    watched = "alerts" if name == "kafka" else name
    stack.wait_up(watched, timeout_s)  # the engine ends itself when a call to a dead broker hangs
    begins, is_in_flight = _looks(stack, name)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        victim = stack.pid(watched)
        if victim is None or not begins():
            continue
        with contextlib.suppress(ProcessLookupError), frozen(victim):
            if is_in_flight(victim):
                stack.kill(name)
                return
    raise AssertionError(f"{name}: nothing was in flight at any moment of {timeout_s:g} s")


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process stands still meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _looks(stack: Stack, name: str) -> tuple[Callable[[], bool], Callable[[int], bool]]:
    """(a quick look whether it is worth while, the look at the frozen process of this pid)."""
    if name in ("alerts", "kafka"):
        transactions = Transactions(stack.kafka)
        return transactions.open, lambda _pid: transactions.open()
    with store_client(stack) as client:
        parts = PartsBeingWritten(client)
    if name == "store":
        return parts.any, lambda _pid: parts.any()
    port = urlsplit(stack.store.url).port
    assert port is not None

    def answered(pid: int) -> bool:
        time.sleep(ANSWER_S)
        return unread_bytes(pid, port) > 0

    return parts.any, answered


class PartsBeingWritten:
    """Whether the engine is writing a part of `TABLES` now; leftovers of a kill do not count."""

    def __init__(self, client: StoreClient) -> None:
        rows = client.query(
            "SELECT arrayJoin(data_paths) AS path FROM system.tables"
            " WHERE database = currentDatabase() AND name IN {names:Array(String)}",
            {"names": list(TABLES)},
        )
        self._folders = [Path(row["path"]) for row in rows]
        assert len(self._folders) == len(TABLES), rows
        self._old = self._now()

    def any(self) -> bool:
        """True while a part is half written."""
        return bool(self._now() - self._old)

    def _now(self) -> set[str]:
        return {
            entry.path
            for folder in self._folders
            for entry in os.scandir(folder)
            if entry.name.startswith("tmp_insert_")
        }


class Transactions:
    """Whether a transaction is open on the engine's two topics."""

    def __init__(self, kafka: KafkaSettings) -> None:
        config: dict[str, Any] = kafka.librdkafka()
        self._admin = AdminClient(config)
        names = [kafka.topic(spec) for spec in (topics.ALERT_EVALS, topics.ALERTS)]
        known = self._admin.list_topics(timeout=20).topics
        self._partitions = [TopicPartition(n, p) for n in names for p in known[n].partitions]

    def open(self) -> bool:
        """True if some partition's end lies above what a read_committed reader may see."""
        committed = self._ends(IsolationLevel.READ_COMMITTED)
        written = self._ends(IsolationLevel.READ_UNCOMMITTED)
        # Asked in this order a transaction that began between the two looks open: look again.
        if all(written[p] <= committed[p] for p in committed):
            return False
        committed = self._ends(IsolationLevel.READ_COMMITTED)
        return any(written[p] > committed[p] for p in committed)

    def _ends(self, level: IsolationLevel) -> dict[tuple[str, int], int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # of confluent_kafka
        asked = dict.fromkeys(self._partitions, latest)
        found = self._admin.list_offsets(asked, isolation_level=level, request_timeout=20)
        return {(p.topic, p.partition): int(f.result().offset) for p, f in found.items()}


def unread_bytes(pid: int, port: int) -> int:
    """Bytes that lie unread in the process' connections to this local port."""
    own = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            own.add(os.readlink(entry.path))
    waiting = 0
    for line in Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        remote_port = int(fields[2].rpartition(":")[2], 16)
        if remote_port == port and f"socket:[{fields[9]}]" in own:
            waiting += int(fields[4].rpartition(":")[2], 16)
    return waiting

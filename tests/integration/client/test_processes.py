"""Forks and ends of processes: nothing lost, nothing doubled, nothing hangs."""

from __future__ import annotations

import time

import pytest

from tests.support.client_app import assert_gapless, logged, read_events, run_app
from tests.support.kafka import TestKafka, create_topics

pytestmark = pytest.mark.kafka

ALL = list(range(200))

EXITS = {
    "normal end": 'init()\nlog_many(200, "a")',
    "sys.exit": 'init()\nlog_many(200, "a")\nsys.exit(3)',
    "unhandled exception": 'init()\nlog_many(200, "a")\nraise ValueError',
    "close by hand": 'init()\nlog_many(200, "a")\nassert close(20) == 0',
    "os._exit after flush": 'init()\nlog_many(200, "a")\nassert flush(20) == 0\nos._exit(0)',
    "end of a thread that logs": """
init()
thread = threading.Thread(target=log_many, args=(200, "a"))
thread.start()
""",
    "a client by hand, never closed": """
client = Client()
for i in range(200):
    client.log(model="m", duration_ms=1, tags={"tag": "a", "i": str(i)})
""",
}

FORKS = {
    "os.fork, the child returns": (
        """
init()
log_many(200, "parent before")
child = os.fork()
log_many(200, "child" if child == 0 else "parent after")
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
        ["parent before", "child", "parent after"],
    ),
    "os.fork while the parent sends, the child flushes and leaves by os._exit": (
        """
init()
log_many(20, "warm")
flush(20)
log_many(200, "parent before")
child = os.fork()
if child == 0:
    log_many(200, "child")
    os._exit(flush(20))
log_many(200, "parent after")
assert os.waitpid(child, 0)[1] == 0
""",
        ["parent before", "child", "parent after"],
    ),
    "fork before anything was logged (a pre-forking server)": (
        """
init()
children = []
for k in range(3):
    child = os.fork()
    if child == 0:
        log_many(200, f"child {k}")
        sys.exit(0)
    children.append(child)
assert [os.waitpid(c, 0)[1] for c in children] == [0, 0, 0]
""",
        ["child 0", "child 1", "child 2"],
    ),
    "a child of a child": (
        """
init()
log_many(200, "parent")
flush(20)
child = os.fork()
if child == 0:
    log_many(200, "child")
    flush(20)
    grandchild = os.fork()
    if grandchild == 0:
        log_many(200, "grandchild")
        sys.exit(0)
    assert os.waitpid(grandchild, 0)[1] == 0
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        ["parent", "child", "grandchild"],
    ),
    "init again in the child": (
        """
init()
log_many(200, "parent")
child = os.fork()
if child == 0:
    init()
    log_many(200, "child")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        ["parent", "child"],
    ),
    "multiprocessing by fork": (
        """
init()
log_many(200, "parent")
context = multiprocessing.get_context("fork")
processes = [context.Process(target=log_many, args=(200, f"child {k}")) for k in range(2)]
for process in processes:
    process.start()
for process in processes:
    process.join()
    assert process.exitcode == 0
""",
        ["parent", "child 0", "child 1"],
    ),
}

SPAWNED = """
import multiprocessing, sys
from streamgauge.producers import init, log

def work(tag):
    init()
    for i in range(200):
        log(model="m", duration_ms=1.0, tags={"tag": tag, "i": str(i)})

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    process = context.Process(target=work, args=("child",))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("how", EXITS)
def test_everything_arrives_however_a_process_ends(
    kafka: TestKafka, topic_prefix: str, how: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=2)
    run = run_app(
        EXITS[how],
        bootstrap=kafka.bootstrap,
        prefix=topic_prefix,
        STREAMGAUGE_CLOSE_TIMEOUT_S="20",
    )
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    assert logged(events) == {"a": ALL}, run.stderr
    assert_gapless(events)
    if "_exit" not in how:
        assert events[-1]["type"] == "client.stats" or len(events) == 201


@pytest.mark.parametrize("how", FORKS)
def test_a_fork_loses_and_doubles_nothing(kafka: TestKafka, topic_prefix: str, how: str) -> None:
    code, tags = FORKS[how]
    create_topics(kafka.bootstrap, topic_prefix, partitions=2)
    start = time.monotonic()
    run = run_app(
        code, bootstrap=kafka.bootstrap, prefix=topic_prefix, STREAMGAUGE_CLOSE_TIMEOUT_S="20"
    )
    assert run.returncode == 0, run.stderr
    assert time.monotonic() - start < 30
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    found = logged(events)
    assert {tag: found.get(tag) for tag in tags} == dict.fromkeys(tags, ALL)
    assert len({e["id"] for e in events}) == len(events)
    assert_gapless(events)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_when_they_end(
    kafka: TestKafka, topic_prefix: str, method: str, tmp_path: pytest.TempPathFactory
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=2)
    script = f"{tmp_path}/app.py"
    with open(script, "w") as file:
        file.write(SPAWNED)
    run = run_app(
        f"import runpy\nsys.argv = ['app.py', {method!r}]\n"
        f"os.execv(sys.executable, [sys.executable, {script!r}, {method!r}])",
        bootstrap=kafka.bootstrap,
        prefix=topic_prefix,
        STREAMGAUGE_CLOSE_TIMEOUT_S="20",
    )
    assert run.returncode == 0, run.stderr
    events = read_events(kafka.bootstrap, topic_prefix + "events.v1")
    assert logged(events) == {"child": ALL}
    assert_gapless(events)


def test_a_call_that_spans_a_fork_is_logged_once_by_the_parent(
    kafka: TestKafka, topic_prefix: str
) -> None:
    create_topics(kafka.bootstrap, topic_prefix, partitions=2)
    run = run_app(
        """
init()
with track(model="m", tags={"tag": "call", "i": "0"}) as call:
    child = os.fork()
if child == 0:
    assert stats().dropped == {"forked": 1}, stats()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
        bootstrap=kafka.bootstrap,
        prefix=topic_prefix,
        STREAMGAUGE_CLOSE_TIMEOUT_S="20",
    )
    assert run.returncode == 0, run.stderr
    assert logged(read_events(kafka.bootstrap, topic_prefix + "events.v1")) == {"call": [0]}


def test_a_fork_while_the_broker_is_away_ends_in_time_on_both_sides(topic_prefix: str) -> None:
    start = time.monotonic()
    run = run_app(
        """
init()
log_many(50, "parent")
flush(0.3)
child = os.fork()
log_many(50, "both")
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
        bootstrap="127.0.0.1:1",
        prefix=topic_prefix,
        STREAMGAUGE_CLOSE_TIMEOUT_S="0.5",
    )
    assert run.returncode == 0, run.stderr
    assert time.monotonic() - start < 15

"""Plan, state, logs and identities: the pure and small parts of the supervisor."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError, Unreachable
from streamgauge.contracts.kafka import KafkaSettings
from streamgauge.deploy.context import Context
from streamgauge.deploy.paths import write_atomic
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack import stack
from streamgauge.deploy.stack.detached import differences, stop_detached
from streamgauge.deploy.stack.layout import prepare_home, take_lock
from streamgauge.deploy.stack.logs import CAP_BYTES, cap_log, folder_bytes, last_line
from streamgauge.deploy.stack.plan import (
    WORKERS,
    StackConfig,
    backoff_s,
    client_env,
    worker_env,
)
from streamgauge.deploy.stack.services import WorkerService, died
from streamgauge.deploy.stack.state import (
    ProcessState,
    StackState,
    read_state,
    running_state,
    write_state,
)
from streamgauge.deploy.stack.supervised import Supervised


def test_the_configuration_survives_the_way_to_the_supervisor() -> None:
    config = StackConfig("/data", prefix="x.", clock_mode="replay", workers=("metrics",))
    assert StackConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": ("metrics", "nonsense")}, "unknown process 'nonsense'"),
        ({"clock_mode": "fast"}, "clock mode 'fast'"),
        ({"lateness_s": -1.0}, "lateness -1.0 s"),
        ({"partitions": 0}, "0 partitions"),
    ],
)
def test_a_wrong_configuration_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        replace(StackConfig("/data"), **change)  # type: ignore[arg-type]


def test_children_find_this_stack_whatever_the_environment_says() -> None:
    base = {"STREAMGAUGE_BOOTSTRAP": "elsewhere:9092", "PATH": "/bin", "STREAMGAUGE_KAFKA_X": "1"}
    kafka = KafkaSettings("127.0.0.1:1234", "p.")
    env = client_env(kafka, {"STREAMGAUGE_STORE_URL": "http://127.0.0.1:1"}, base=base)
    config = StackConfig("/data", clock_mode="replay", lateness_s=30, rules="/r.yml")
    worker = worker_env(config, env, metrics_port=9100)
    assert worker["STREAMGAUGE_BOOTSTRAP"] == "127.0.0.1:1234"
    assert worker["STREAMGAUGE_TOPIC_PREFIX"] == "p."
    assert worker["STREAMGAUGE_CLOCK_MODE"] == "replay"
    assert worker["STREAMGAUGE_LATENESS_S"] == "30"
    assert worker["STREAMGAUGE_METRICS_PORT"] == "9100"
    assert worker["STREAMGAUGE_RULES"] == "/r.yml"
    assert worker["PATH"] == "/bin"
    assert "STREAMGAUGE_RULES" not in worker_env(StackConfig("/d"), env, metrics_port=1)


def test_back_off_grows_and_is_bounded() -> None:
    waits = [backoff_s(n) for n in range(12)]
    assert waits[:4] == [0.2, 0.2, 0.4, 0.8]
    assert waits == sorted(waits)
    assert waits[-1] == 15.0


def test_state_is_read_back_and_newer_fields_are_ignored(tmp_path: Path) -> None:
    state = StackState(home=str(tmp_path), state="up", bootstrap="b:1")
    state.processes["metrics"] = ProcessState("metrics", "up", {"pid": 1, "started_ms": 2})
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    raw = json.loads((tmp_path / "stack.json").read_text())
    raw["from_the_future"] = 1
    raw["processes"]["metrics"]["colour"] = "red"
    (tmp_path / "stack.json").write_text(json.dumps(raw))
    assert read_state(tmp_path) == state
    (tmp_path / "stack.json").write_text("{ half")
    assert read_state(tmp_path) is None


@pytest.mark.parametrize(
    "garbage",
    [
        "5", "[]", "\0", '"x"', "{}", '{"processes": 5}', '{"processes": ["kafka"]}',
        '{"processes": {"kafka": null, "store": {"pid": "one"}}}',
        '{"state": "up", "supervisor": {"pid": "one", "started_ms": null}}',
        '{"state": "up", "supervisor": {"pid": -1, "started_ms": 1e99}, "bootstrap": 5}',
    ],
)  # fmt: skip
def test_garbage_in_stack_json_is_no_stack(tmp_path: Path, garbage: str) -> None:
    (tmp_path / "stack.json").write_text(garbage)
    assert running_state(tmp_path) is None
    state = read_state(tmp_path) or StackState()
    assert all(process.identity is None for process in state.processes.values())
    assert isinstance(state.bootstrap, str)
    assert stop_detached(tmp_path, progress=lambda _line: None) == []


def test_down_does_not_call_a_running_stack_absent_because_its_file_is_gone(
    tmp_path: Path,
) -> None:
    held = take_lock(tmp_path)
    assert held is not None
    with held, pytest.raises(Misconfigured, match="a stack runs on"):
        stop_detached(tmp_path, progress=lambda _line: None)
    assert stop_detached(tmp_path, progress=lambda _line: None) == []


class BrokenDisk:
    """A service that cannot be started while the disk is full, then can."""

    name, log = "metrics", Path("metrics.log")
    pid: int | None = None
    exit_code: int | None = None

    def __init__(self, fails: int) -> None:
        self.fails = fails

    def start(self) -> None:
        self.fails -= 1
        if self.fails >= 0:
            raise OSError(28, "No space left on device")
        self.exit_code = None

    def last_words(self) -> str:
        return ""

    def stop(self, grace_s: float) -> None:
        pass

    def kill(self) -> None:
        pass

    def cap_logs(self) -> None:
        pass


def full_disk() -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_at_the_first_start_is_an_error_and_no_hang() -> None:
    process = Supervised(BrokenDisk(1), clock=SystemClock(), on_change=full_disk)
    process.launch()
    with pytest.raises(Misconfigured, match=r"metrics cannot be started.*No space left"):
        process.wait_first_start()


def test_a_service_comes_back_after_the_disk_was_full() -> None:
    service = BrokenDisk(0)
    process = Supervised(service, clock=SystemClock(), on_change=full_disk)
    process.launch()
    process.wait_first_start()
    service.fails = 2
    service.exit_code = 1  # it died
    deadline = time.monotonic() + 20
    while service.fails >= 0:
        assert time.monotonic() < deadline, "it was given up"
        time.sleep(0.05)
    assert process.wait_up(10)
    assert process.state.state == "up"
    process.stop(1)


def test_a_death_is_logged_with_name_signal_and_what_happens_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = "print('ready', flush=True); import time; time.sleep(600)"
    path = tmp_path / "scores.log"
    worker = WorkerService("scores", [sys.executable, "-c", script], dict, path, settle_s=0)
    process = Supervised(worker, clock=SystemClock(), on_change=lambda: None)
    process.launch()
    process.wait_first_start()
    process.kill()
    assert process.wait_up(20)
    assert process.state.note == "was ended by signal 9 (SIGKILL)"
    process.stop(5)
    assert [r.getMessage() for r in caplog.records] == [
        f"scores was ended by signal 9 (SIGKILL); starting it again in 0.2 s (log {path})"
    ]
    assert process.state.restarts == 1


def test_a_process_that_ends_by_itself_is_logged_with_its_last_line_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = "import time; time.sleep(0.3); print('error: no rules at /x'); raise SystemExit(2)"
    path = tmp_path / "alerts.log"
    worker = WorkerService("alerts", [sys.executable, "-c", script], dict, path, settle_s=0)
    process = Supervised(worker, clock=SystemClock(), on_change=lambda: None)
    process.launch()
    deadline = time.monotonic() + 20
    while len(caplog.records) < 3:
        assert time.monotonic() < deadline, "it was not started again"
        time.sleep(0.05)
    process.stop(5)
    assert [r.getMessage() for r in caplog.records[:3]] == [
        f"alerts ended with code 2: no rules at /x; starting it again in {wait} s (log {path})"
        for wait in ("0.2", "0.4", "0.8")
    ]


def test_a_stack_whose_supervisor_is_gone_does_not_run(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Pid.of(child.pid)
    assert identity is not None
    state = StackState(state="up", supervisor=identity.as_json())
    write_state(tmp_path, state)
    assert running_state(tmp_path) is not None
    child.communicate(b"\n")
    assert running_state(tmp_path) is None


def test_a_reused_pid_is_not_taken_for_the_old_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    now = Pid.of(child.pid)
    assert now is not None
    earlier = Pid(now.pid, now.started_ms - 60_000)
    assert now.alive
    assert not earlier.alive
    assert earlier.end(grace_s=1)  # nothing to end ...
    assert child.poll() is None  # ... and the stranger lives on
    child.communicate(b"\n")
    assert Pid.from_json({"pid": 1}) is None


def test_a_process_that_has_ended_but_is_not_reaped_is_not_waited_for() -> None:
    makes = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", makes], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = Pid.of(int(parent.stdout.readline()))
        assert child is not None
        assert child.end(grace_s=5), "it ends when asked, whoever reaps it"
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        parent.communicate(b"\n")


def test_a_log_above_its_cap_is_rotated_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("ab") as writer:
        for round_ in range(4):
            writer.write(b"%d" % round_ * 100 + b"\n")
            writer.flush()
            assert cap_log(path, cap_bytes=50)
        writer.write(b"the end\n")
        writer.flush()
    assert path.read_bytes() == b"the end\n"
    assert (tmp_path / "x.log.1").read_bytes().startswith(b"333")
    assert (tmp_path / "x.log.2").read_bytes().startswith(b"222")
    assert not (tmp_path / "x.log.3").exists()
    assert not cap_log(path, cap_bytes=50)
    assert last_line(path) == "the end"
    assert folder_bytes(tmp_path) > 0


def test_a_log_without_room_for_a_copy_is_cut_all_the_same(tmp_path: Path) -> None:
    path, older = tmp_path / "x.log", tmp_path / "x.log.1"
    path.write_bytes(b"x" * 5000)
    older.write_bytes(b"older")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # as on a disk with 1 kB left
    try:
        assert cap_log(path, cap_bytes=4000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.stat().st_size == 0
    assert older.read_bytes() == b"older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.log", "x.log.1"]


class BrokenLog(BrokenDisk):
    """A service whose log cannot even be cut."""

    def cap_logs(self) -> None:
        raise OSError(5, "Input/output error")


def test_logs_of_other_services_are_kept_small_when_one_cannot_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "LOG_CHECK_S", 0.01)
    log = tmp_path / "b.log"
    log.write_bytes(b"x" * (CAP_BYTES + 1))
    mine = stack.Stack(StackConfig(str(tmp_path)))
    for service in (BrokenLog(0), WorkerService("b", [], dict, log)):
        mine._supervised[service.name] = Supervised(
            service, clock=SystemClock(), on_change=lambda: None
        )
    thread = threading.Thread(target=mine._cap_logs)
    thread.start()
    deadline = time.monotonic() + 20
    while log.stat().st_size and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    alive = thread.is_alive()
    mine._closing.set()
    thread.join(20)
    assert (alive, log.stat().st_size) == (True, 0)


def test_the_way_a_process_ended_decides_the_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert isinstance(died("x", 2, "words", log), Misconfigured)
    assert isinstance(died("x", 3, "words", log), Unreachable)
    assert "ended by signal 9" in died("x", -9, "", log).message


def test_a_worker_that_ends_at_once_tells_its_last_line(tmp_path: Path) -> None:
    script = "import sys; print('error: no rules at /x'); sys.exit(2)"
    worker = WorkerService(
        "alerts",
        [sys.executable, "-c", script],
        dict,
        tmp_path / "alerts.log",
        settle_s=20,
    )
    with pytest.raises(Misconfigured, match="alerts ended with code 2: no rules at /x"):
        worker.start()
    worker.stop(1)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.json"]


def test_a_worker_that_is_unknown_has_no_module() -> None:
    assert set(WORKERS) == {"metrics", "scores", "drift", "alerts"}
    with pytest.raises(StreamgaugeError):
        StackConfig("/d", workers=("store",))


def test_a_start_that_is_interrupted_has_not_failed_and_keeps_the_ports(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    url = "http://127.0.0.1:8123"
    write_state(tmp_path, StackState(state="down", bootstrap="127.0.0.1:9092", store_url=url))

    def ctrl_c(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack.Stack(StackConfig(str(tmp_path)), env={}, progress=ctrl_c).start()
    left = read_state(tmp_path)
    assert left is not None
    assert (left.state, left.error, left.store_url) == ("down", "", url)


def test_a_start_that_fails_without_words_names_the_error(tmp_path: Path) -> None:
    def fail(_line: str) -> None:
        raise AssertionError

    with pytest.raises(AssertionError):
        stack.Stack(StackConfig(str(tmp_path)), env={}, progress=fail).start()
    left = read_state(tmp_path)
    assert left is not None
    assert (left.state, left.error) == ("failed", "AssertionError")


def test_only_options_that_the_stack_does_not_run_with_are_named() -> None:
    state = StackState(
        bootstrap="127.0.0.1:9092", store_url="http://127.0.0.1:8123", prefix="llm.",
        processes={name: ProcessState(name) for name in ("kafka", "store", *WORKERS)},
    )  # fmt: skip
    config = StackConfig("/x", kafka_port=9093, store_port=8123, workers=("metrics",))
    asked = {"kafka_port": "--kafka-port 9093", "store_port": "--store-port 8123"}
    assert differences(state, config, asked) == ["--kafka-port 9093"]
    asked = {"workers": "--without scores", "kafka_port": "--kafka-port 0"}
    assert differences(state, replace(config, kafka_port=0), asked) == ["--without scores"]


def test_password_file_of_a_stack_that_is_no_text_is_misconfigured(tmp_path: Path) -> None:
    stack = StackState(home=str(tmp_path), store_url="http://127.0.0.1:1")
    stack.password_file = stack.reader_password_file = sys.executable
    stack.reader_user = "reader"
    context = Context({}, tmp_path, stack)
    for reader in (False, True):
        with pytest.raises(Misconfigured, match="it is no text"):
            context.store(reader=reader)

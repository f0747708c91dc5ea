"""The doctor finds what is wrong and says how to mend it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor import Finding, Level, examine, machine, services
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.detached import end_leftovers
from streamgauge.deploy.stack.layout import hmac_key_file, prepare_home
from streamgauge.deploy.stack.state import ProcessState, StackState, write_state

CLOCK = SystemClock()


def context(home: Path, **env: str) -> Context:
    return Context.find(env, home)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a killed stack left: named in stack.json, its supervisor gone."""
    prepare_home(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Pid.of(child.pid)
    assert identity is not None
    state = StackState(state="up", supervisor={"pid": 2**22 - 3, "started_ms": 1})
    state.processes["metrics"] = ProcessState("metrics", "up", identity.as_json())
    write_state(tmp_path, state)
    yield child
    child.kill()
    child.communicate()


def test_a_process_of_a_killed_stack_is_found_and_ended(
    orphan: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (found,) = machine.leftovers(context(tmp_path), CLOCK)
    assert found.level is Level.BAD
    assert f"metrics (pid {orphan.pid})" in found.seen
    assert found.mend == "streamgauge down"
    assert end_leftovers(tmp_path) == ["metrics"]
    assert orphan.wait(10) is not None
    (found,) = machine.leftovers(context(tmp_path), CLOCK)
    assert found.level is Level.OK


def test_a_key_that_others_may_read_is_bad(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    key = hmac_key_file(tmp_path)
    assert [f.level for f in machine.data_folder(context(tmp_path), CLOCK)] == [Level.OK]
    key.chmod(0o644)
    bad = [f for f in machine.data_folder(context(tmp_path), CLOCK) if f.level is Level.BAD]
    assert [f.mend for f in bad] == [f"chmod 600 {key}"]


def test_missing_jars_are_to_know_and_changed_ones_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamgauge.deploy.kafka.jars import libs_folder

    monkeypatch.setenv("STREAMGAUGE_CACHE", str(tmp_path))
    monkeypatch.delenv("KAFKA_HOME", raising=False)
    (found,) = machine.jars(context(tmp_path), CLOCK)
    assert (found.level, found.mend) == (Level.WARN, "run `streamgauge kafka install`")
    libs = libs_folder()
    libs.mkdir(parents=True)
    (libs / "kafka_2.13-4.3.1.jar").write_bytes(b"tampered")
    (found,) = machine.jars(context(tmp_path), CLOCK)
    assert found.level is Level.BAD
    assert "kafka_2.13-4.3.1.jar" in found.seen


def test_a_home_of_java_or_kafka_that_holds_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGAUGE_CACHE", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", "/nope")
    monkeypatch.setenv("KAFKA_HOME", "/nope")
    for check in (machine.java, machine.jars):
        ignored, *_ = check(context(tmp_path), CLOCK)
        assert ignored.level is Level.WARN
        assert "_HOME=/nope holds no" in ignored.seen
        assert ignored.mend.startswith("unset ")


def test_services_that_do_not_answer_are_bad_and_the_other_checks_go_on(tmp_path: Path) -> None:
    port, other = free_ports(2)
    found = examine(
        context(
            tmp_path / "home",
            STREAMGAUGE_BOOTSTRAP=f"127.0.0.1:{port}",
            STREAMGAUGE_STORE_URL=f"http://127.0.0.1:{other}",
        ),
        clock=CLOCK,
    )
    by_name: dict[str, Finding] = {f.what: f for f in found}
    assert by_name["kafka"].level is Level.BAD
    assert f"127.0.0.1:{port}" in by_name["kafka"].seen
    assert by_name["store"].level is Level.BAD
    assert by_name["rules"].level is Level.OK
    assert by_name["prices"].seen.startswith("genai-prices-")
    assert all(f.mend for f in found if f.level is not Level.OK)


def test_only_a_bundle_that_can_be_used_is_said_to_be_good(tmp_path: Path) -> None:
    def levels(env: dict[str, str]) -> list[Level]:
        return [f.level for f in services.weights(Context(env, tmp_path, None), CLOCK)]

    assert levels({}) == [Level.WARN]
    assert levels({"STREAMGAUGE_DETOXIFY_BUNDLE": str(tmp_path / "absent")}) == [Level.BAD]
    assert levels({"STREAMGAUGE_DETOXIFY_BUNDLE": str(tmp_path)}) == [Level.BAD], "no bundle.json"

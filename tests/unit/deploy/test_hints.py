"""What the command line says to somebody who does not know it yet: hints, help, next steps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.cli import main
from streamgauge.deploy.cli.base import INCIDENTS
from streamgauge.deploy.cli.events import _Meter
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor import Level, services
from streamgauge.producers.traffic import Progress
from streamgauge.producers.traffic.incidents import ALL_KINDS

Capture = pytest.CaptureFixture[str]
RULE = """rules:
  - name: Slow
    kind: threshold
    metric: latency_p95_ms
    window: 5m
    value: 1000
    severity: page
"""


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("STREAMGAUGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STREAMGAUGE_HOME", str(tmp_path / "home"))


def test_a_refused_rule_file_is_named_in_the_command_that_lists_all(
    tmp_path: Path, capsys: Capture
) -> None:
    rules = tmp_path / "my rules.yml"
    rules.write_text("rules:\n  - name: Broken\n    kind: threshold\n")
    command = f"streamgauge rules check '{rules}'"
    assert main(["up", "--rules", str(rules)]) == 2
    assert command in capsys.readouterr().err
    context = Context({"STREAMGAUGE_RULES": str(rules)}, tmp_path, None)
    found = list(services.rules(context, SystemClock()))
    assert {(f.level, f.mend) for f in found} == {(Level.BAD, command)}


def test_one_rule_is_one_rule(tmp_path: Path, capsys: Capture) -> None:
    rules = tmp_path / "one.yml"
    rules.write_text(RULE)
    assert main(["rules", "check", str(rules)]) == 0, capsys.readouterr().out
    assert capsys.readouterr().err == f"1 rule in {rules} is good\n"


def test_without_a_stack_the_first_hint_is_how_to_start_one(capsys: Capture) -> None:
    for line in ("alerts list", "sql SELECT"):
        assert main(line.split()) == 2
        hint = capsys.readouterr().err.splitlines()[1]
        assert hint.startswith("hint: start the stack with `streamgauge up`, or set STREAMGAUGE_")
    assert main(["status"]) == 1
    assert "note: start it: streamgauge up" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["down", "down --purge --yes"])
def test_down_does_not_say_stopped_when_nothing_ran(line: str, capsys: Capture) -> None:
    from streamgauge.deploy.stack.layout import prepare_home
    from streamgauge.deploy.stack.state import StackState, write_state

    home = Path(os.environ["STREAMGAUGE_HOME"])
    prepare_home(home)
    write_state(home, StackState(state="down"))
    assert main(line.split()) == 0
    said = capsys.readouterr().err
    assert f"nothing runs on {home}" in said
    assert "stopped" not in said.splitlines()


def test_traffic_that_cannot_be_is_told_in_words_of_the_command_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", "127.0.0.1:1")
    assert main(["events", "simulate", "--forever"]) == 2
    assert "hint: add --live" in capsys.readouterr().err
    assert main(["events", "simulate", "--incidents", "silence,nosuch"]) == 2
    said = capsys.readouterr().err
    assert "'nosuch' is unknown" in said
    assert "Kind" not in said


def test_help_names_the_incidents_and_what_may_be_repeated(capsys: Capture) -> None:
    assert ", ".join(ALL_KINDS) == INCIDENTS
    for line in ("demo", "events replay", "events simulate"):
        main([*line.split(), "--help"])
        out = capsys.readouterr().out
        assert all(kind in out for kind in ALL_KINDS)
    for line in ("up", "alerts list", "alerts fire-test"):
        main([*line.split(), "--help"])
        assert "May be repeated" in " ".join(capsys.readouterr().out.split())


def test_a_log_is_not_told_that_nothing_was_sent_yet(capsys: Capture) -> None:
    meter = _Meter()
    meter(Progress(0, 19_366, 0, None, 0.0, 0.0, 0.0))
    assert capsys.readouterr().err == ""
    meter._next = 0.0  # ten seconds later
    meter(Progress(500, 19_366, 0, None, 50.0, 10.0, 0.0))
    assert capsys.readouterr().err == "500 of 19366 events, 50/s\n"


@pytest.mark.clickhouse
def test_a_store_in_the_foreground_says_where_it_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamgauge.deploy", "run", "store", "--home", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
        finally:
            process.terminate()
    assert said.startswith("streamgauge store: http://127.0.0.1:")
    assert f"passwords in {tmp_path / 'store'}" in said

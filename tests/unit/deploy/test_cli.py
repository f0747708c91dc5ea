"""The command line's manners: exit codes, one-line errors, streams, help, no heavy imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.cli import main
from streamgauge.deploy.cli.base import harmless, table
from streamgauge.deploy.cli.events import _wanted
from streamgauge.deploy.cli.numbers import DURATION
from streamgauge.deploy.cli.root import COMMANDS
from streamgauge.deploy.cli.stack import describe
from streamgauge.deploy.ports import free_ports, require_free
from streamgauge.deploy.sql.examples import examples
from streamgauge.deploy.stack.state import StackState


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("STREAMGAUGE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STREAMGAUGE_HOME", str(tmp_path / "home"))


def one_line_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize("text", ["nand", "infd", "-5m", "1e3s", "90", "h"])
def test_a_duration_is_written_as_in_rule_files(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "simulate", "--duration", text]) == 2
    assert '"90s", "5m"' in (said := capsys.readouterr().err) or "has no unit" in said
    assert DURATION.convert("90m", None, None) == 5400


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command_opens_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Example:\n  ")
    assert f"streamgauge {name}" in out.split("Usage:")[0]


def test_help_lists_every_command_and_loads_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Example:")
    for name in COMMANDS:
        assert f"\n  {name}" in out
    script = (
        "import sys; from streamgauge.deploy.cli import main; main(['--help'])\n"
        "bad = {'pydantic', 'confluent_kafka', 'faust', 'numpy', 'pyarrow', 'chdb', 'scipy'}\n"
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_kafka_known_is_exit_2_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "check"]) == 2
    assert "streamgauge up" in one_line_error(capsys)


def test_an_absent_kafka_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", address)
    assert main(["events", "tail", "--limit", "1"]) == 3
    assert address in one_line_error(capsys)


def test_an_absent_store_is_exit_3(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("STREAMGAUGE_STORE_URL", url)
    assert main(["sql", "SELECT 1"]) == 3
    assert url in one_line_error(capsys)


@pytest.mark.parametrize(
    "args",
    [["nonsense"], ["topics", "nonsense"], ["topics", "create", "--partitions", "many"], ["run"]],
)
def test_wrong_usage_is_exit_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert "--help" in one_line_error(capsys)


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "check", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_schema_is_exit_2_and_a_known_one_is_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["contracts", "show", "no.such"]) == 2
    assert "llm.request" in one_line_error(capsys)
    assert main(["contracts", "show", "llm.request"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"].endswith("llm.request")


def test_schemas_are_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contracts", "export", str(tmp_path / "out")]) == 0
    written = capsys.readouterr().out.split()
    assert str(tmp_path / "out" / "event.json") in written


def test_a_rule_with_an_unknown_field_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "mine.yml"
    rules.write_text("rules:\n  - name: Broken\n    kind: threshold\n    no_such_field: 1\n")
    assert main(["rules", "check", str(rules)]) == 1
    out = capsys.readouterr().out
    assert "mine.yml:4" in out
    assert "no_such_field" in out
    assert main(["up", "--rules", str(rules)]) == 2
    assert "no_such_field" in one_line_error(capsys)
    assert main(["rules", "check", str(tmp_path / "absent.yml")]) == 2


def test_a_taken_port_stops_up_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "streamgauge.deploy", "up", "--kafka-port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert f"port {port} for Kafka is taken" in done.stderr
    assert "--kafka-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_commands_that_up_prints_name_the_data_folder_unless_it_is_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "streamgauge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    state = StackState(home=str(tmp_path / "my data"), bootstrap="127.0.0.1:9092")
    text = describe(state)
    for command in ("sql '", "alerts tail", "down"):
        assert f"streamgauge --home '{tmp_path}/my data' {command}" in text
    usual = describe(replace(state, home=str(tmp_path / "home")))
    assert "  streamgauge alerts tail" in usual


def test_the_commands_that_up_prints_can_be_typed_without_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    program = tmp_path / "bin" / "streamgauge"
    program.parent.mkdir()
    program.touch()
    monkeypatch.setattr(sys, "argv", [str(program), "up"])
    assert f"  {program} alerts tail" in describe(StackState(home=str(tmp_path / "home")))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "__main__.py"), "up"])
    assert f"  {sys.executable} -m streamgauge.deploy alerts tail" in describe(
        StackState(home=str(tmp_path / "home"))
    )


def test_purge_shows_its_plan_and_needs_a_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from streamgauge.deploy.stack.layout import prepare_home

    home = tmp_path / "home"
    prepare_home(home)
    assert main(["down", "--purge"]) == 2
    err = capsys.readouterr().err
    assert "would stop the stack and remove" in err
    assert "add --yes" in err
    assert home.exists()
    assert main(["down", "--purge", "--yes"]) == 0
    assert not home.exists()


def test_purge_names_and_removes_runs_of_the_demo_but_not_one_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from streamgauge.deploy.stack.layout import prepare_home, take_lock

    runs = tmp_path / "home-demo"
    for name in ("run-1", "run-2"):
        prepare_home(runs / name)
    (runs / "notes.txt").write_text("mine")
    assert main(["down", "--purge"]) == 2
    err = capsys.readouterr().err
    assert str(runs / "run-1") in err
    assert str(runs / "run-2") in err
    with take_lock(runs / "run-2") or pytest.fail("locked"):
        assert main(["down", "--purge", "--yes"]) == 0
        assert sorted(p.name for p in runs.iterdir()) == ["notes.txt", "run-2"]
    assert f"removed the demo run {runs / 'run-1'}" in capsys.readouterr().err
    (runs / "notes.txt").unlink()
    assert main(["down", "--purge", "--yes"]) == 0
    assert not runs.exists()


def test_status_and_doctor_work_before_anything_was_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["status"]) == 1
    assert "never started" in capsys.readouterr().out
    assert main(["status", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "never started"
    assert main(["doctor", "--json"]) == 0
    found = {f["what"]: f for f in json.loads(capsys.readouterr().out)}
    assert found["stack"]["level"] == "warn"
    assert found["stack"]["mend"] == "streamgauge up"
    assert found["python"]["level"] == "ok"


def test_examples_are_statements_by_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--examples"]) == 0
    assert capsys.readouterr().out.count("SELECT") >= len(examples()) >= 9
    assert main(["sql", "--examples", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["sql"] for each in found] == [each.sql for each in examples()]
    assert main(["sql", "--examples", "--csv"]) == 2
    one_line_error(capsys)


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Example:\n  streamgauge alerts")
    assert "\nCommands:\n" in err


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be_is_one_clear_line(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["up", "--kafka-port", port], ["up", "--store-port", port]):
        assert main(arguments) == 2
        said = one_line_error(capsys)
        assert arguments[1] in said
        assert port in said
    with pytest.raises(Misconfigured, match="no such port"):
        require_free(int(port), what="Kafka", option="--port")


def test_an_empty_statement_and_two_formats_are_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sql", "--csv", "--json", "SELECT 1"]) == 2
    one_line_error(capsys)
    assert main(["sql", "  ;"]) == 2
    one_line_error(capsys)


def test_a_comment_in_front_of_a_statement_is_no_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGAUGE_STORE_URL", "http://127.0.0.1:1")
    assert main(["sql", "-- which errors?\nSELECT 1"]) == 3  # understood: only nobody answers
    assert "does not answer" in one_line_error(capsys)


def test_tables_align_numbers_to_the_right() -> None:
    assert table(["app", "n"], [("a", 5), ("search", 1234), ("b", None)]) == (
        "app        n\na          5\nsearch  1234\nb          -"
    )
    assert table(["app"], []) == "app"
    rows = table(["usd"], [(8024.4602097,), (0.14052634,), (2.0,)]).splitlines()[1:]
    assert [row.strip() for row in rows] == ["8024.46", "0.140526", "2"]
    assert table(["t"], [("x" * 500,)]).splitlines()[1].endswith("xxx...")


def test_a_gone_reader_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m streamgauge.deploy contracts show event | head -c 10",
        shell=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_without_the_server_packages_one_line_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['click'] = None\n"
        "from streamgauge.deploy.cli import main; sys.exit(main(['status']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "streamgauge[server]" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "events replay azure --speed nan", "events replay azure --speed -1",
        "events replay azure --speed inf", "events simulate --rate 0", "events tail --limit 0",
        "alerts tail --timeout -3", "alerts fire-test --timeout nan", "demo --speed nan",
        "demo --seed x", "up --lateness nan", "topics check --partitions 0",
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_names_its_option(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    option = next(word for word in line.split() if word.startswith("--"))
    assert option in one_line_error(capsys)


@pytest.mark.parametrize("line", ["alerts list", "alerts tail"])
def test_a_broker_that_is_away_is_one_clear_line(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", address)
    assert main(line.split()) == 3
    said = one_line_error(capsys)
    assert address in said
    assert "hint: check the address" in said


@pytest.mark.parametrize("duration", ["1e400h", "nans", "infs", "1e300h", "-1s", "0s"])
def test_a_duration_that_cannot_be_is_wrong_usage(
    duration: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", "127.0.0.1:1")
    assert main(["events", "simulate", "--duration", duration]) == 2
    assert "bug" not in one_line_error(capsys)


@pytest.mark.parametrize(
    "line", ['"duration_ms":NaN', '"x":1e400', '"x":' + "[" * 3_000 + "]" * 3_000]
)
def test_a_file_with_an_event_that_cannot_be_replayed_is_refused_before_anything_is_sent(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.ndjson"
    good = '{"v":1,"id":"a","type":"t","ts":1}'
    own.write_text(f"{good}\n{good[:-1]},{line}}}\n")
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", "127.0.0.1:1")
    assert main(["events", "replay", str(own)]) == 1
    error = one_line_error(capsys)
    assert f"{own}:2: " in error
    assert "bug" not in error


def test_following_one_app_passes_over_what_is_no_event() -> None:
    values = [b"[" * 5_000, b"\xff", b"[]", b'{"app":"b"}', b'{"app":"a"}']
    assert [v for v in values if _wanted(v, "a", None)] == values[-1:]


@pytest.mark.parametrize("content", [b"\x7fELF\x02\x01\xb0\xff", b"[" * 5_000])
def test_texts_that_are_none_are_refused_by_name(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    texts = tmp_path / "texts"
    texts.write_bytes(content)
    monkeypatch.setenv("STREAMGAUGE_BOOTSTRAP", "127.0.0.1:1")
    assert main(["events", "replay", "azure", "--texts", str(texts)]) == 1
    error = one_line_error(capsys)
    assert f"{texts}: " in error
    assert "bug" not in error


def test_what_others_wrote_does_nothing_to_the_terminal() -> None:
    assert "\x1b" not in harmless(table(["app"], [["\x1b[2J\x9b31m\u202eevil\r"]]))
    assert harmless("Gr\u00fc\u00dfe \u4f60\u597d\t1\n2") == "Gr\u00fc\u00dfe \u4f60\u597d\t1\n2"

"""What apps may rely on: names, an import without weight, functions that need no `init`, docs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import streamgauge.producers as producers
from streamgauge.producers import _settings
from streamgauge.producers._version import VERSION
from streamgauge.producers.testing import recording

ROOT = Path(__file__).parents[3]
SERVER_PACKAGES = (
    "pydantic", "msgspec", "orjson", "pyarrow", "numpy", "faust", "aiokafka", "clickhouse_connect",
    "chdb", "click", "rich", "yaml", "aiohttp", "confluent_kafka",
)  # fmt: skip


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", **env},
    )  # fmt: skip


def test_all_public_names_are_sorted_and_exist() -> None:
    assert producers.__all__ == sorted(producers.__all__, key=lambda n: (n[0].islower(), n))
    assert all(hasattr(producers, name) for name in producers.__all__)


def test_importing_the_client_loads_no_other_package() -> None:
    run = python(
        "import sys, streamgauge.producers, streamgauge.producers.testing;"
        f"print([m for m in {SERVER_PACKAGES} if m in sys.modules])"
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


def test_starting_the_client_loads_only_confluent_kafka() -> None:
    run = python(
        "import sys; from streamgauge.producers import init\n"
        "init(app='a', bootstrap='localhost:1')\n"
        f"print([m for m in {SERVER_PACKAGES} if m in sys.modules])"
    )
    assert run.stdout.strip() == "['confluent_kafka']", run.stdout + run.stderr


def test_before_init_every_function_does_nothing() -> None:
    run = python(
        "from streamgauge.producers import *\n"
        "with track(model='m') as call: call.set(output_tokens=1)\n"
        "print([log(model='m', duration_ms=1), feedback('x', name='n', value=1), flush(), close(),"
        " stats().accepted, stats().enabled])"
    )
    assert run.stdout.strip() == "['', '', 0, 0, 0, False]", run.stderr


def test_init_replaces_the_client_and_the_functions_use_it() -> None:
    with recording() as sent:
        event_id = producers.log(model="m", duration_ms=1)
        producers.feedback(event_id, name="thumbs", value=1)
        producers.prompt("ask", "template")
        with producers.track(model="n"):
            pass
        assert producers.flush() == 0
        assert producers.stats().sent == 4
        assert [e["type"] for e in sent.events] == [
            "llm.request", "llm.feedback", "llm.prompt", "llm.request",
        ]  # fmt: skip
    assert not producers.stats().enabled


def test_a_dry_run_prints_what_would_leave_and_nothing_on_stdout() -> None:
    run = python(
        "from streamgauge.producers import init, log\n"
        "init(app='shop')\nlog(model='m', duration_ms=1, input_text='I am a@example.com')",
        STREAMGAUGE_DRY_RUN="1",
    )
    assert run.stdout == ""
    first, *events = run.stderr.splitlines()
    assert first == "streamgauge dry run: nothing is sent; to llm.events.v1 would go:"
    assert [json.loads(e)["type"] for e in events] == ["llm.request", "client.stats"]
    assert json.loads(events[0])["input_text"] == "I am [EMAIL]"


def test_the_off_switch_makes_init_without_settings_harmless() -> None:
    run = python(
        "from streamgauge.producers import init, log; init(); print(log(model='m') == '')",
        STREAMGAUGE_DISABLED="1",
    )
    assert run.stdout.strip() == "True", run.stderr


def test_the_example_runs() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "embed.py")],
        capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert run.stdout == "logged 2, printed 2, waiting 0\n", run.stderr
    assert "jane.roe@example.com" not in run.stderr
    assert "[EMAIL]" in run.stderr


def test_the_version_that_events_carry_is_the_packages() -> None:
    assert metadata.version("streamgauge") == VERSION


def test_every_environment_variable_and_option_is_in_the_readme() -> None:
    readme = (ROOT / "producers" / "README.md").read_text()
    source = Path(_settings.__file__).read_text()
    variables = set(re.findall(r'"(STREAMGAUGE_[A-Z_]+)"', source))
    variables |= {f"STREAMGAUGE_{name.upper()}" for name in _settings.LABELS}
    assert len(variables) > 15
    for name in (*variables, "STREAMGAUGE_BOOTSTRAP", "STREAMGAUGE_KAFKA_"):
        assert f"`{name}" in readme, name
    for option in _settings.ClientOptions.__annotations__:
        assert f"`{option}`" in readme, option


def test_every_drop_reason_is_in_the_readme() -> None:
    readme = (ROOT / "producers" / "README.md").read_text()
    for reason in producers.Drop:
        assert f"`{reason}`" in readme

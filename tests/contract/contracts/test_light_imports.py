"""What the embedded client loads stays light: tried in a fresh interpreter, module by module."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = [
    "bounds", "clock", "cloudevents", "dead_letters", "errors", "histogram", "kafka", "reasons",
    "topics", "wire_json",
]  # fmt: skip


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = {name.partition(".")[0] for name in run.stdout.split()}
    return {name for name in names if not name.startswith("_sysconfigdata")}


@pytest.mark.parametrize("module", LIGHT)
def test_light_module_loads_nothing_outside_the_standard_library(module: str) -> None:
    extra = loaded_by(f"import streamgauge.contracts.{module}") - loaded_by("pass")
    assert extra - sys.stdlib_module_names == {"streamgauge"}


def test_the_package_itself_loads_no_submodule() -> None:
    code = "import sys, streamgauge.contracts; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours = {name for name in run.stdout.split() if name.startswith("streamgauge")}
    assert ours == {"streamgauge", "streamgauge.contracts"}


@pytest.mark.parametrize("module", ["events", "alerts", "schemas", "reference"])
def test_models_need_the_base_install_only(module: str) -> None:
    """The base install is confluent-kafka and pydantic with what it brings."""
    extra = loaded_by(f"import streamgauge.contracts.{module}") - loaded_by("pass")
    brought = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions"}
    brought.add("typing_inspection")
    assert extra - sys.stdlib_module_names - brought == {"streamgauge"}

"""What an app installs: the client and the subscriber, and nothing of the server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SERVER_PACKAGES = (
    "aiohttp", "aiokafka", "chdb", "click", "clickhouse_connect", "faust", "genai_prices", "jinja2",
    "mode", "msgspec", "numpy", "platformdirs", "plotext", "prometheus_client", "psutil", "pyarrow",
    "rich", "scipy", "yaml",
)  # fmt: skip

LOADED = """
import json, sys
import streamgauge.producers
after_client = sorted(sys.modules)
from streamgauge.alerting import AlertSubscriber
print(json.dumps([after_client, sorted(sys.modules)]))
"""

REFUSE_SERVER = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {SERVER_PACKAGES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""

RUN_STATUS = "from streamgauge.deploy.cli import main; sys.exit(main(['status']))"


def loaded(python: str, prefix: str = "") -> tuple[set[str], set[str]]:
    """Top-level packages after importing the client, and then the subscriber."""
    done = subprocess.run(
        [python, "-c", prefix + LOADED], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    client, both = json.loads(done.stdout)
    return {m.split(".")[0] for m in client}, {m.split(".")[0] for m in both}


def test_client_and_subscriber_load_no_server_package() -> None:
    client, both = loaded(sys.executable, REFUSE_SERVER)
    assert not both & set(SERVER_PACKAGES)
    assert "pydantic" not in client


def test_command_line_without_the_server_packages_says_so_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSE_SERVER + RUN_STATUS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "streamgauge[server]" in done.stderr


@pytest.mark.full
def test_fresh_environment_with_the_base_requirements_is_enough(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True, timeout=120)
    python = str(tmp_path / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-q"]
    subprocess.run(
        [*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "base.txt")], check=True
    )
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", str(ROOT)], check=True)
    client, both = loaded(python)
    assert not both & set(SERVER_PACKAGES)
    assert "pydantic" not in client


def test_no_init_file_hides_the_other_parts_of_the_namespace() -> None:
    assert not list(ROOT.glob("*/streamgauge/__init__.py"))


def test_requirement_files_name_no_index() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "index" not in text.lower().split("--hash")[0]

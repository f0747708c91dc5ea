"""Client tests see no STREAMGAUGE_* variable of the machine they run on."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STREAMGAUGE_") and not name.startswith("STREAMGAUGE_TEST_"):
            monkeypatch.delenv(name)

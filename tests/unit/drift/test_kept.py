"""Histograms must be kept as long as drift looks back."""

from __future__ import annotations

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.retention import Retention
from streamgauge.stream_processors.drift.main import require_kept
from streamgauge.stream_processors.drift.settings import DriftSettings


def kept(days: str) -> Retention:
    return Retention.from_env({"STREAMGAUGE_KEEP_HISTOGRAMS_DAYS": days})


def test_drift_that_looks_further_back_than_histograms_are_kept_is_misconfigured() -> None:
    # hour windows: the same hour of 28 days, each carried up to 28 days
    require_kept(DriftSettings(), kept("56"))
    with pytest.raises(Misconfigured, match="is 55, drift looks back 56 days"):
        require_kept(DriftSettings(), kept("55"))
    require_kept(DriftSettings(windows_s=(300,)), kept("2"))

"""How often the demo asks while it waits for the last windows."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.contracts.clock import ManualClock
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.deploy.demo.run import SETTLE_TIMEOUT_S, Options, _Demo


def test_demo_asks_kafka_a_few_times_a_second_while_it_waits(tmp_path: Path) -> None:
    demo = _Demo(Options(home=tmp_path), ManualClock(0))
    asked = 0

    def never() -> bool:
        nonlocal asked
        asked += 1
        assert asked <= SETTLE_TIMEOUT_S * 10, "asked without a pause"
        return False

    with pytest.raises(StreamgaugeError, match="not caught up within 60 s"):
        demo._wait(never, "not caught up")
    assert asked >= SETTLE_TIMEOUT_S

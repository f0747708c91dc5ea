"""Shared settings and logs: what is wrong is named, what is logged is one JSON object a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import urllib3

from streamgauge.contracts.environment import clock_mode, lateness_s, number
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.logs import set_up_logging


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("text", ["x", "-1", "nan", "inf", "86401"])
def test_a_number_out_of_bounds_is_refused_by_the_name_of_its_variable(text: str) -> None:
    with pytest.raises(Misconfigured, match="STREAMGAUGE_LATENESS_S"):
        lateness_s({"STREAMGAUGE_LATENESS_S": text})


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert number({"N": ""}, "N", 7, 0, 9, int) == 7
    assert clock_mode({"STREAMGAUGE_CLOCK_MODE": ""}) == "live"
    assert lateness_s({}) == 5.0


def test_a_clock_mode_that_is_neither_is_refused() -> None:
    with pytest.raises(Misconfigured, match="live or replay"):
        clock_mode({"STREAMGAUGE_CLOCK_MODE": "fast"})
    assert clock_mode({"STREAMGAUGE_CLOCK_MODE": "replay"}) == "replay"


def test_a_log_line_is_one_json_object_with_its_facts(
    root_logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("alerts", {"STREAMGAUGE_LOG_LEVEL": "warning"}, noisy=["x.noisy"])
    log = logging.getLogger("x.y")
    log.info("not_shown")
    logging.getLogger("x.noisy").info("not_shown")
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("it_failed", extra={"rows": 3, "what": object})
    (line,) = capfd.readouterr().err.splitlines()
    fields = json.loads(line)
    assert fields["event"] == "it_failed"
    assert fields["level"] == "error"
    assert fields["service"] == "alerts"
    assert fields["rows"] == 3
    assert fields["error"].endswith("ValueError: a\nb")


def test_attempts_to_connect_are_left_to_our_own_errors(
    root_logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("alerts", {})
    pool = urllib3.PoolManager(retries=urllib3.Retry(total=1, backoff_factor=0))
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        pool.request("GET", "http://127.0.0.1:1/")
    assert capfd.readouterr().err == ""


def test_a_log_level_that_is_none_is_refused(root_logger: logging.Logger) -> None:
    with pytest.raises(Misconfigured, match="STREAMGAUGE_LOG_LEVEL"):
        set_up_logging("alerts", {"STREAMGAUGE_LOG_LEVEL": "loud"})

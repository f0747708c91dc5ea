"""`streamgauge up` and a replay at speed 60, asked for in SQL, equal an independent recomputation.

The script (tests/independent/recompute.py) shares no code with streamgauge: once it reads the
topic's bytes, once the trace file and the seed. The commands are those that a person types.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamgauge.producers.traffic import shipped_trace
from streamgauge.producers.traffic.traces import Format
from tests.independent import recompute
from tests.support.shell import Shell
from tests.support.waiting import until

SEED = 3

TOTALS = """
SELECT sum(requests) AS n, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out
FROM {view}
"""

MINUTES = """
SELECT toUnixTimestamp(t) * 1000 AS minute_ms, sum(requests) AS n,
    streamgauge_quantile(sumMap(duration_ms_hist), 0.95) AS duration_p95,
    streamgauge_quantile(sumMap(output_tokens_hist), 0.95) AS tokens_p95
FROM v_minute GROUP BY t
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path / "home")
    yield made
    made("down", code=None)


def ask(shell: Shell, sql: str) -> list[dict[str, str]]:
    """Rows of `streamgauge sql --csv`."""
    return list(csv.DictReader(shell("sql", "--csv", sql).stdout.splitlines()))


def totals(shell: Shell, view: str) -> tuple[int, ...]:
    """Requests, tokens in, tokens out of a view."""
    return tuple(int(v) for v in ask(shell, TOTALS.format(view=view))[0].values())


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.parametrize(
    ("trace", "sums"),
    [
        # Sums of the published files: `zcat FILE | awk` over the token columns.
        (Format.AZURE, (19_366, 22_361_870, 4_088_665)),
        (Format.MOONCAKE, (12_031, 144_793_823, 4_122_048)),
    ],
)
def test_views_equal_an_independent_recomputation(
    shell: Shell, trace: Format, sums: tuple[int, int, int]
) -> None:
    up = shell.json("up")
    report = shell.json("events", "replay", str(trace), "--speed", "60", "--seed", str(SEED))
    assert (report["requests"], report["input_tokens"], report["output_tokens"]) == sums
    until(lambda: totals(shell, "v_minute")[0] >= sums[0], "all requests stored", timeout_s=60)
    for view in ("v_10s", "v_minute", "v_hour"):
        assert totals(shell, view) == sums
    raw = ask(shell, "SELECT count() AS n, uniqExact(id) AS ids FROM v_requests")[0]
    assert (int(raw["n"]), int(raw["ids"])) == (sums[0], sums[0])
    minutes = {int(row["minute_ms"]): row for row in ask(shell, MINUTES)}
    for figures in (
        recompute.from_topic(up["bootstrap"], report["topic"], report["producer_id"]),
        recompute.from_file(str(trace), shipped_trace(trace), SEED, report["shift_ms"]),
    ):
        assert (figures.requests, figures.input_tokens, figures.output_tokens) == sums
        assert (figures.duplicates, figures.seq_gaps) == (0, 0)
        assert set(figures.minutes) == set(minutes)
        for minute_ms, expected in figures.minutes.items():
            got = minutes[minute_ms]
            assert int(got["n"]) == expected.requests
            assert float(got["duration_p95"]) == pytest.approx(expected.duration_ms_p95, rel=0.01)
            assert float(got["tokens_p95"]) == pytest.approx(expected.output_tokens_p95, rel=0.01)

"""A replayed trace, asked for in SQL, equals what an independent script makes of the same bytes.

The script (tests/independent/recompute.py) shares no code with streamgauge: once it reads the
topic's bytes, once the trace file and the seed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.producers.traffic import replay, shipped_trace
from streamgauge.producers.traffic.traces import Format
from streamgauge.storage.client import StoreClient
from tests.independent import recompute
from tests.support.stack import running_stack, store_client
from tests.support.waiting import until

SEED = 3

TOTALS = """
SELECT sum(requests) AS n, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out
FROM v_minute
"""

MINUTES = """
SELECT toUnixTimestamp(t) * 1000 AS minute_ms, sum(requests) AS n,
    streamgauge_quantile(sumMap(duration_ms_hist), 0.95) AS duration_p95,
    streamgauge_quantile(sumMap(output_tokens_hist), 0.95) AS tokens_p95
FROM v_minute GROUP BY t
"""


def stored(client: StoreClient) -> int:
    return int(client.query("SELECT sum(requests) AS n FROM v_minute", {})[0]["n"] or 0)


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.parametrize(
    ("trace", "requests", "input_tokens", "output_tokens"),
    [
        # Sums of the published files: `zcat FILE | awk` over the token columns.
        (Format.AZURE, 19_366, 22_361_870, 4_088_665),
        (Format.MOONCAKE, 12_031, 144_793_823, 4_122_048),
    ],
)
def test_views_equal_an_independent_recomputation(
    tmp_path: Path, trace: Format, requests: int, input_tokens: int, output_tokens: int
) -> None:
    with running_stack(tmp_path / "home", workers=("metrics",)) as stack:
        report = replay(str(trace), stack.kafka, speed=0, seed=SEED)
        assert report.ok
        with store_client(stack) as client:
            until(lambda: stored(client) >= requests, "all requests stored", timeout_s=90)
            totals = client.query(TOTALS, {})[0]
            minutes = {int(row["minute_ms"]): row for row in client.query(MINUTES, {})}
            raw = client.query("SELECT count() AS n, uniqExact(id) AS ids FROM v_requests", {})[0]
        topic = recompute.from_topic(stack.kafka.bootstrap, report.topic, report.producer_id)
        file = recompute.from_file(str(trace), shipped_trace(trace), SEED, report.shift_ms)
    assert (totals["n"], totals["tokens_in"], totals["tokens_out"]) == (
        requests, input_tokens, output_tokens,
    )  # fmt: skip
    assert (raw["n"], raw["ids"]) == (requests, requests)
    for figures in (topic, file):
        assert (figures.requests, figures.input_tokens, figures.output_tokens) == (
            requests, input_tokens, output_tokens,
        )  # fmt: skip
        assert set(figures.minutes) == set(minutes)
        for minute_ms, expected in figures.minutes.items():
            got = minutes[minute_ms]
            assert got["n"] == expected.requests
            assert got["duration_p95"] == pytest.approx(expected.duration_ms_p95, rel=0.01)
            assert got["tokens_p95"] == pytest.approx(expected.output_tokens_p95, rel=0.01)

"""A replayed trace, asked for in SQL, equals what an independent script makes of the same bytes.

The script (tests/independent/recompute.py) shares no code with streamgauge: once it reads the
topic's bytes, once the trace file and the seed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.independent import recompute
from tests.support.stack import running_stack, store_client, wait_for

from streamgauge.producers.traffic import replay, shipped_trace
from streamgauge.producers.traffic.traces import Format
from streamgauge.storage.client import StoreClient

SEED = 3

TOTALS = """
SELECT sum(requests) AS n, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out
FROM v_minute
"""

# Nearest rank over the merged buckets: the 95th percentile of a minute over all apps and models.
P95 = """2 * pow(101 / 99, arrayFirst((k, c) -> c >= ceil(0.95 * n), {h}.1, arrayCumSum({h}.2)))
        / (101 / 99 + 1)"""
MINUTES = f"""
SELECT toUnixTimestamp(t) * 1000 AS minute_ms, n,
    {P95.format(h="duration")} AS duration_p95, {P95.format(h="tokens")} AS tokens_p95
FROM (
    SELECT t, sum(requests) AS n,
        (mapKeys(sumMap(duration_ms_hist)), mapValues(sumMap(duration_ms_hist))) AS duration,
        (mapKeys(sumMap(output_tokens_hist)), mapValues(sumMap(output_tokens_hist))) AS tokens
    FROM v_minute GROUP BY t
)
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
            wait_for("all requests stored", lambda: stored(client) >= requests, timeout_s=90)
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

"""`streamgauge up` and a replay, asked for in SQL, equal an independent recomputation.

The script (tests/independent/recompute.py) shares no code with streamgauge: once it reads the
topic's bytes, once the trace file and the seed. The commands are those that a person types.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamgauge.producers.traffic import shipped_trace
from streamgauge.producers.traffic.traces import Format
from tests.independent import recompute
from tests.support.shell import Shell
from tests.support.waiting import until

SEED = 3
SHARED = Path(__file__).resolve().parents[4] / "shared"
ALIBABA = SHARED / "data/alibaba_genai_lora_requests_first_half.csv.gz"
MAY_BE_ABSENT = not SHARED.exists() or "CI" not in os.environ
STATUS = {"SUCCEED": "ok", "FAILED": "error", "PENDING": "cancelled"}

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
@pytest.mark.parametrize("speed", ["240", pytest.param("60", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    ("trace", "sums"),
    [
        # Sums of the published files: `zcat FILE | awk` over the token columns.
        (Format.AZURE, (19_366, 22_361_870, 4_088_665)),
        (Format.MOONCAKE, (12_031, 144_793_823, 4_122_048)),
    ],
)
def test_views_equal_an_independent_recomputation(
    shell: Shell, trace: Format, sums: tuple[int, int, int], speed: str
) -> None:
    up = shell.json("up")
    report = shell.json("events", "replay", str(trace), "--speed", speed, "--seed", str(SEED))
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


RUN_TIMES = """
SELECT tenant, model, status, count() AS n, uniqExact(id) AS ids, sum(duration_ms) AS run_ms
FROM v_requests GROUP BY tenant, model, status
"""

TIMES_IN_WINDOWS = """
SELECT resolution, tenant, sum(duration_us_sum) AS run_us
FROM windows WHERE kind = 0 GROUP BY resolution, tenant
"""

IN_WINDOWS = """
SELECT tenant, sum(requests) AS n, sum(errors) AS errors, sum(cancelled) AS cancelled
FROM {view} GROUP BY tenant
"""


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.skipif(
    not ALIBABA.exists() and MAY_BE_ABSENT, reason="the Alibaba trace may not be shipped"
)
def test_alibaba_unpaced_keeps_counts_run_times_and_status(shell: Shell) -> None:
    """A recording with run times and status of its own, as fast as it can be sent."""
    with gzip.open(ALIBABA, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    n, run_s = Counter[tuple[str, str, str]](), defaultdict[tuple[str, str, str], float](float)
    for row in rows:
        model = row["checkpoint_model_version_id"] or "unknown"
        key = (row["groupId"], model, STATUS[row["predict_status"]])
        n[key] += 1
        run_s[key] += float(row["exec_time_seconds"])
    shell.json("up")
    report = shell.json("events", "replay", str(ALIBABA), "--speed", "0", "--seed", str(SEED))
    assert report["requests"] == len(rows)

    def windows(view: str) -> dict[str, tuple[int, int, int]]:
        return {
            row["tenant"]: (int(row["n"]), int(row["errors"]), int(row["cancelled"]))
            for row in ask(shell, IN_WINDOWS.format(view=view))
        }

    until(lambda: sum(w[0] for w in windows("v_hour").values()) >= len(rows), "all stored")
    found = {(r["tenant"], r["model"], r["status"]): r for r in ask(shell, RUN_TIMES)}
    assert {key: (int(r["n"]), int(r["ids"])) for key, r in found.items()} == {
        key: (count, count) for key, count in n.items()
    }
    assert {key: float(r["run_ms"]) for key, r in found.items()} == {
        key: seconds * 1000 for key, seconds in run_s.items()
    }
    run_us = Counter[str]()
    for (tenant, _, _), seconds in run_s.items():
        run_us[tenant] += round(seconds * 1e6)
    by_tenant = {
        tenant: tuple(
            sum(count for key, count in n.items() if key[0] == tenant and key[2] in wanted)
            for wanted in (STATUS.values(), ("error",), ("cancelled",))
        )
        for tenant in {key[0] for key in n}
    }
    for view in ("v_10s", "v_minute", "v_hour"):
        own = windows(view)
        others = own.pop("__other__")  # there are more tenants than windows name
        assert len(own) == 1_000
        assert own == {tenant: by_tenant[tenant] for tenant in own}
        unnamed = by_tenant.keys() - own.keys()
        rest = [by_tenant[tenant] for tenant in unnamed]
        assert others == tuple(map(sum, zip(*rest, strict=True)))
    times = {
        (int(r["resolution"]), r["tenant"]): int(r["run_us"]) for r in ask(shell, TIMES_IN_WINDOWS)
    }
    named = {tenant: run_us[tenant] for tenant in own}
    named["__other__"] = sum(run_us[tenant] for tenant in unnamed)
    assert times == {
        (resolution, tenant): us for resolution in (10, 60, 3600) for tenant, us in named.items()
    }

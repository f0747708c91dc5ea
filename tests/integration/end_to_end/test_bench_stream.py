"""The parts of bench-stream that need no network: counts are checked, gaps are told."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.environments import NotInstalled, environment
from benchmarks.report import Figure
from benchmarks.services import services
from benchmarks.stream.gil import beside_builds, sleeps_ms
from benchmarks.stream.inputs import load
from benchmarks.stream.ways import clickhouse, into_store, together

N = 8_000


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
def test_two_workers_share_the_events_and_clickhouse_counts_the_same_ones() -> None:
    with services() as on:
        inputs = load(on, N)
        assert (inputs.few, inputs.windows) == (N // 4, 20)  # 4 s of 20 apps
        assert clickhouse(on, inputs)["events"] == N
        two = into_store(on, "ours", 2 * N, on.partitions // 2, workers=2)
        assert two["events"] == 2 * N
        inputs.lines.write_bytes(inputs.lines.read_bytes().partition(b"\n")[2])
        with pytest.raises(RuntimeError, match=f"expected {{'events': {N}}}"):
            clickhouse(on, inputs)


def test_processes_side_by_side_count_as_one_from_the_first_begin_to_the_last_end() -> None:
    one = {"events": 600, "began_s": 10.0, "wall_s": 2.0, "cpu_s": 1.0, "rss_mb": 200.0}
    other = {"events": 400, "began_s": 11.0, "wall_s": 4.0, "cpu_s": 3.0, "rss_mb": 100.0}
    run = together([one, other])
    assert (run["wall_s"], run["wall"], run["core"]) == (5.0, 200.0, 250.0)
    assert (run["events"], run["rss_mb"]) == (1000, 200.0)


def test_a_thread_that_keeps_the_gil_is_told_by_the_sleep_of_another() -> None:
    keeping = ctypes.PyDLL(None)  # its functions are called without letting the GIL go
    assert max(sleeps_ms(lambda: keeping.usleep(50_000))) >= 50
    p99, most = (figure.value for figure in beside_builds(1).values())
    assert 1 <= p99 <= most


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGAUGE_BENCH_PEERS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NotInstalled, match=r"could not install quixstreams==.* offline\?"):
        environment("quix")
    assert not (tmp_path / "quix" / ".ready").exists()


@pytest.mark.parametrize(("missing", "status"), [((), 0), (("ratio to another",), 1)])
def test_a_missing_figure_fails_and_keeps_no_result(
    missing: tuple[str, ...],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    figures = {"speed": Figure(2.0, "x", bar=1.0)}
    assert report.close("try", figures, missing=missing) == status
    said = capsys.readouterr()
    assert json.loads(said.out)["figures"]["speed"]["value"] == 2.0
    assert [name for name in missing if f"{name} " in said.err] == list(missing)
    assert said.err.count("MISSING") == len(missing)
    assert len(list(tmp_path.iterdir())) == (not missing)

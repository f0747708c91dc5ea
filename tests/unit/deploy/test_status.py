"""What status says: sums of a tick, explanations, and the text on a terminal."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.ticks import PartitionProgress, Tick, Writer
from streamgauge.deploy.cli.status import show
from streamgauge.deploy.context import Context
from streamgauge.deploy.demo.runs import runs_folder
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.stack.state import ProcessState
from streamgauge.deploy.stack.ticking import Told
from streamgauge.deploy.status.collect import collect, judge, rules_problem, writer_rows
from streamgauge.deploy.status.explain import explain
from streamgauge.deploy.status.model import DiskRow, ProcessRow, Snapshot, WriterRow

GB = 1024**3
UP = Snapshot(
    home="/data",
    state="up",
    addresses={"kafka": "127.0.0.1:9092", "topic_prefix": "llm.", "scores_metrics": "http://x/m"},
    clock_mode="live",
    lateness_s=5,
    uptime_s=3700,
    processes=(ProcessRow("metrics", "up", 12, 0.5, 100 * 1024**2, 60, 0, ""),),
    writers=(WriterRow("metrics", 0, 1_000_000, 0.5, 1.0),),
    disk=(DiskRow("logs", 2048, "10 MB x 3 a process"),),
    free_bytes=50 * GB,
    toxicity_weights=True,
    drift_warming={},
)


def partition(stored: int, end: int, watermark: int | None) -> PartitionProgress:
    return PartitionProgress(stored_offset=stored, end_offset=end, watermark_ms=watermark)


def tick(
    partitions: dict[str, PartitionProgress], *, instance: str = "a", generation: int = 1,
    wall_ms: int = 10_000, completeness: float | None = 1.0,
) -> Tick:  # fmt: skip
    return Tick(
        v=1, writer=Writer.METRICS, instance=instance, generation=generation, wall_ms=wall_ms,
        partitions=partitions, completeness=completeness,
    )  # fmt: skip


def rows(*said: Tick, now_ms: int = 0) -> tuple[WriterRow, ...]:
    return writer_rows([Told(t, t.wall_ms) for t in said], now_ms=now_ms)


def test_lag_is_summed_and_the_clock_is_the_lowest_that_lags() -> None:
    said = tick({"e@x/0": partition(10, 30, 500), "e@x/1": partition(10, 15, 700),
                 "e@x/2": partition(10, 10, 100)})  # fmt: skip
    assert rows(said, now_ms=12_500) == (WriterRow("metrics", 25, 500, 2.5, 1.0),)


def test_clock_is_unknown_as_it_is_to_the_rules_until_every_partition_is_reported() -> None:
    half = tick({"a/0": partition(4, 9, 400)}, completeness=0.5)
    (row,) = rows(half)
    assert row == WriterRow("metrics", 5, None, 0.0, 0.5)
    assert explain(replace(UP, writers=(row,))) == ["metrics speaks for 50% of the partitions"]


def test_without_lag_the_clock_is_the_highest_and_without_events_unknown() -> None:
    parts = {"a/0": partition(5, 5, 500), "a/1": partition(9, 9, 900), "a/2": partition(0, 0, None)}
    assert rows(tick(parts))[0].watermark_ms == 900
    assert rows(tick({}))[0].watermark_ms is None


def test_two_instances_of_a_writer_add_up() -> None:
    ticks = [
        tick({"a/0": partition(1, 9, 100), "a/1": partition(1, 9, 100)}, completeness=1.0),
        tick({"a/0": partition(4, 9, 400)}, generation=2, wall_ms=10_900, completeness=0.5),
        tick(
            {"a/1": partition(6, 9, 600)},
            instance="b",
            generation=2,
            wall_ms=11_000,
            completeness=0.5,
        ),
    ]
    assert rows(*ticks, now_ms=12_000) == (WriterRow("metrics", 8, 400, 1.0, 1.0),)


def test_a_good_stack_needs_no_explanation() -> None:
    assert explain(UP) == []
    assert UP.ok


def test_what_is_not_there_yet_is_explained() -> None:
    lines = explain(
        replace(
            UP,
            toxicity_weights=False,
            drift_warming={"chat": (3, 14)},
            writers=(WriterRow("metrics", 5000, None, 0.5, None),),
            processes=(
                *UP.processes,
                ProcessRow("drift", "up", 13, 0, 0, 1, 0, ""),
                ProcessRow("alerts", "restarting", None, None, None, None, 4, "ended with code 1"),
                ProcessRow("scores", "missing", None, None, None, None, 0, "not installed"),
            ),
            free_bytes=GB,
        )
    )
    text = "\n".join(lines)
    assert "toxicity is NULL: no Detoxify weights" in text
    assert "drift is warming up, windows of history: chat 3 of 14" in text
    assert "metrics is 5,000 events behind" in text
    assert "metrics has no events yet" in text
    assert "drift has not ticked yet" in text
    assert "alerts is being restarted: ended with code 1" in text
    assert "scores: not installed" in text
    assert "only 1.0 GB are free" in text


def test_a_stack_that_does_not_run_names_the_next_step() -> None:
    for word in ("never started", "down", "failed", "killed"):
        assert explain(replace(UP, state=word))[-1] == "start it: streamgauge up"


def test_refused_rule_files_are_told_while_the_old_rules_run(tmp_path: Path) -> None:
    rules = tmp_path / "mine.yml"
    rules.write_text("rules:\n  - name: Broken\n    kind: nosuch\n")
    (note,) = explain(replace(UP, rules_problem=rules_problem(str(rules))))
    assert "refused, those of before run on" in note
    assert "mine.yml:3" in note
    assert f"streamgauge rules check {rules}" in note
    assert rules_problem("") == ""


def test_rules_that_are_behind_what_is_stored_are_told() -> None:
    assert explain(replace(UP, rules_until_ms=1_000_000 - 150_000)) == []
    assert explain(replace(UP, rules_until_ms=1_000_000 - 160_000)) == [
        "rules are 160 s of event time behind what is stored: alerts may still come"
    ]
    assert "rules evaluated up to 3m 0s ago" in show(
        replace(UP, rules_until_ms=880_000), [], now_ms=1_060_000
    )
    alerts = ProcessRow("alerts", "up", 13, 0, 0, 1, 0, "")
    assert explain(replace(UP, processes=(*UP.processes, alerts))) == [
        "no rule has been evaluated yet: there may be alerts that do not show"
    ]


def test_what_stack_json_says_is_not_believed() -> None:
    me = Pid.of(os.getpid())
    assert me is not None
    alive = ProcessState("kafka", "up", me.as_json(), log="/k.log")
    other = {"pid": me.pid, "started_ms": me.started_ms - 60_000}
    gone = ProcessState("kafka", "up", other, note="was ended by signal 9")
    assert judge(alive, answers=True) == ("up", "")
    assert judge(alive, answers=None) == ("up", "")
    assert judge(alive, answers=False)[0] == "no answer"
    word, note = judge(gone, answers=False)
    assert word == "dead"
    assert f"its process {me.pid} is gone" in note
    assert "was ended by signal 9" in note
    assert judge(gone, answers=None)[0] == "dead"
    assert judge(gone, answers=True)[0] == "up"  # it came back, and that could not be written
    assert judge(ProcessState("kafka", "restarting"), answers=False)[0] == "restarting"


def test_a_dead_process_and_a_silent_service_are_explained_and_not_ok() -> None:
    row = ProcessRow("kafka", "dead", None, None, None, None, 0, "its process 12 is gone")
    seen = replace(UP, processes=(row,), writers=(), silent=("Kafka at 127.0.0.1:9092",))
    assert explain(seen) == [
        "kafka: its process 12 is gone",
        "Kafka at 127.0.0.1:9092 does not answer",
    ]
    assert not seen.ok
    assert not replace(UP, silent=("ClickHouse at http://x",)).ok


def test_a_writer_that_fell_silent_is_named() -> None:
    assert explain(replace(UP, writers=(WriterRow("metrics", 0, 1, 40.0, 1.0),))) == [
        "metrics has not ticked for 40 s"
    ]


def test_a_stack_with_a_dead_process_is_not_ok() -> None:
    dead = ProcessRow("metrics", "restarting", None, None, None, None, 1, "x")
    assert not replace(UP, processes=(dead,)).ok
    assert not replace(UP, state="killed").ok


def test_the_terminal_shows_processes_writers_and_disk() -> None:
    text = show(UP, ["a note"], now_ms=1_060_000)
    assert "stack up, up 1h 1m, clock live, lateness 5 s" in text
    assert "Kafka       127.0.0.1:9092   topics llm.*" in text
    assert "Prometheus  http://x/m   of scores" in text
    assert "metrics  up      12  0.50  100.0 MB  1m 0s         0" in text
    assert "metrics    0  1m 0s ago            1.000  0.5 s ago" in text
    assert "logs  2.0 kB  10 MB x 3 a process" in text
    assert text.endswith("note: a note")


def test_demo_runs_beside_the_data_folder_are_among_the_disk_rows(tmp_path: Path) -> None:
    def used() -> dict[str, int]:
        seen = collect(Context.find({}, tmp_path / "data"), clock=SystemClock())
        assert (seen.free_bytes > 0) or not seen.disk
        return {row.what: row.bytes for row in seen.disk}

    run = runs_folder(tmp_path / "data") / "run-1" / "store"
    run.mkdir(parents=True)
    (run / "part").write_bytes(b"x" * 1_000_000)
    assert list(used()) == ["demo runs"], "there was a demo, and never a stack"
    (tmp_path / "data").mkdir()
    rows = used()
    assert list(rows) == ["topics", "tables", "logs, Kafka's too", "demo runs"]
    assert rows["demo runs"] >= 1_000_000

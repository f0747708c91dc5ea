"""Looks at a stack: stack.json, the processes, the last ticks, the disk. Starts nothing.

stack.json may be old: it cannot be written on a full disk. So each process is looked up, and Kafka
and the store are asked; what is seen counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import psutil

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.contracts.kafka import ENV_BOOTSTRAP
from streamgauge.contracts.tick_book import TickBook
from streamgauge.deploy.context import Context
from streamgauge.deploy.demo.runs import KEEP_RUNS, runs_folder
from streamgauge.deploy.stack.logs import CAP_BYTES, OLDER, folder_bytes
from streamgauge.deploy.stack.plan import TICKERS
from streamgauge.deploy.stack.state import ProcessState, StackState, read_state
from streamgauge.deploy.status.explain import rules_are_behind
from streamgauge.deploy.status.model import (
    DEAD,
    NO_ANSWER,
    NOT_READY,
    OTHER_PID,
    DiskRow,
    ProcessRow,
    Snapshot,
    WriterRow,
)
from streamgauge.deploy.status.readiness import unready
from streamgauge.storage.settings import ENV_URL

if TYPE_CHECKING:
    from streamgauge.deploy.stack.ticking import Told

CPU_SAMPLE_S = 0.25
ANSWER_S = 5.0
"""How long Kafka and the store may take to answer."""
PARTITION_CAP = "1 GB a partition, and each topic's retention"


def collect(context: Context, *, clock: Clock) -> Snapshot:
    """A snapshot of the stack on this data folder, running or not."""
    state = read_state(context.home)
    disk = _disk(context.home)
    there = next((f for f in (context.home, context.home.parent) if f.exists()), None)
    free = shutil.disk_usage(there).free if there is not None else 0
    if state is None:
        return Snapshot(str(context.home), "never started", disk=disk, free_bytes=free)
    if context.stack is None:
        word = state.state if state.state in ("down", "failed") else "killed"
        return Snapshot(str(context.home), word, disk=disk, free_bytes=free, error=state.error)
    now = clock.now_ms()
    own = _of_the_stack(context, state)
    answers = {"kafka": _kafka_answers(own), "store": _store_answers(own)}
    return Snapshot(
        home=str(context.home),
        state=state.state,
        addresses=_addresses(state),
        clock_mode=state.clock_mode,
        lateness_s=state.lateness_s,
        uptime_s=(now - state.started_ms) / 1000,
        processes=_processes(list(state.processes.values()), answers, clock=clock),
        writers=_writers(own, now_ms=now) if answers["kafka"] else (),
        disk=disk,
        free_bytes=free,
        toxicity_weights=has_weights(context.env),
        drift_warming=drift_warming(own) if answers["store"] else None,
        rules_problem=rules_problem(state.rules),
        rules_until_ms=_rules_until(own, state) if answers["kafka"] else None,
        silent=tuple(
            f"{label} at {address}"
            for name, label, address in (
                ("kafka", "Kafka", state.bootstrap),
                ("store", "ClickHouse", state.store_url),
            )
            if address and not answers[name]
        ),
    )


def _of_the_stack(context: Context, state: StackState) -> Context:
    """The context without addresses that mean other services than the stack's own."""
    others = {ENV_BOOTSTRAP} if not state.kafka_external else set()
    others |= {ENV_URL} if not state.store_external else set()
    return replace(context, env={k: v for k, v in context.env.items() if k not in others})


def _kafka_answers(context: Context) -> bool:
    from streamgauge.deploy.topics import require_broker

    try:
        require_broker(context.kafka(), timeout_s=ANSWER_S)
    except StreamgaugeError:
        return False
    return True


def _store_answers(context: Context) -> bool:
    from streamgauge.deploy.sql import ask_rows

    try:
        ask_rows(context.store(reader=True), "SELECT 1", timeout_s=ANSWER_S)
    except StreamgaugeError:
        return False
    return True


def has_weights(env: Mapping[str, str]) -> bool:
    """True if a bundle of Detoxify weights is named and there."""
    bundle = env.get("STREAMGAUGE_DETOXIFY_BUNDLE", "")
    return bundle != "" and Path(bundle).is_dir()


def _addresses(state: StackState) -> dict[str, str]:
    found = {
        "kafka": state.bootstrap,
        "topic_prefix": state.prefix,
        "clickhouse": state.store_url,
        "database": state.database,
        "user": state.store_user,
        "password_file": state.password_file,
        "reader_user": state.reader_user,
        "reader_password_file": state.reader_password_file,
    }
    for process in state.processes.values():
        if process.metrics_port and process.state == "up":
            found[f"{process.name}_metrics"] = f"http://127.0.0.1:{process.metrics_port}/metrics"
    return {name: value for name, value in found.items() if value}


def judge(state: ProcessState, *, answers: bool | None, lacks: str = "") -> tuple[str, str]:
    """State and note of a process as seen, whatever stack.json says.

    answers: whether its service does; None if it has none to ask. lacks: what a worker says it
    cannot work without.
    """
    if state.gone and answers:
        return "up", f"{OTHER_PID}: that file is old (is the disk full?)"
    if state.gone:
        pid = "" if state.identity is None else f" {state.identity.pid}"
        last = f"; before: {state.note}" if state.note else ""
        return DEAD, f"its process{pid} is gone, stack.json says up (is the disk full?){last}"
    if state.state == "up" and answers is False:
        return NO_ANSWER, f"its process runs and does not answer; its log is {state.log}"
    if state.state == "up" and lacks:
        return NOT_READY, lacks
    return state.state, state.note


def _lacks(state: ProcessState) -> str:
    ticks = state.name in TICKERS and state.state == "up" and not state.gone
    return unready(state.metrics_port) if ticks and state.metrics_port else ""


def _processes(
    states: list[ProcessState], answers: Mapping[str, bool], *, clock: Clock
) -> tuple[ProcessRow, ...]:
    live: dict[str, psutil.Process] = {}
    for state in states:
        process = None if state.identity is None else state.identity.process()
        if process is not None:
            live[state.name] = process
    before = {name: _cpu_s(process) for name, process in live.items()}
    clock.sleep(CPU_SAMPLE_S)
    rows = []
    for state in states:
        process = live.get(state.name)
        word, note = judge(state, answers=answers.get(state.name), lacks=_lacks(state))
        rows.append(
            ProcessRow(
                name=state.name,
                state=word,
                pid=None if process is None else process.pid,
                cpu=None
                if process is None
                else max(0.0, _cpu_s(process) - before[state.name]) / CPU_SAMPLE_S,
                rss_bytes=None if process is None else _rss(process),
                up_s=(clock.now_ms() - state.since_ms) / 1000 if process is not None else None,
                restarts=state.restarts,
                note=note,
            )
        )
    return tuple(rows)


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _rss(process: psutil.Process) -> int | None:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return None


def _writers(context: Context, *, now_ms: int) -> tuple[WriterRow, ...]:
    from streamgauge.deploy.stack.ticking import last_ticks

    try:
        ticks = last_ticks(context.kafka())
    except StreamgaugeError:
        return ()
    return writer_rows(ticks, now_ms=now_ms)


def writer_rows(told: Sequence[Told], *, now_ms: int) -> tuple[WriterRow, ...]:
    """One row per writer, by name. told: ticks, oldest first, of any number of instances.

    What they mean together is what the rules stand on (contracts.tick_book), without broker time:
    the column says what is stored.
    """
    book = TickBook(live=False, lateness_ms=0)
    said_ms: dict[str, int] = {}
    for tick, append_ms in told:
        book.absorb(tick, append_ms)
        said_ms[tick.writer] = max(said_ms.get(tick.writer, 0), tick.wall_ms)
    rows = []
    for writer in book.sources:
        clock = book.clock(writer)
        rows.append(
            WriterRow(
                writer=writer,
                lag=clock.lag,
                watermark_ms=clock.watermark_ms,
                tick_age_s=max(0, now_ms - said_ms[writer]) / 1000,
                completeness=clock.completeness,
            )
        )
    return tuple(rows)


def _disk(home: Path) -> tuple[DiskRow, ...]:
    rows = []
    if home.exists():
        log_cap = f"{CAP_BYTES // 1024**2} MB x {OLDER + 1} a process"
        logs = folder_bytes(home / "logs") + folder_bytes(home / "kafka" / "logs")
        rows += [
            DiskRow("topics", folder_bytes(home / "kafka" / "log"), PARTITION_CAP),
            DiskRow("tables", folder_bytes(home / "store"), "retention of each table"),
            DiskRow("logs, Kafka's too", logs, log_cap),
        ]
    runs = runs_folder(home)
    if runs.exists():  # beside the data folder, and often more than all that is in it
        cap = f"the last {KEEP_RUNS} runs; down --purge removes them"
        rows.append(DiskRow("demo runs", folder_bytes(runs), cap))
    return tuple(rows)


def rules_problem(path: str) -> str:
    """The first complaint about the stack's rule files and how to see all; empty if there is none.

    path: as in stack.json; empty = the shipped pack.
    """
    from streamgauge.alerting.rules.loader import DEFAULT_PACK, read

    _, problems = read(path or DEFAULT_PACK)
    if not problems:
        return ""
    return f"{problems[0]} (all: streamgauge rules check {quote(path or str(DEFAULT_PACK))})"


def _rules_until(context: Context, state: StackState) -> int | None:
    from streamgauge.alerting.rules.loader import DEFAULT_PACK, read
    from streamgauge.deploy.status.evaluated import evaluated_until_ms

    found, problems = read(state.rules or DEFAULT_PACK)
    try:
        return evaluated_until_ms(context.kafka(), None if problems else set(found.enabled))
    except StreamgaugeError:
        return None


def rules_behind(context: Context, *, clock: Clock) -> str:
    """One line if this stack's rules are behind what is stored; empty if not, or if unknown."""
    state = context.stack
    if state is None:
        return ""
    own = _of_the_stack(context, state)
    writers = _writers(own, now_ms=clock.now_ms())
    seen = Snapshot("", "up", writers=writers, rules_until_ms=_rules_until(own, state))
    return rules_are_behind(seen.rules_behind_s, state.lateness_s)


def drift_warming(context: Context) -> dict[str, tuple[int, int]] | None:
    """App -> (windows seen, windows needed) of those that drift does not judge yet.

    None if it cannot be told.
    """
    from streamgauge.storage.client import connect
    from streamgauge.stream_processors.drift.settings import DriftSettings
    from streamgauge.stream_processors.drift.status import read_status

    try:
        settings = DriftSettings.from_env(context.env)
        with connect(context.store(reader=True), timeout_s=ANSWER_S) as client:
            apps = read_status(client, settings)
    except StreamgaugeError:
        return None
    return {a.app: (a.ref_windows, a.ref_needed) for a in apps if not a.judged}

"""Runs the demo: stack up, trace replayed, alerts collected, verdict printed, stack down.

In: seed, incidents, speed. Out: the report on stdout, progress on stderr, exit code 0 only if every
planted page-class incident was found and nothing false fired. Each run has its own data folder,
topics (by prefix) and, on a given ClickHouse, database. On a terminal the stack then stays up until
Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.environment import ENV_RULES
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.deploy.demo import questions, report
from streamgauge.deploy.demo.leftovers import Leftovers
from streamgauge.deploy.demo.runs import KEEP_RUNS, forget_runs, runs_folder
from streamgauge.deploy.demo.verdict import Planted, Verdict, judge
from streamgauge.deploy.demo.watch import AlertWatch, EvaluationWatch, episodes_of
from streamgauge.deploy.paths import call_on, home_folder
from streamgauge.deploy.stack import Stack, StackConfig
from streamgauge.producers.traffic import TrafficReport, parse_kinds, replay
from streamgauge.producers.traffic.reports import Progress as Sent
from streamgauge.storage.client import StoreClient, connect

LATENESS_S = 30.0
TAIL_S = 120.0
GRID_S = 60.0
"""The coarsest evaluation grid of the default pack."""
SETTLE_TIMEOUT_S = 60.0
ASK_S = 0.2
INTERRUPTED = 130
ROOM_FOR_CTRL_C = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked to be. stay: None = only on a terminal. keep: leave topics and database
    on a broker and a ClickHouse of the user's.
    """

    seed: int = 1
    incidents: str = "all"
    speed: float = 60.0
    home: Path | None = None
    stay: bool | None = None
    keep: bool = False
    as_json: bool = False


def main(
    *,
    seed: int = 1,
    incidents: str = "all",
    speed: float = 60.0,
    home: Path | None = None,
    stay: bool | None = None,
    keep: bool = False,
    as_json: bool = False,
) -> int:
    """Run the demo; its exit code."""
    options = Options(seed, incidents, speed, home, stay, keep, as_json)
    return _Demo(options, SystemClock()).run()


class _Demo:
    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.err = Console(stderr=True, highlight=False)
        self.out = Console(highlight=False)
        run_id = uuid.uuid4().hex[:8]
        home = home_folder()
        runs = options.home or runs_folder(home)
        runs.mkdir(parents=True, exist_ok=True)
        forget_runs(runs, keep=KEEP_RUNS - 1)  # and this one
        self.folder = runs / f"run-{run_id}"
        self.asked = False
        self.config = StackConfig(
            home=str(self.folder),
            prefix=f"demo-{run_id}.",
            database=f"demo_{run_id}",
            clock_mode="replay",
            lateness_s=LATENESS_S,
        )

    def run(self) -> int:
        """Start, replay, judge, report, stop."""
        started = self.clock.monotonic()
        kinds = parse_kinds(self.options.incidents)
        env = {k: v for k, v in os.environ.items() if k != ENV_RULES}  # the pack as it ships
        stack, code = Stack(self.config, env=env, progress=self._say), 1
        self._end_in_order()
        try:
            with stack:
                code = self._run(stack, kinds, started)
        except KeyboardInterrupt:
            code = INTERRUPTED
            raise
        finally:
            failed = code not in (0, INTERRUPTED) and not self.asked
            self._leave(stack, keep=self.options.keep or failed)
        return code

    def _end_in_order(self) -> None:
        """`kill`, a closed terminal and `--home RUN down` end the demo as Ctrl-C does."""

        def on_signal(number: int, _frame: FrameType | None) -> None:
            if self.asked:
                return  # a closed terminal signals twice: what is being stopped is left alone
            self.asked = True
            self._say(f"asked to end ({signal.Signals(number).name}): stopping ...")
            raise KeyboardInterrupt

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, on_signal)

    def _run(self, stack: Stack, kinds: tuple[object, ...], started: float) -> int:
        alerts, evaluations = AlertWatch(stack.kafka), EvaluationWatch(stack.kafka)
        try:
            sent = self._replay(stack, kinds)
            if sent.interrupted:
                self._say("interrupted")
                return INTERRUPTED
            self._settle(sent, evaluations, alerts)
            verdict = judge(
                [
                    Planted(str(i.kind), i.app, i.start_ms, i.end_ms, i.severity_class == "page")
                    for i in sent.incidents
                ],
                episodes_of(list(alerts.alerts)),
            )
            self._report(stack, sent, verdict, self.clock.monotonic() - started)
            if self._stays():
                self._stay(stack)
        finally:
            alerts.close()
            evaluations.close()
        return 0 if verdict.ok and sent.ok else 1

    # -- steps ---------------------------------------------------------------------------------

    def _replay(self, stack: Stack, kinds: tuple[object, ...]) -> TrafficReport:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn(
                "{task.completed:,.0f}/{task.total:,.0f} events, now {task.fields[now]} UTC"
            ),
            TimeElapsedColumn(),
        )
        # room for the terminal's ^C: a line that it breaks in two is drawn twice
        narrow = Console(stderr=True, width=max(40, self.err.width - ROOM_FOR_CTRL_C))
        with Progress(*columns, console=narrow, transient=False) as bar:
            task = bar.add_task("replaying the Azure trace", total=1, now="--:--:--")

            def on_progress(p: Sent) -> None:
                now = report.clock(p.event_ms)
                bar.update(task, total=p.total or p.sent, completed=p.sent, now=now)

            return replay(
                "azure",
                stack.kafka,
                speed=self.options.speed,
                seed=self.options.seed,
                incidents=[str(kind) for kind in kinds],
                truth=self.folder / "truth.json",
                tail_s=TAIL_S,
                progress=on_progress,
                clock=self.clock,
            )

    def _settle(self, sent: TrafficReport, rules: EvaluationWatch, alerts: AlertWatch) -> None:
        """Wait until every rule was evaluated to the end of the replay and its alerts are read."""
        assert sent.last_ms is not None
        target_ms = sent.last_ms + int((TAIL_S - LATENESS_S - GRID_S) * 1000)
        self._say("waiting for the last windows ...")

        def evaluated() -> bool:
            until = rules.evaluated_until_ms()
            return until is not None and until >= target_ms

        self._wait(evaluated, "the rules were not evaluated to the end of the replay")
        self._wait(lambda: not rules.machine_is_behind(), "the alert engine did not catch up")
        seen = -1
        while seen != len(alerts.alerts):
            seen = len(alerts.alerts)
            self.clock.sleep(1.0)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = self.clock.monotonic() + SETTLE_TIMEOUT_S
        while not condition():
            if self.clock.monotonic() > deadline:
                raise StreamgaugeError(
                    f"{what} within {SETTLE_TIMEOUT_S:.0f} s",
                    hint=f"logs are in {self.folder}/logs",
                )
            self.clock.sleep(ASK_S)  # each question is one to Kafka's group coordinator

    def _answers(self, client: StoreClient) -> list[report.QueryAnswer]:
        """What the SQL answers, once v_spend has the last seconds of the replay too."""
        self._wait(lambda: questions.spend_is_whole(client), "v_spend did not catch up")
        return questions.ask(client)

    def _report(self, stack: Stack, sent: TrafficReport, verdict: Verdict, total_s: float) -> None:
        client = connect(stack.store)
        try:
            answers = self._answers(client)
            kinds = ("latency_x3", "runaway", "silence")
            drawn = [] if self.options.as_json else questions.plots(client, verdict, kinds=kinds)
        finally:
            client.close()
        usage = report.Usage(sent.events, sent.bytes / 1e6, sent.wall_s, total_s, _memory_mb(stack))
        if self.options.as_json:
            sys.stdout.write(
                json.dumps(report.as_json(verdict, answers, usage), default=str) + "\n"
            )
            return
        if verdict.findings:
            self.out.print(report.verdict_table(verdict))
        else:
            self.out.print("planted incidents: none")
        for line in report.false_alarm_lines(verdict):
            self.out.print(line)
        for plot in drawn:
            self.out.print(report.draw(plot), markup=False)
        for answer in answers:
            self.out.print(report.answer_table(answer))
            self.out.print(answer.sql, style="dim", markup=False)
            self.out.print()
        self.out.print(report.usage_line(usage), soft_wrap=True)
        self.out.print(report.closing_line(verdict), soft_wrap=True)

    def _stays(self) -> bool:
        if self.options.stay is not None:
            return self.options.stay
        return sys.stdout.isatty() and sys.stdin.isatty() and not os.environ.get("CI")

    def _stay(self, stack: Stack) -> None:
        state, call = stack.state, call_on(self.folder)
        self.err.print(
            f"The stack stays up until Ctrl-C.\n"
            f"  Kafka       {state.bootstrap}, topics {state.prefix}*\n"
            f"  ClickHouse  {state.store_url}, database {state.database}, user {state.store_user},"
            f" password in {state.password_file}\n"
            f"  query       {call} sql --examples\n"
            f"  subscribe   {call} alerts tail",
            markup=False,
            soft_wrap=True,  # a command broken in two cannot be copied
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            if not self.asked:
                self._say("stopping ...")

    def _leave(self, stack: Stack, *, keep: bool) -> None:
        """Remove what this run made on a broker or ClickHouse of the user's, or say what stays."""
        made = Leftovers.of(stack)
        what = " and ".join(made.names)
        if what and keep:
            self._say("\n  ".join([f"kept: {what}; to remove:", *made.removal]))
        elif what:
            made.remove()
            self._say(f"removed: {what}")
        self._say(f"data and logs of this run: {self.folder} (the last {KEEP_RUNS} runs are kept)")

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be closed
            self.err.print(line, markup=False, soft_wrap=True)


def _memory_mb(stack: Stack) -> dict[str, float]:
    """Resident memory of every process of the stack now."""
    sizes = {}
    for name, process in stack.state.processes.items():
        identity = process.identity
        if identity is not None and identity.alive:
            sizes[name] = psutil.Process(identity.pid).memory_info().rss / 1e6
    return sizes

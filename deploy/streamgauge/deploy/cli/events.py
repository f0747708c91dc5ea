"""`streamgauge events tail | send | replay | simulate`."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamgauge.deploy.cli.base import (
    INCIDENTS,
    answer,
    answer_json,
    find_context,
    group,
    home_option,
    human_bytes,
    json_option,
    say,
)
from streamgauge.deploy.cli.numbers import COUNT, DURATION, RATE, SECONDS, SPEED

if TYPE_CHECKING:
    from streamgauge.producers.traffic import Progress, TrafficReport


LOG_EVERY_S = 10.0


@group(
    "events",
    example="streamgauge events replay azure --speed 60\n"
    "streamgauge events tail --app search --type llm.request | jq .model",
)
def events() -> None:
    """Events of LLM calls: follow them, send your own, replay recordings, make some up."""


@events.command("tail")
@home_option
@click.option("--app", help="Only this app.")
@click.option("--type", "kind", help="Only this type, such as llm.request.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest event kept.")
@click.option("--limit", type=COUNT, help="End after so many.")
@click.option("--timeout", type=SECONDS, help="End when nothing came for so many seconds.")
def _tail(
    home: Path | None,
    app: str | None,
    kind: str | None,
    limit: int | None,
    timeout: float | None,
    *,
    from_start: bool,
) -> None:
    """Print events as they come, one JSON line each, as they are on the wire."""
    from streamgauge.contracts.topics import EVENTS
    from streamgauge.deploy.following import follow

    kafka = find_context(home).kafka()
    count = 0
    for value in follow(kafka, EVENTS, from_start=from_start, timeout_s=timeout):
        if not _wanted(value, app, kind):
            continue
        answer(value.decode("utf-8", "replace"))
        sys.stdout.flush()
        count += 1
        if limit is not None and count >= limit:
            break


def _wanted(value: bytes, app: str | None, kind: str | None) -> bool:
    if app is None and kind is None:
        return True
    import json

    try:
        event = json.loads(value)
    except (ValueError, RecursionError):
        return False
    if not isinstance(event, dict):
        return False
    return (app is None or event.get("app") == app) and (kind is None or event.get("type") == kind)


@events.command("send")
@click.argument("file", type=click.File("rb"), default="-")
@home_option
@click.option("--raw", is_flag=True, help="Send lines that are no JSON objects, too.")
def _send(file: Any, home: Path | None, *, raw: bool) -> int:
    """Send the lines of an NDJSON file, or of standard input, as they are; one message each."""
    from streamgauge.producers.traffic import send

    report = send(file, find_context(home).kafka(), raw=raw)
    for number, why in report.refused:
        say(f"line {number} not sent: {why}")
    say(f"{report.delivered} of {report.lines} lines delivered to {report.topic}")
    if report.first_error:
        say(f"first error: {report.first_error}")
    return 0 if report.ok else 1


def _traffic_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that replay and simulate share."""
    options = [
        home_option,
        click.option(
            "--speed", type=SPEED, default=60.0, show_default=True, help="Times; 0 = unpaced."
        ),
        click.option("--seed", default=1, show_default=True, help="Of everything made up."),
        click.option(
            "--incidents", default="none", show_default=True,
            help=f"all, none, or some with commas: {INCIDENTS}.",
        ),
        click.option("--truth", type=click.Path(path_type=Path), help="Write what was planted."),
        click.option(
            "--texts", type=click.Path(exists=True, path_type=Path),
            help="Prompts and answers to join (JSONL).",
        ),
        click.option(
            "--content", type=click.Choice(["full", "redacted"]), default="full", show_default=True,
            help="Texts as they are, or as the client redacts them.",
        ),
        json_option,
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@events.command("replay")
@click.argument("source")
@_traffic_options
@click.option("--own-times", is_flag=True, help="Keep the recording's times.")
def _replay(
    source: str,
    home: Path | None,
    speed: float,
    seed: int,
    incidents: str,
    truth: Path | None,
    texts: Path | None,
    content: Any,
    *,
    own_times: bool,
    as_json: bool,
) -> int:
    """Send a recorded trace as if it happened now: azure, mooncake, or a file.

    Times are shifted so that it ends 2 minutes ago. Into a stack in clock mode `live` a replay is
    late data: it is stored exactly and alerts nobody. For alerts: `streamgauge up --clock replay`.
    """
    from streamgauge.producers.traffic import parse_kinds, replay

    context = find_context(home)
    if parse_kinds(incidents) and context.stack is not None and context.stack.clock_mode == "live":
        say("note: this stack's clock is live, so a replay alerts nobody (up --clock replay)")
    report = replay(
        source,
        context.kafka(),
        speed=speed,
        seed=seed,
        own_times=own_times,
        incidents=parse_kinds(incidents),
        truth=truth,
        texts=texts,
        content=content,
        progress=_Meter(),
    )
    return _report(report, as_json=as_json)


@events.command("simulate")
@_traffic_options
@click.option("--rate", type=RATE, default=5.0, show_default=True, help="Mean requests a second.")
@click.option(
    "--duration", type=DURATION, default="1h", show_default=True, help="Event time: 90s, 30m, 6h."
)
@click.option("--forever", is_flag=True, help="Without end (with --live).")
@click.option("--live", is_flag=True, help="Times are now, at the speed of time.")
@click.option(
    "--curve", type=click.Choice(["day", "flat"]), default="day", show_default=True,
    help="day: busiest at 15:00 UTC, quiet at night; flat: the same rate at any hour.",
)  # fmt: skip
def _simulate(
    home: Path | None,
    speed: float,
    seed: int,
    incidents: str,
    truth: Path | None,
    texts: Path | None,
    content: Any,
    rate: float,
    duration: float,
    curve: Any,
    *,
    live: bool,
    forever: bool,
    as_json: bool,
) -> int:
    """Send made-up traffic of 8 apps and 3 tenants; the same seed gives the same traffic.

    --duration bounds when calls begin. An event is sent when its call ends, so with --live the run
    goes on until the last call has ended. --rate is the mean of a day of the curve.
    """
    from streamgauge.producers.traffic import parse_kinds, simulate

    report = simulate(
        find_context(home).kafka(),
        rate=rate,
        duration_s=None if forever else duration,
        live=live,
        speed=speed,
        seed=seed,
        curve=curve,
        incidents=parse_kinds(incidents),
        truth=truth,
        texts=texts,
        content=content,
        progress=_Meter(),
    )
    return _report(report, as_json=as_json)


class _Meter:
    """Progress on stderr: one line rewritten on a terminal, a line every 10 s elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        # in a log the first moment says nothing: 0 events, 0/s
        self._next = 0.0 if self._terminal else time.monotonic() + LOG_EVERY_S

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.25 if self._terminal else LOG_EVERY_S)
        of = f" of {progress.total}" if progress.total else ""
        behind = f", {progress.behind_s:.0f} s behind" if progress.behind_s >= 1 else ""
        line = f"{progress.sent}{of} events, {progress.per_s:,.0f}/s{behind}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        else:
            say(line)


def _report(report: TrafficReport, *, as_json: bool) -> int:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        answer_json(dataclasses.asdict(report))
    else:
        answer(
            f"{report.source}: {report.events} events ({report.requests} requests, "
            f"{report.input_tokens} input and {report.output_tokens} output tokens) "
            f"+ {report.heartbeats} heartbeats to {report.topic} in {report.wall_s:.1f} s, "
            f"{human_bytes(report.bytes)}"
        )
        answer(
            f"delivered {report.delivered}, failed {report.failed}, "
            f"unconfirmed {report.unconfirmed}"
        )
        for incident in report.incidents:
            answer(f"planted {incident.kind} in {incident.app}")
    if report.first_error:
        say(f"first error: {report.first_error}")
    return 0 if report.ok else 1

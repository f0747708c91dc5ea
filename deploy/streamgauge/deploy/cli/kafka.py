"""`streamgauge kafka install | start | stop | status`: a broker alone, without the stack."""

from __future__ import annotations

import json
from pathlib import Path

import click

from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    find_context,
    group,
    home_option,
    human_bytes,
    human_seconds,
    json_option,
    say,
)
from streamgauge.deploy.cli.numbers import PORT
from streamgauge.deploy.paths import home_folder


@group("kafka", example="streamgauge kafka install\nstreamgauge kafka start --port 9092")
def kafka() -> None:
    """A real Apache Kafka on this machine: one node, persistent, without root or Docker."""


@kafka.command("install")
def _install() -> None:
    """Fetch Kafka's jars into the cache folder, once; every jar must have the lock's sha256."""
    from streamgauge.deploy.kafka import ensure_jars, find_java
    from streamgauge.deploy.kafka.java import overlooked

    java = find_java()
    if ignored := overlooked():
        say(ignored)
    libs = ensure_jars(progress=say)
    say(f"Java {java.major} from {java.source}")
    answer(str(libs))


@kafka.command("start")
@home_option
@click.option("--port", type=PORT, default=0, help="Port (default: the last one, else a free one).")
def _start(home: Path | None, port: int) -> None:
    """Start the broker of the data folder and leave it running (without the rest of the stack)."""
    from streamgauge.contracts.errors import Misconfigured
    from streamgauge.deploy.kafka import LocalKafka
    from streamgauge.deploy.stack.layout import is_locked, prepare_home

    folder = _folder(home)
    if is_locked(folder):
        raise Misconfigured(f"a stack runs on {folder}; its Kafka is managed by it")
    prepare_home(folder)
    broker = LocalKafka(folder / "kafka", port, die_with_us=False, progress=say)
    held = broker.leftover()
    if held is not None:
        state = json.loads((folder / "kafka" / "kafka.json").read_text())
        say(f"runs already, pid {held.pid}")
        answer(f"127.0.0.1:{state['port']}")
        return
    answer(broker.start())
    say(f"Kafka runs, pid {broker.pid}; log {broker.log_path}; stop: streamgauge kafka stop")


@kafka.command("stop")
@home_option
def _stop(home: Path | None) -> None:
    """Stop the broker that `kafka start` left running; its data stays."""
    from streamgauge.contracts.errors import Misconfigured
    from streamgauge.deploy.kafka import LocalKafka
    from streamgauge.deploy.stack.layout import is_locked

    folder = _folder(home)
    if is_locked(folder):
        raise Misconfigured(
            f"the Kafka in {folder} belongs to a running stack", hint="use `streamgauge down`"
        )
    held = LocalKafka(folder / "kafka").leftover()
    if held is None:
        say("no broker runs on this folder")
        return
    say("stopped" if held.end(grace_s=20) else "did not end in time: killed")


@kafka.command("status")
@home_option
@json_option
def _status(home: Path | None, *, as_json: bool) -> int:
    """Is a broker there, what does it use; exit 3 if none answers."""
    from streamgauge.contracts.clock import SystemClock
    from streamgauge.deploy.kafka import LocalKafka
    from streamgauge.deploy.kafka.local import answers_metadata
    from streamgauge.deploy.stack.logs import folder_bytes

    folder = _folder(home) / "kafka"
    held = LocalKafka(folder).leftover()
    state = {}
    if held is not None:
        state = json.loads((folder / "kafka.json").read_text())
    bootstrap = f"127.0.0.1:{state['port']}" if state else _elsewhere(home)
    answers = bool(bootstrap) and answers_metadata(bootstrap, timeout_s=3)
    seen: dict[str, object] = {"bootstrap": bootstrap or None, "answers": answers}
    if held is not None:
        process = held.process()
        seen["pid"] = held.pid
        seen["up_s"] = (SystemClock().now_ms() - held.started_ms) // 1000
        seen["rss_bytes"] = process.memory_info().rss if process else None
        seen["disk_bytes"] = folder_bytes(folder / "log")
    if as_json:
        answer_json(seen)
    elif held is not None:
        answer(
            f"Kafka {bootstrap}  {'answers' if answers else 'DOES NOT ANSWER'}  pid {held.pid}  "
            f"up {human_seconds(int(str(seen['up_s'])))}  "
            f"memory {human_bytes(int(str(seen['rss_bytes'] or 0)))}  "
            f"disk {human_bytes(int(str(seen['disk_bytes'])))}"
        )
    elif bootstrap:
        answer(f"Kafka {bootstrap}  {'answers' if answers else 'DOES NOT ANSWER'}  (not ours)")
    else:
        say("no Kafka runs on this folder; start one with `streamgauge kafka start`")
    return 0 if answers else 3


def _elsewhere(home: Path | None) -> str:
    from streamgauge.contracts.errors import Misconfigured

    try:
        return find_context(home).kafka().bootstrap
    except Misconfigured:
        return ""


def _folder(home: Path | None) -> Path:
    return (home or home_folder()).expanduser().resolve()

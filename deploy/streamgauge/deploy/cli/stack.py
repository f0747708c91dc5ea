"""`streamgauge up` and `streamgauge down`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from streamgauge.contracts.environment import (
    ENV_CLOCK_MODE,
    ENV_RULES,
    LIVE_LATENESS_S,
    clock_mode,
    lateness_s,
)
from streamgauge.contracts.errors import Misconfigured
from streamgauge.contracts.kafka import ENV_BOOTSTRAP, ENV_PREFIX
from streamgauge.contracts.topics import DEFAULT_PARTITIONS, DEFAULT_PREFIX
from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    command,
    home_option,
    human_bytes,
    json_option,
    say,
)
from streamgauge.deploy.cli.numbers import PORT, SECONDS
from streamgauge.deploy.paths import call_on, home_folder
from streamgauge.deploy.stack.plan import (
    REPLAY_LATENESS_S,
    USUAL_KAFKA_PORT,
    WORKERS,
    StackConfig,
)
from streamgauge.deploy.stack.state import StackState, read_state
from streamgauge.storage.settings import DEFAULT_DATABASE, ENV_DATABASE

QUESTION = "SELECT app, sum(requests) FROM v_minute GROUP BY app"


@command(
    example="streamgauge up\nstreamgauge up --home /data/streamgauge --kafka-port 9092 "
    "--store-port 8123"
)
@home_option
@click.option(
    "--kafka-port",
    type=PORT,
    default=0,
    help=f"Port of Kafka (default: the last one, at first {USUAL_KAFKA_PORT} or a free one).",
)
@click.option(
    "--store-port", type=PORT, default=0,
    help="Port of ClickHouse's HTTP (default: the last one, at first a free one).",
)  # fmt: skip
@click.option(
    "--prefix", help=f"Topic prefix (default: STREAMGAUGE_TOPIC_PREFIX or {DEFAULT_PREFIX})."
)
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True, help="Of new topics.")
@click.option(
    "--clock",
    type=click.Choice(["live", "replay"]),
    help="What moves event time: live = also the wall clock, so silence is seen; replay = only "
    "events (default: STREAMGAUGE_CLOCK_MODE or live).",
)
@click.option(
    "--lateness", type=SECONDS,
    help=f"Seconds of lateness (default {LIVE_LATENESS_S:g}, replay {REPLAY_LATENESS_S:g}).",
)  # fmt: skip
@click.option(
    "--rules", help="Rule file or folder (default: STREAMGAUGE_RULES or the shipped pack)."
)
@click.option(
    "--without", multiple=True, type=click.Choice(list(WORKERS)),
    help="Leave this one out. May be repeated.",
)  # fmt: skip
@json_option
def up(
    home: Path | None,
    kafka_port: int,
    store_port: int,
    prefix: str | None,
    partitions: int,
    clock: str | None,
    lateness: float | None,
    rules: str | None,
    without: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Start Kafka, ClickHouse, the workers and the alert engine; leave them running.

    Data stays in the folder. STREAMGAUGE_BOOTSTRAP or STREAMGAUGE_STORE_URL name a Kafka or a
    ClickHouse of yours, which is then used instead. Running already: its addresses are printed; an
    option that it does not run with is an error.
    """
    from streamgauge.deploy.stack.detached import start_detached

    mode = clock_mode({ENV_CLOCK_MODE: clock} if clock else os.environ)
    default_lateness = REPLAY_LATENESS_S if mode == "replay" else LIVE_LATENESS_S
    rules = rules or os.environ.get(ENV_RULES) or ""
    config = StackConfig(
        home=str((home or home_folder()).expanduser().resolve()),
        prefix=prefix or os.environ.get(ENV_PREFIX) or DEFAULT_PREFIX,
        database=os.environ.get(ENV_DATABASE) or DEFAULT_DATABASE,
        partitions=partitions,
        kafka_port=kafka_port,
        usual_kafka_port=USUAL_KAFKA_PORT,
        store_port=store_port,
        clock_mode=mode,
        lateness_s=lateness_s(os.environ, default_lateness) if lateness is None else lateness,
        rules=str(Path(rules).expanduser().resolve()) if rules else "",
        workers=tuple(name for name in WORKERS if name not in without),
    )
    if "alerts" in config.workers:
        _check_rules(config.rules)
    state = start_detached(config, progress=say, asked=_asked_for())
    if as_json:
        answer_json(state.to_json())
    else:
        answer(describe(state))


def _asked_for() -> dict[str, str]:
    """Fields of StackConfig that the command line names -> the option, as it was written."""
    context = click.get_current_context()
    fields = {"clock": "clock_mode", "lateness": "lateness_s", "without": "workers"}
    found = {}
    for option in ("kafka_port", "store_port", "prefix", "partitions", "rules", *fields):
        if context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE:
            value = context.params[option]
            words = " ".join(value) if isinstance(value, tuple) else value
            found[fields.get(option, option)] = f"--{option.replace('_', '-')} {words}"
    return found


def _check_rules(rules: str) -> None:
    """A wrong rule stops `up` before anything is started."""
    from streamgauge.alerting.rules.loader import DEFAULT_PACK, load

    load(rules or DEFAULT_PACK)


def describe(state: StackState) -> str:
    """What a person needs to use the stack."""
    lines = [
        f"Kafka       {state.bootstrap}   topics {state.prefix}*",
        f"ClickHouse  {state.store_url}   database {state.database}, user {state.store_user}",
    ]
    if state.password_file:
        lines.append(f"            password in {state.password_file}")
    if state.reader_user:
        lines.append(
            f"            read-only: user {state.reader_user}, "
            f"password in {state.reader_password_file}"
        )
    call = call_on(Path(state.home))
    lines += [
        f"Client key  {state.hmac_key_file}   (STREAMGAUGE_HMAC_KEY for your apps)",
        f"Data        {state.home}   logs in {Path(state.home) / 'logs'}",
        f"Clock       {state.clock_mode}, lateness {state.lateness_s:g} s",
        "",
        f"an app:     {ENV_BOOTSTRAP}={state.bootstrap} python examples/embed.py",
        f"ask:        {call} sql '{QUESTION}'",
        *_curl(state),
        f"subscribe:  {call} alerts tail",
        f"stop:       {call} down",
    ]
    return "\n".join(lines)


def _curl(state: StackState) -> list[str]:
    """The same question without us; none for a ClickHouse of the user's, whose password is not
    in a file of ours."""
    if not state.reader_user:
        return []
    password = shlex.quote(state.reader_password_file)
    return [
        f"by HTTP:    curl -u {state.reader_user}:$(cat {password}) "
        f"'{state.store_url}/?database={state.database}' -d '{QUESTION}'"
    ]


@command(example="streamgauge down\nstreamgauge down --purge --yes")
@home_option
@click.option(
    "--purge", is_flag=True,
    help="Also remove the data folder (topics, tables, keys) and the demo's runs beside it.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do what --purge plans.")
def down(home: Path | None, *, purge: bool, yes: bool) -> None:
    """Stop the stack in order: workers, store, Kafka. What does not end in time is killed."""
    from streamgauge.deploy.demo.runs import find_runs, forget_runs, runs_folder
    from streamgauge.deploy.stack.detached import stop_detached
    from streamgauge.deploy.stack.layout import OURS, is_locked
    from streamgauge.deploy.stack.layout import purge as remove
    from streamgauge.deploy.stack.logs import folder_bytes

    folder = (home or home_folder()).expanduser().resolve()
    if purge and not yes:
        here = [folder / name for name in OURS if (folder / name).exists()]
        here += find_runs(runs_folder(folder))
        if not here:
            say(f"nothing to remove in {folder}")
            return
        say("would stop the stack and remove:")
        for path in here:
            size = folder_bytes(path) if path.is_dir() else path.stat().st_size
            say(f"  {path}  {human_bytes(size)}")
        raise Misconfigured(
            "--purge removes data for good and was not confirmed", hint="add --yes to do it"
        )
    if read_state(folder) is None and not purge and not is_locked(folder):
        say(f"no stack has been started on {folder}")
        return
    ran = is_locked(folder)
    killed = stop_detached(folder, progress=say)
    if ran or killed:
        say("stopped" + (f"; had to kill {', '.join(killed)}" if killed else ""))
    else:
        say(f"nothing runs on {folder}")
    if purge and folder.exists():
        remove(folder)
        say(f"removed the data in {folder}")
    for run in forget_runs(runs_folder(folder)) if purge else ():
        say(f"removed the demo run {run}")

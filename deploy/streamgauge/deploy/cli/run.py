"""`streamgauge run`: one process of the stack in the foreground, as the supervisor starts it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import click

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.cli.base import command, home_option
from streamgauge.deploy.cli.numbers import PORT
from streamgauge.deploy.paths import home_folder
from streamgauge.deploy.stack.plan import WORKERS, worker_exists


@command(example="streamgauge run metrics\nSTREAMGAUGE_METRICS_PORT=9101 streamgauge run scores")
@click.argument("process", type=click.Choice([*WORKERS, "store"]))
@home_option
@click.option("--port", type=PORT, default=0, help="Of the store (default: a free one).")
def run(process: str, home: Path | None, port: int) -> int:
    """Run one process until Ctrl-C or SIGTERM.

    Kafka and ClickHouse are those of the environment, else of the running stack. More processes of
    one name share the work. `run store` runs the embedded ClickHouse on the data folder.
    """
    if process == "store":
        return _run_store(home, port)
    if not worker_exists(process):
        raise Misconfigured(f"{WORKERS[process]} is not in this installation")
    from streamgauge.deploy.context import Context

    os.environ.update(Context.find(home=home).client_env())
    result = importlib.import_module(WORKERS[process]).run()
    return result if isinstance(result, int) else 0


def _run_store(home: Path | None, port: int) -> int:
    from streamgauge.storage.embedded import __main__ as embedded

    folder = (home or home_folder()).expanduser().resolve()
    result = embedded.main(["--data", str(folder / "store"), "--port", str(port)])
    return result if isinstance(result, int) else 0

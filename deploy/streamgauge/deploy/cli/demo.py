"""`streamgauge demo`: hands over to streamgauge.deploy.demo.run."""

from __future__ import annotations

from pathlib import Path

import click

from streamgauge.deploy.cli.base import INCIDENTS, command, json_option
from streamgauge.deploy.cli.numbers import SPEED


@command(example="streamgauge demo --seed 7\nstreamgauge demo --incidents none")
@click.option("--seed", default=1, show_default=True, help="Moves times, sizes and apps.")
@click.option(
    "--incidents", default="all", show_default=True,
    help=f"all, none, or some with commas: {INCIDENTS}.",
)  # fmt: skip
@click.option(
    "--speed", type=SPEED, default=60.0, show_default=True, help="Event time per wall time."
)
@click.option("--stay/--no-stay", default=None, help="Stay up afterwards (default: on a terminal).")
@click.option(
    "--keep", is_flag=True, help="Leave topics and database on a broker and ClickHouse of yours."
)
@json_option
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the data of runs, the last 3 are kept (default: beside the stack's).",
)  # fmt: skip
def demo(
    seed: int,
    incidents: str,
    speed: float,
    home: Path | None,
    *,
    stay: bool | None,
    keep: bool,
    as_json: bool,
) -> int:
    """Replay an hour of real LLM traffic with planted incidents through the whole stack.

    Exits 0 only if every planted page-class incident was found and nothing false fired. On a broker
    or ClickHouse of yours (STREAMGAUGE_BOOTSTRAP, STREAMGAUGE_STORE_URL) it then removes its topics
    and its database; after a failure it keeps them and says how to remove them.
    """
    from streamgauge.deploy.demo.run import main

    return main(
        seed=seed, incidents=incidents, speed=speed, stay=stay, keep=keep, home=home,
        as_json=as_json,
    )  # fmt: skip

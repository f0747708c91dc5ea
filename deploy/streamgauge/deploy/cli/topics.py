"""`streamgauge topics create | check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from streamgauge.contracts.topics import DEFAULT_PARTITIONS, REGISTRY
from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    find_context,
    group,
    home_option,
    json_option,
    say,
    table,
)
from streamgauge.deploy.cli.numbers import COUNT


@group("topics", example="streamgauge topics check")
def topics() -> None:
    """The Kafka topics of streamgauge, as the registry describes them."""


@topics.command("create")
@home_option
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True)
@click.option("--replication", default=-1, help="Replicas (default: the broker's setting).")
def _create(home: Path | None, partitions: int, replication: int) -> None:
    """Create the topics that are missing; existing ones are left as they are."""
    from streamgauge.deploy.topics import create_topics

    kafka = find_context(home).kafka()
    created = create_topics(kafka, partitions=partitions, replication=replication)
    for name in created:
        answer(name)
    say(f"{len(created)} created, {len(REGISTRY) - len(created)} were there, at {kafka.bootstrap}")


@topics.command("check")
@home_option
@click.option(
    "--partitions", type=COUNT, default=None, help="Expect so many (default: accept any count)."
)
@json_option
def _check(home: Path | None, partitions: int | None, *, as_json: bool) -> int:
    """Compare the broker's topics with the registry; exit 1 if something differs."""
    from streamgauge.deploy.topics import check_topics

    kafka = find_context(home).kafka()
    problems = check_topics(kafka, partitions=partitions)
    if as_json:
        answer_json([asdict(p) for p in problems])
    elif problems:
        answer(table(["topic", "problem", "mend"], [(p.topic, p.what, p.mend) for p in problems]))
    else:
        say(f"{len(REGISTRY)} topics at {kafka.bootstrap} are as the registry says")
    return 1 if problems else 0

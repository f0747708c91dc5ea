"""Makes docs/reference/{cli,metrics,views}.md from the code.

pages: cli and metrics from the click tree and the metric registries, views from a migrated store.
The tests beside this file fail when a page is stale; mend with
`python -m tests.docs.reference_pages` in the root of the repository.
Not here: events.md, alerts.md, topics.md (streamgauge.contracts.reference).
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from prometheus_client import metrics as prometheus

from streamgauge.alerting.rules.metrics import DIMENSIONS, MAP_DIMENSIONS, METRICS
from streamgauge.deploy.cli import root
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors import telemetry

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
HEAD = "<!-- Made by tests/docs/reference_pages.py from {source}: edit that. -->\n"


def cell(text: str) -> str:
    """Text as one cell of a table."""
    return " ".join(text.replace("|", "\\|").replace("__other__", "`__other__`").split())


# -- the command line ---------------------------------------------------------------------------


def commands(
    command: click.Command, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command below and including this one: its whole name, itself, its context."""
    context = click.Context(command, info_name=command.name, parent=parent)
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from commands(found, context)


def cli_page() -> str:
    """Every command of `streamgauge` with its arguments, options and defaults."""
    parts = [HEAD.format(source="the commands"), "# Command line\n"]
    for path, command, context in commands(root._root()):
        level = "##" if path.count(" ") < 2 else "###"
        parts.append(f"{level} {path}\n")
        parts.append(inspect.cleandoc(command.help or "").strip() + "\n")
        example = getattr(command, "example", "")
        if example:
            parts.append(f"```sh\n{example.strip()}\n```\n")
        rows = [_parameter(p, context) for p in command.params]
        if rows:
            parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _parameter(parameter: click.Parameter, context: click.Context) -> str:
    default = parameter.get_default(context, call=False)
    told = isinstance(default, (str, int, float)) and default not in (False, "")
    shown = f"`{default}`" if told else ""
    if isinstance(parameter, click.Option):
        flag = parameter.is_flag
        name = f"{', '.join(parameter.opts)}{'' if flag else ' ' + _kind(parameter)}"
        meaning = parameter.help or ""
        if parameter.multiple and "May be repeated" not in meaning:
            meaning = f"{meaning} May be repeated."
    else:
        name, meaning = parameter.human_readable_name, _kind(parameter)
        shown = "" if parameter.required else shown or "optional"
    return f"| `{cell(name)}` | {cell(meaning)} | {shown} |"


def _kind(parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice):
        return " | ".join(str(choice) for choice in parameter.type.choices)
    return parameter.metavar or parameter.type.name.upper()


# -- metrics ------------------------------------------------------------------------------------


def prometheus_metrics() -> list[Any]:
    """The collectors that the workers define."""
    return [m for m in vars(telemetry).values() if isinstance(m, prometheus.MetricWrapperBase)]


def metrics_page() -> str:
    """Prometheus metrics of the workers, and the metrics that a rule may name."""
    parts = [
        HEAD.format(source="telemetry.py and rules/metrics.py"),
        "# Metrics\n",
        "## Health of the workers\n",
        "Beside `/metrics`, each stream worker answers `/healthz` and `/readyz` with 200, or with "
        '503 and the reasons: `{"status": "failing", "writer": ..., "instance": ..., '
        '"problems": {what: why}}`.\n',
        "- `/healthz`: it makes progress: its loop turns, its flush thread is not stuck, what "
        "waits moves. A supervisor should end and restart a worker that fails it for a minute.\n"
        "- `/readyz`: it can work: its positions are known, Kafka and the store answer, its last "
        "attempt to write went through. A worker waits for whatever is away, so do not restart it "
        "for this. `streamgauge status` asks it.\n",
        "## Prometheus metrics of the workers\n",
        "The metrics, scores and drift workers serve them on `STREAMGAUGE_METRICS_PORT`; "
        "`streamgauge status` shows the addresses. `writer` is `metrics`, `scores` or `drift`; "
        "`key` is a source partition. The alert engine serves none.\n",
        "| name | kind | labels | meaning |\n|---|---|---|---|",
    ]
    for metric in prometheus_metrics():
        (described,) = metric.describe()
        name = described.name + ("_total" if described.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)
        parts.append(
            f"| `{name}` | {described.type} | {labels} | {cell(described.documentation)} |"
        )
    parts += [
        "\n## Metrics of rules\n",
        "What `metric`, `bad` and `total` of a rule may name. Monotone: more data in a window "
        "can only raise it, so it may be judged before the window is final. "
        "Quantiles are within 1 %.\n",
        "| name | unit | monotone | meaning |\n|---|---|---|---|",
    ]
    for name, rule_metric in sorted(METRICS.items()):
        monotone = "yes" if rule_metric.monotone else ""
        parts.append(
            f"| `{name}` | {cell(rule_metric.unit)} | {monotone} | {cell(rule_metric.meaning)} |"
        )
    parts += [
        "\nA rule may group by and filter on: " + ", ".join(f"`{d}`" for d in DIMENSIONS) + ".",
        "A novelty rule may also watch: " + ", ".join(f"`{d}`" for d in MAP_DIMENSIONS) + ".\n",
    ]
    return "\n".join(parts)


# -- views --------------------------------------------------------------------------------------

_VIEWS = """
SELECT name, comment FROM system.tables
WHERE database = {db:String} AND startsWith(name, 'v_') ORDER BY name
"""
_COLUMNS = """
SELECT table, name, type, comment FROM system.columns
WHERE database = {db:String} AND startsWith(table, 'v_') ORDER BY table, position
"""


def views_page(settings: StoreSettings) -> str:
    """Every view `v_*` of a migrated database with its columns."""
    with connect(settings) as client:
        views = client.query(_VIEWS, {"db": settings.database})
        columns = client.query(_COLUMNS, {"db": settings.database})
    parts = [
        HEAD.format(source="storage/streamgauge/storage/migrations"),
        "# Views\n",
        "What people and dashboards query. Unknown is NULL, money is USD, times are UTC. "
        "Tables beneath may change; names and meanings here do not. `v_spend` is up to 10 s behind "
        "the others: its table is written every 10 s.\n",
    ]
    for view in views:
        rows = [_column(c) for c in columns if c["table"] == view["name"]]
        parts.append(f"## {view['name']}\n\n{view['comment']}.\n")
        parts.append("\n".join(["| column | type | meaning |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _column(column: Mapping[str, Any]) -> str:
    return f"| `{column['name']}` | `{cell(column['type'])}` | {cell(column['comment'])} |"


def write() -> None:
    """Write the three pages."""
    from streamgauge.storage.embedded.process import EmbeddedStore
    from streamgauge.storage.migrate import migrate

    (REFERENCE / "cli.md").write_text(cli_page(), encoding="utf-8")
    (REFERENCE / "metrics.md").write_text(metrics_page(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedStore(Path(folder), memory_mb=1024, fsync=False, die_with_parent=True)
        server.start()
        try:
            settings = server.settings("reference")
            migrate(settings)
            (REFERENCE / "views.md").write_text(views_page(settings), encoding="utf-8")
        finally:
            server.stop()


if __name__ == "__main__":
    write()

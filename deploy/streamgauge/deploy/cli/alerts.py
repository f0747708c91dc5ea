"""`streamgauge alerts tail | list | fire-test`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
from streamgauge.deploy.cli.numbers import SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from streamgauge.contracts.alerts import Alert

ANSWER_S = 10.0
"""How long the broker may take to answer at the start."""

PAST_READ_S = 3.0
"""Silence after which the past has been read: a broker answers a fetch within half a second."""

match_option = click.option(
    "--match", multiple=True, metavar="NAME=VALUE",
    help="Only alerts whose label or attribute (rule, severity ...) has this value; * is wild. "
    "May be repeated: other names must match too, the same name means either value.",
)  # fmt: skip
timeout_option = click.option(
    "--timeout", type=SECONDS, help="End after so many seconds of silence."
)


@group(
    "alerts",
    example="streamgauge alerts tail --match severity=page\nstreamgauge alerts list --json",
)
def alerts() -> None:
    """Alerts: the topic llm.alerts.v1, as any subscriber sees it."""


@alerts.command("list")
@home_option
@match_option
@json_option
def _list(home: Path | None, match: tuple[str, ...], *, as_json: bool) -> None:
    """The alerts that are open now."""
    from streamgauge.alerting import AlertSubscriber
    from streamgauge.contracts.clock import SystemClock
    from streamgauge.deploy.status.collect import rules_behind

    context = find_context(home)
    settings = context.kafka()
    with AlertSubscriber(settings, match=parse_match(match), timeout_s=ANSWER_S) as subscriber:
        found = subscriber.current()
    if as_json:
        answer_json([alert.model_dump(mode="json", by_alias=True) for alert in found])
        return
    if found:
        head = ["severity", "rule", "about", "value", "since", "status"]
        answer(table(head, [_row(alert) for alert in found]))
    say(f"{len(found)} open")
    behind = rules_behind(context, clock=SystemClock())
    if behind:
        say(f"note: {behind}")


def _row(alert: Alert) -> tuple[object, ...]:
    since = alert.fired_at or alert.starts_at
    return (alert.severity, alert.rule, about(alert), number(alert), clock(since), alert.status)


@alerts.command("tail")
@home_option
@match_option
@timeout_option
@click.option("--from-start", is_flag=True, help="Also the transitions of the past.")
@json_option
def _tail(
    home: Path | None,
    match: tuple[str, ...],
    timeout: float | None,
    *,
    from_start: bool,
    as_json: bool,
) -> None:
    """What is open now, then every transition as it comes; --json prints one object a line."""
    from streamgauge.alerting import AlertSubscriber
    from streamgauge.contracts.topics import ALERTS

    settings = find_context(home).kafka()
    with AlertSubscriber(
        settings, match=parse_match(match), from_start=from_start, timeout_s=ANSWER_S
    ) as subscriber:
        if not from_start:
            for alert in subscriber.current():
                _print(alert, as_json=as_json, word="open")
        else:
            # partitions are read one after the other; the past is told in the order of event time
            quiet_s = PAST_READ_S if timeout is None else min(PAST_READ_S, timeout)
            past = list(subscriber.iter(timeout=quiet_s))
            for alert in sorted(past, key=lambda a: (a.updated_at, a.rule, a.seq)):
                _print(alert, as_json=as_json, word=str(alert.transition))
        say(f"following {settings.topic(ALERTS)} ...")
        for alert in subscriber.iter(timeout=timeout):
            _print(alert, as_json=as_json, word=str(alert.transition))


def _print(alert: Alert, *, as_json: bool, word: str) -> None:
    if as_json:
        answer(alert.model_dump_json(by_alias=True))
    else:
        summary = alert.annotations.get("summary", "")
        answer(
            f"{clock(alert.updated_at)}  {word:<12}{alert.severity:<7}{alert.rule}  "
            f"{about(alert)}  {number(alert)}{why(alert)}  {summary}".rstrip()
        )
    sys.stdout.flush()


@alerts.command("fire-test")
@home_option
@click.option(
    "--severity", type=click.Choice(["info", "ticket", "page"]), default="info", show_default=True
)
@click.option(
    "--label",
    multiple=True,
    metavar="NAME=VALUE",
    help="A label, to test routes with. May be repeated.",
)
@click.option(
    "--timeout", type=SECONDS, default=30.0, show_default=True, help="Seconds to wait for it."
)
@json_option
def _fire_test(
    home: Path | None, severity: str, label: tuple[str, ...], timeout: float, *, as_json: bool
) -> None:
    """Fire and resolve a test alert through the real engine; exit 3 if it does not come back."""
    from streamgauge.alerting import fire_test
    from streamgauge.alerting.settings import runbook_base

    found = fire_test(
        find_context(home).kafka(),
        severity=severity,
        labels={name: values[-1] for name, values in parse_match(label).items()},
        timeout_s=timeout,
        runbook_base=runbook_base(),
    )
    if as_json:
        answer_json([alert.model_dump(mode="json", by_alias=True) for alert in found])
    for alert in found if not as_json else ():
        _print(alert, as_json=False, word=str(alert.transition))
    say("the test alert came back to a subscriber")


def parse_match(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """`name=value` words; a name given twice means either value.

    >>> parse_match(("severity=page", "severity=ticket", "app=search"))
    {'severity': ['page', 'ticket'], 'app': ['search']}
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{pair!r} is not NAME=VALUE", click.get_current_context())
        found.setdefault(name, []).append(value)
    return found


def about(alert: Alert) -> str:
    """The labels that say what the alert is about, without those that repeat the rule."""
    hidden = {"alertname", "severity", "team"}
    return " ".join(f"{k}={v}" for k, v in sorted(alert.labels.items()) if k not in hidden) or "-"


def number(alert: Alert) -> str:
    """Value against threshold, with the unit."""
    if alert.value is None:
        return "no data" if alert.no_data else "-"
    limit = "" if alert.threshold is None else f" (limit {alert.threshold:.4g})"
    return f"{alert.value:.4g}{' ' + alert.unit if alert.unit else ''}{limit}"


def why(alert: Alert) -> str:
    """Why it ended, where value and threshold do not say so: empty or ` [words]`.

    A change that is still beyond its factor ends when it has become too small in the metric's own
    unit, or lies within chance.
    """
    if alert.transition != "resolved":
        return ""
    if alert.reason:
        return f" [{alert.reason.replace('_', ' ')}]"
    now, before = alert.evidence.get("now"), alert.evidence.get("baseline")
    if alert.kind != "change" or alert.value is None or alert.threshold is None:
        return ""
    upward = alert.threshold >= 1
    beyond = alert.value >= alert.threshold if upward else alert.value <= alert.threshold
    if not beyond or not isinstance(now, int | float) or not isinstance(before, int | float):
        return ""
    unit = f" {alert.evidence.get('unit') or ''}".rstrip()
    return f" [{now:.4g} after {before:.4g}{unit}: too small a change, or within chance]"


def clock(when: datetime | None) -> str:
    """Event time, UTC, to the second."""
    return "-" if when is None else when.strftime("%Y-%m-%d %H:%M:%S")

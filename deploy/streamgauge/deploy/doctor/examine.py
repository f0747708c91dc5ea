"""Runs all checks in a fixed order; an error of ours in one becomes a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import StreamgaugeError
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor import machine, services
from streamgauge.deploy.doctor.model import Finding, Level

Check = Callable[[Context, Clock], Iterator[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", machine.python),
    ("packages", machine.packages),
    ("memory", machine.memory),
    ("disk", machine.disk),
    ("data folder", machine.data_folder),
    ("ports", machine.ports),
    ("java", machine.java),
    ("jars", machine.jars),
    ("processes", machine.leftovers),
    ("stack", services.stack),
    ("kafka", services.kafka),
    ("store", services.store),
    ("clock", services.clock_skew),
    ("late", services.late_apps),
    ("drift", services.drift),
    ("rules", services.rules),
    ("prices", services.prices),
    ("weights", services.weights),
)


def examine(context: Context, *, clock: Clock) -> list[Finding]:
    """Every finding, in the order of CHECKS; takes a few seconds if a service does not answer."""
    found: list[Finding] = []
    for name, check in CHECKS:
        try:
            found.extend(check(context, clock))
        except StreamgaugeError as error:
            found.append(Finding(name, Level.BAD, error.message, error.hint))
        except ImportError as error:
            what = f"{error.name} cannot be imported"
            found.append(Finding(name, Level.BAD, what, "pip install 'streamgauge[server]'"))
    return found

"""Alerts: the rules, the engine that runs them, and the subscriber that receives them.

`AlertSubscriber` needs the base install only; everything is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamgauge.alerting.rules.loader import Problem, check
    from streamgauge.alerting.subscriber import AlertSubscriber, to_alertmanager_v4
    from streamgauge.alerting.synthetic import fire_test

__all__ = ["AlertSubscriber", "Problem", "check", "fire_test", "to_alertmanager_v4"]

_FROM = {
    "AlertSubscriber": "subscriber",
    "Problem": "rules.loader",
    "check": "rules.loader",
    "fire_test": "synthetic",
    "to_alertmanager_v4": "subscriber",
}


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_FROM[name]}"), name)


def __dir__() -> list[str]:
    return __all__

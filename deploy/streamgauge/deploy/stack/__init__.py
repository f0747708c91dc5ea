"""The whole stack on one machine: Kafka, store, workers, alert engine, kept alive together.

`Stack` runs it inside this process (the demo and the crash tests), `start_detached` as a process
of its own (`streamgauge up`). Not here: what the parts do; each is a process with its own room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamgauge.deploy.stack.plan import StackConfig
from streamgauge.deploy.stack.state import StackState, read_state

if TYPE_CHECKING:
    from streamgauge.deploy.stack.stack import Stack

__all__ = ["Stack", "StackConfig", "StackState", "read_state"]


def __getattr__(name: str) -> Any:
    """`Stack` loads the clients of Kafka and the store: only when it is asked for."""
    if name == "Stack":
        from streamgauge.deploy.stack.stack import Stack

        return Stack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

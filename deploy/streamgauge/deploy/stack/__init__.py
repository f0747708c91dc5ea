"""The whole stack on one machine: Kafka, store, workers, alert engine, kept alive together.

`Stack` runs it inside this process (the demo and the crash tests), `start_detached` as a process
of its own (`streamgauge up`). Not here: what the parts do; each is a process with its own room.
"""

from streamgauge.deploy.stack.plan import StackConfig
from streamgauge.deploy.stack.stack import Stack
from streamgauge.deploy.stack.state import StackState, read_state

__all__ = ["Stack", "StackConfig", "StackState", "read_state"]

"""What runs and how it is: a snapshot of processes, lag, freshness and disk, and explanations.

`collect` looks (adapter), `explain` says what is not there yet and why (pure).
"""

from streamgauge.deploy.status.collect import collect
from streamgauge.deploy.status.explain import explain
from streamgauge.deploy.status.model import ProcessRow, Snapshot, WriterRow

__all__ = ["ProcessRow", "Snapshot", "WriterRow", "collect", "explain"]

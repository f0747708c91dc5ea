"""What happens to clients when the process forks or ends.

Installed with the first client, never at import. Fork: the child gets an empty queue, a new
producer id and no thread until it logs; what the parent had accepted, the parent sends. The
inherited Kafka Producer is kept alive for good on purpose: its threads do not exist in the child,
and collecting it would wait for them. Exit: close() at interpreter exit, and as a multiprocessing
finalizer in its children, where exit handlers do not run. os._exit and SIGKILL run nothing: call
flush() before, or accept the loss.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import Any, Final, Protocol


class Managed(Protocol):
    """What this module needs of a client."""

    def reset_after_fork(self) -> object:
        """Start anew in the child; return what must never be collected."""

    def close_at_exit(self) -> None:
        """Send what waits, within the client's own bound."""


_clients: Final[dict[int, Managed]] = {}
_immortal: Final[list[object]] = []
_installed = False


def manage(client: Managed) -> None:
    """Keep a client through forks and close it at exit."""
    global _installed
    _clients[id(client)] = client
    if not _installed:
        _installed = True
        atexit.register(_close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)


def release(client: Managed) -> None:
    """The client is closed."""
    _clients.pop(id(client), None)


def in_worker_started() -> None:
    """Called when a client's thread has started: multiprocessing children need a finalizer."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize  # loaded already: we are in its child

        Finalize(None, _close_all, exitpriority=100)


def _close_all() -> None:
    for client in list(_clients.values()):
        client.close_at_exit()
    if _immortal:
        # The interpreter's end would collect what the fork inherited, and wait for its threads.
        with contextlib.suppress(ImportError):
            import ctypes

            while _immortal:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(_immortal.pop()))


def _after_fork() -> None:
    for client in list(_clients.values()):
        _immortal.append(client.reset_after_fork())

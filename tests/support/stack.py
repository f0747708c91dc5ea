"""A whole stack for the end-to-end tests, and waiting for what it does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from streamgauge.deploy.stack import Stack, StackConfig
from streamgauge.storage.client import StoreClient, connect

ADDRESSES = ("STREAMGAUGE_BOOTSTRAP", "STREAMGAUGE_STORE_URL")


@contextlib.contextmanager
def running_stack(home: Path, **config: object) -> Iterator[Stack]:
    """A stack of our own Kafka and store on this folder, whatever the environment names."""
    env = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    stack = Stack(StackConfig(home=str(home), **config), env=env)  # type: ignore[arg-type]
    with stack:
        yield stack


@contextlib.contextmanager
def store_client(stack: Stack) -> Iterator[StoreClient]:
    """A client of the stack's store."""
    client = connect(stack.store)
    try:
        yield client
    finally:
        client.close()

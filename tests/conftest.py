"""Shared fixtures: one real Apache Kafka and one ClickHouse engine per test session.

`kafka`: a running broker (`.bootstrap`); topics get a prefix of their own per test (`topic_prefix`).
`store`: a running embedded ClickHouse (`StoreSettings`), with a database of its own per test.
They are never skipped: a machine that cannot run them fails the test and says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.support.kafka", "tests.support.store"]


@pytest.fixture
def topic_prefix() -> Iterator[str]:
    """A prefix that no other test uses."""
    yield f"t{uuid.uuid4().hex[:8]}."

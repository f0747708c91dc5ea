"""Shared fixtures: one real Apache Kafka and one ClickHouse engine per test session.

`kafka`: a running broker (`.bootstrap`); a test names its topics with `topic_prefix`.
`store`: a running embedded ClickHouse (`StoreSettings`), with a database of its own per test.
They are never skipped: a machine that cannot run them fails the test and says why.
"""

from __future__ import annotations

import uuid
from importlib.util import find_spec

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether it holds.
settings.register_profile("any_machine", deadline=None)
settings.load_profile("any_machine")

pytest_plugins = [m for m in ("tests.support.kafka", "tests.support.store") if find_spec(m)]


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses."""
    return f"t{uuid.uuid4().hex[:8]}."

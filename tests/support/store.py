"""A running embedded ClickHouse for tests.

`store_server`: one per test session. `store`: settings with a fresh, migrated database.
`store_reader`: the read-only account on the same database.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from streamgauge.storage.client import connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.migrate import migrate
from streamgauge.storage.settings import StoreSettings


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """A store that answers; ended with the session, or with the test process."""
    server = EmbeddedStore(
        tmp_path_factory.mktemp("store"), memory_mb=1024, fsync=False, die_with_parent=True
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(store_server: EmbeddedStore) -> Iterator[StoreSettings]:
    """Writer settings with a database that nobody else uses."""
    settings = store_server.settings(f"t{uuid.uuid4().hex[:10]}")
    migrate(settings)
    yield settings
    with connect(settings) as client:
        client.command(f"DROP DATABASE `{settings.database}` SYNC", use_database=False)


@pytest.fixture
def store_reader(store_server: EmbeddedStore, store: StoreSettings) -> StoreSettings:
    """The read-only account on the database of `store`."""
    return store_server.reader_settings(store.database)

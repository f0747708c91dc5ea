"""A block that is sent again: because its part is lost, its answer, or the time that it had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.contracts.errors import UnknownOutcome
from streamgauge.storage.block import Block
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.embedded.process import EmbeddedStore
from streamgauge.storage.handshake import EXPECT_HEADER
from streamgauge.storage.migrate import migrate
from streamgauge.storage.migration_files import shipped
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.writer import Guard, InsertOutcome, SinkWriter, insert_settings
from tests.support.blocks import KEY, block_of, offsets, writer
from tests.support.sinks import client

__all__ = ["client"]  # a fixture of this file
pytestmark = pytest.mark.clickhouse
PARTS = """
SELECT path FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'judgements'
"""


def test_block_whose_part_is_gone_after_a_start_is_stored_when_it_is_sent_again(
    tmp_path: Path,
) -> None:
    """As after a start that sets a broken part aside, or a kill before the part had its name."""
    server = EmbeddedStore(tmp_path / "store", memory_mb=1024, fsync=False, die_with_parent=True)
    settings = server.start()
    migrate(settings, migrations=shipped()[:1])
    lost = block_of(0, 3)
    sink = writer(settings)
    assert sink.insert(lost) is InsertOutcome.STORED
    sink.close()
    with connect(settings) as client:
        ((part,),) = client.rows(PARTS)[1]
    server.stop()
    shutil.move(Path(part), tmp_path / "aside")
    server.start()
    sink = writer(settings)
    assert sink.high_water("judgements") == {}
    assert sink.insert(lost) is InsertOutcome.STORED
    with connect(settings) as client:
        assert offsets(client) == [0, 1, 2]
    assert sink.high_water("judgements") == {KEY: 3}
    sink.close()
    server.stop()


def test_guarded_insert_of_which_nothing_comes_out_is_not_said_to_be_done(
    client: StoreClient,
) -> None:
    """The engine drops rows in silence whose token it knows."""
    made = block_of(0, 3)

    def send() -> None:
        client.insert_stream(
            made.table,
            made.columns,
            made.body,
            settings=insert_settings(30, made.token),
            headers={EXPECT_HEADER: "{}"},
        )

    send()
    with pytest.raises(UnknownOutcome, match="no part came out"):
        send()
    assert offsets(client) == [0, 1, 2]


def attempt_s(sink: SinkWriter, block: Block) -> tuple[InsertOutcome | None, float]:
    """What became of one attempt, None if it timed out, and how long it took."""
    clock = SystemClock()
    started = clock.monotonic()
    try:
        outcome: InsertOutcome | None = sink.insert(block)
    except UnknownOutcome:
        outcome = None
    return outcome, clock.monotonic() - started


@pytest.mark.parametrize("guard", ["header", "sql"])
def test_block_that_takes_longer_than_it_may_gets_more_time_where_that_is_safe(
    store: StoreSettings, client: StoreClient, guard: Guard
) -> None:
    """With its marker a row takes 1.2 s to be parsed, and 1.2 s more to be stored."""
    client.command("ALTER TABLE judgements ADD COLUMN late UInt8 MATERIALIZED sleepEachRow(0.6)")
    sink = writer(store, guard=guard, session_s=2)  # 1 s
    slow = block_of(0, 1)
    attempts = [attempt_s(sink, slow)]
    while attempts[-1][0] is None and len(attempts) < (6 if guard == "header" else 2):
        attempts.append(attempt_s(sink, slow))
    first, second = attempts[0], attempts[1]
    assert first[0] is None
    assert first[1] < 1.9
    if guard == "sql":
        assert second[1] < 1.9, "a real server has no lock: the session ends"
    else:
        assert attempts[-1][0] is InsertOutcome.STORED
        assert offsets(client) == [0]
        outcome, took_s = attempt_s(sink, block_of(1, 1))
        assert (outcome, took_s < 1.9) == (None, True), "the next one has as long as at first"
    sink.close()

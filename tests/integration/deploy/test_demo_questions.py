"""The demo's SQL is asked when the views have everything that was replayed."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path

import pytest

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.demo.run import Options, _Demo
from streamgauge.storage.client import connect
from streamgauge.storage.settings import StoreSettings

pytestmark = [pytest.mark.clickhouse]
CENT = 10_000_000  # nano-dollars


def test_the_demo_says_who_spent_the_most_when_the_spend_of_every_request_is_stored(
    store: StoreSettings, tmp_path: Path
) -> None:
    spend = (
        "INSERT INTO spend (kind, written_on, t, tenant, app, user_id, n, cost_nano_usd)"
        " VALUES (0, today(), toStartOfHour(now()), 'default', 'search', 'u1', {n}, {n} * {cent})"
    )
    with connect(store) as writer, connect(store) as client:
        writer.command(
            "INSERT INTO windows (kind, written_on, resolution, tenant, t, app, revision, scheme,"
            " n, cost_nano_usd) VALUES"
            f" (0, today(), 3600, 'default', toStartOfHour(now()), 'search', 0, 1, 9, {9 * CENT})"
        )
        writer.command(spend.format(n=2, cent=CENT))
        rest = threading.Timer(1.0, writer.command, [spend.format(n=7, cent=CENT)])
        rest.start()
        answers = _Demo(Options(home=tmp_path), SystemClock())._answers(client)
        rest.join()
    (row,) = next(a.rows for a in answers if a.question == "Who spent the most?")
    assert row == ["search", "u1", Decimal("0.09")]

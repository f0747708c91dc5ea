"""How long data are kept, per data class, and applying it to a database.

Retention counts from the day on which a block was written, never from event time, so that a replay
of old traffic is not gone at once. Markers are kept for good. A change only sets the table's TTL;
parts are cleaned by the engine's next merges.

    STREAMGAUGE_KEEP_EVENTS_DAYS=30     and so on, one per class of DEFAULT_DAYS
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.client import StoreClient
from streamgauge.storage.sqltext import quote_string

DEFAULT_DAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "texts": 7,
        "windows_10s": 7,
        "dead_letters": 14,
        "events": 30,
        "scores": 30,
        "ingest": 30,
        "windows_60s": 90,
        "score_windows": 90,
        "histograms": 90,
        "judgements": 400,
        "spend": 400,
        "windows_3600s": 730,
        "drift": 730,
        "alerts": 730,
    }
)
"""Days per data class, as in the migrations."""
_TABLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "events": (("events", "kind = 0"),),
        "texts": (("texts", "kind = 0"),),
        "dead_letters": (("dead_letters", "kind = 0"),),
        "scores": (("scores", "kind = 0"),),
        "ingest_log": (("ingest", "kind = 0"),),
        "producers": (("ingest", "kind = 0"),),
        "score_windows": (("score_windows", "kind = 0"),),
        "histograms": (("histograms", "kind = 0"),),
        "judgements": (("judgements", "kind = 0"),),
        "spend": (("spend", "kind = 0"),),
        "drift_verdicts": (("drift", "kind = 0"),),
        "changes": (("drift", "kind = 0"),),
        "alerts": (("alerts", "kind = 0"),),
        "directive_log": (("alerts", "kind = 0"),),
        "windows": (
            ("windows_10s", "(kind = 0) AND (resolution = 10)"),
            ("windows_60s", "(kind = 0) AND (resolution = 60)"),
            ("windows_3600s", "(kind = 0) AND (resolution = 3600)"),
        ),
    }
)
ENV_PREFIX: Final = "STREAMGAUGE_KEEP_"
MAX_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class Retention:
    """Days per data class; classes not named keep their default."""

    days: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_DAYS))

    def __post_init__(self) -> None:
        """Misconfigured: an unknown class, or days outside 1 to 36500."""
        for name, days in self.days.items():
            if name not in DEFAULT_DAYS:
                raise Misconfigured(
                    f"{name!r} is no data class", hint=f"there are {', '.join(DEFAULT_DAYS)}"
                )
            if not 1 <= days <= MAX_DAYS:
                raise Misconfigured(
                    f"keep {name} for {days} days: expected 1 to {MAX_DAYS}",
                    hint=f"set {ENV_PREFIX}{name.upper()}_DAYS",
                )

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Retention:
        """Defaults, changed by STREAMGAUGE_KEEP_<CLASS>_DAYS."""
        days = dict(DEFAULT_DAYS)
        for variable, text in env.items():
            if not (variable.startswith(ENV_PREFIX) and variable.endswith("_DAYS") and text):
                continue
            name = variable.removeprefix(ENV_PREFIX).removesuffix("_DAYS").lower()
            if not text.isdigit():
                raise Misconfigured(f"{variable}={text!r}: expected a whole number of days")
            days[name] = int(text)
        return cls(days)

    def ttl(self, table: str) -> str:
        """The TTL clause of a table."""
        return ", ".join(
            f"written_on + toIntervalDay({self.days.get(name, DEFAULT_DAYS[name])})"
            f" DELETE WHERE {condition}"
            for name, condition in _TABLES[table]
        )


def apply_retention(
    client: StoreClient, retention: Retention, *, cluster: str | None = None
) -> list[str]:
    """Set the TTL of every table whose days differ; their names. No mutation runs."""
    changed = []
    on_cluster = f" ON CLUSTER {quote_string(cluster)}" if cluster else ""
    ddl = _statements(client)
    for table in sorted(_TABLES):
        ttl = retention.ttl(table)
        shown = ttl.replace(" DELETE WHERE ", " WHERE ")  # as the engine writes it
        if table not in ddl or f"TTL {shown} SETTINGS" in ddl[table]:
            continue
        client.command(
            f"ALTER TABLE `{client.settings.database}`.`{table}`{on_cluster} MODIFY TTL {ttl}",
            settings={"materialize_ttl_after_modify": 0},
        )
        changed.append(table)
    return changed


def read_days(client: StoreClient) -> dict[tuple[str, str], int]:
    """Days by (table, data class) as this database has them; what is kept for good has none."""
    ddl = _statements(client)
    found = {}
    for table, classes in _TABLES.items():
        for name, condition in classes:
            clause = rf"\((\d+)\) (?:DELETE )?WHERE {re.escape(condition)}(?:,| SETTINGS)"
            if match := re.search(clause, ddl.get(table, "")):
                found[table, name] = int(match[1])
    return found


def _statements(client: StoreClient) -> dict[str, str]:
    rows = client.query(
        "SELECT name, create_table_query AS ddl FROM system.tables WHERE database = {db:String}",
        {"db": client.settings.database},
    )
    return {row["name"]: row["ddl"] for row in rows}

"""Bringing a database to this version: which statements ran, a lock, resuming, checking.

The ledger `migrations` has one row per statement that ran; a run that was cut off goes on at the
first one missing, and nothing has to be forced. A statement that ran may not change any more.
Not here: what the files may hold and how they are rendered (migration_files.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import BadInput, Misconfigured, Retryable, StreamgaugeError
from streamgauge.storage import migration_files
from streamgauge.storage.client import StoreClient, connect
from streamgauge.storage.migration_files import Migration
from streamgauge.storage.settings import StoreSettings
from streamgauge.storage.sqltext import quote_string
from streamgauge.storage.tables import TABLES

_LEDGER = """CREATE TABLE IF NOT EXISTS {{DB}}.migrations {{ON_CLUSTER}} (
    version UInt32 COMMENT 'Number of the file',
    statement UInt32 COMMENT 'Number of the statement in it, from 1',
    name String COMMENT 'Name of the file',
    sha256 String COMMENT 'Of the statement before rendering',
    finished_at DateTime64(3, 'UTC') COMMENT 'When it had run',
    host String COMMENT 'Machine that ran it',
    app_version String COMMENT 'Version of streamgauge that ran it'
) ENGINE = {{ENGINE:ReplacingMergeTree}} ORDER BY (version, statement)
COMMENT 'One row is one migration statement that has run'"""
_LOCK = "_migration_lock"
_TABLE_EXISTS = 57
_AGAIN = (
    "restore it from a backup; or make it anew, empty: TRUNCATE TABLE migrations, then"
    " `streamgauge store migrate` (its statements can be repeated)"
)


@dataclass(frozen=True, slots=True)
class Applied:
    """A statement that was run, or would be (dry run): rendered."""

    version: int
    name: str
    statement: int
    sql: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a database does not fit. `kind`: missing, pending, changed, newer or column."""

    kind: str
    message: str
    mend: str = "streamgauge store migrate"


def render(*, database: str = "llm", cluster: str | None = None) -> str:
    """Every statement as a script, for reading or for another tool."""
    parts = []
    for migration in migration_files.shipped():
        parts.append(f"-- {migration.version:04} {migration.name} ({migration.weight})")
        for statement in migration.statements:
            done = migration_files.render(statement, database=database, cluster=cluster)
            parts.append(done + ";")
    return "\n\n".join(parts) + "\n"


def migrate(
    settings: StoreSettings,
    *,
    cluster: str | None = None,
    dry_run: bool = False,
    heavy: bool = False,
    migrations: Sequence[Migration] | None = None,
    lock_wait_s: float = 60.0,
    clock: Clock | None = None,
) -> list[Applied]:
    """Run what has not run yet, in order; what was run. Idempotent, resumable, one at a time.

    cluster: name for ON CLUSTER; None is a single node. heavy: also run the heavy ones; without,
    the run stops before the first heavy one. Misconfigured: a statement that had run was changed.
    Unreachable: no store, or another migration holds the lock.
    """
    files = tuple(migrations) if migrations is not None else migration_files.shipped()
    clock = clock or SystemClock()
    with connect(settings, timeout_s=300) as client:
        done = _done(client)
        _refuse_changes(files, done)
        plan = [
            Applied(
                m.version,
                m.name,
                number,
                migration_files.render(s, database=settings.database, cluster=cluster),
            )
            for m in _until_heavy(files, heavy)
            for number, s in enumerate(m.statements, 1)
            if (m.version, number) not in done
        ]
        if dry_run or not plan:
            return plan
        _prepare(client, cluster)
        _lock(client, clock, lock_wait_s)
        try:
            done = _done(client)
            ran = [step for step in plan if (step.version, step.statement) not in done]
            for migration in files:
                steps = [step for step in ran if step.version == migration.version]
                _run_file(client, migration, steps, clock)
            return ran
        finally:
            client.command(
                f"DROP TABLE IF EXISTS `{settings.database}`.`{_LOCK}`", use_database=False
            )


def check(
    settings: StoreSettings, *, migrations: Sequence[Migration] | None = None
) -> list[Problem]:
    """What is wrong with the database; nothing if it fits this version."""
    files = tuple(migrations) if migrations is not None else migration_files.shipped()
    problems: list[Problem] = []
    with connect(settings) as client:
        done = _done(client)
        if not done:
            return [Problem("missing", f"database {settings.database} has no streamgauge tables")]
        known = {
            (m.version, n): m.checksum(n) for m in files for n in range(1, len(m.statements) + 1)
        }
        pending = sorted({version for version, number in known if (version, number) not in done})
        if pending:
            problems.append(Problem("pending", f"migrations have not run: {pending}"))
        changed = sorted({k[0] for k, sha in done.items() if k in known and known[k] != sha})
        if changed:
            problems.append(
                Problem("changed", f"migrations were changed after they ran: {changed}")
            )
        newer = sorted({k[0] for k in done if k not in known})
        if newer:
            problems.append(Problem("newer", f"a newer streamgauge has run migrations {newer}"))
        rows = client.query(
            "SELECT table, groupArray(name) AS names FROM system.columns"
            " WHERE database = {db:String} GROUP BY table",
            {"db": settings.database},
        )
        there = {row["table"]: set(row["names"]) for row in rows}
        # what a migration makes that has not run, or not as it is now, cannot have gone missing
        ran = [m for m in files if m.version not in (*pending, *changed)]
        problems.extend(
            Problem("missing", f"{name} was made and is not there any more", _AGAIN)
            for name in migration_files.objects_of(ran)
            if name not in there
        )
        for name, spec in TABLES.items():
            lacking = [c for c in spec.schema.names if c not in there.get(name, set())]
            if lacking and name in there:
                problems.append(Problem("column", f"table {name} lacks {', '.join(lacking)}"))
    return problems


def _until_heavy(files: Sequence[Migration], heavy: bool) -> list[Migration]:
    out = []
    for migration in files:
        if migration.weight == "heavy" and not heavy:
            break
        out.append(migration)
    return out


def _done(client: StoreClient) -> dict[tuple[int, int], str]:
    exists = client.query(
        "SELECT 1 AS one FROM system.tables WHERE database = {db:String} AND name = 'migrations'",
        {"db": client.settings.database},
        settings={"database": "default"},
    )
    if not exists:
        return {}
    rows = client.query("SELECT version, statement, sha256 FROM migrations FINAL")
    return {(r["version"], r["statement"]): r["sha256"] for r in rows}


def _refuse_changes(files: Sequence[Migration], done: dict[tuple[int, int], str]) -> None:
    for migration in files:
        for number in range(1, len(migration.statements) + 1):
            ran = done.get((migration.version, number))
            if ran is not None and ran != migration.checksum(number):
                raise Misconfigured(
                    f"migration {migration.version:04}_{migration.name}, statement {number}, was"
                    " changed after it had run in this database",
                    hint="a change is a new migration; restore the file",
                )


def _prepare(client: StoreClient, cluster: str | None) -> None:
    database = client.settings.database
    for statement in ("CREATE DATABASE IF NOT EXISTS {{DB}} {{ON_CLUSTER}}", _LEDGER):
        sql = migration_files.render(statement, database=database, cluster=cluster)
        client.command(sql, use_database=False)


def _lock(client: StoreClient, clock: Clock, wait_s: float) -> None:
    """Take the lock table; wait for another holder, take over from one that is dead."""
    name = f"`{client.settings.database}`.`{_LOCK}`"
    me = f"{socket.gethostname()} {os.getpid()}"
    deadline = clock.monotonic() + wait_s
    while True:
        try:
            client.command(
                f"CREATE TABLE {name} (x UInt8) ENGINE = Memory COMMENT {quote_string(me)}",
                use_database=False,
            )
            return
        except BadInput as error:
            if error.reason != f"store_{_TABLE_EXISTS}":
                raise
        rows = client.query(
            "SELECT comment FROM system.tables WHERE database = {db:String} AND name = {t:String}",
            {"db": client.settings.database, "t": _LOCK},
        )
        holder = rows[0]["comment"] if rows else ""
        if holder and _dead(holder):
            client.command(f"DROP TABLE IF EXISTS {name}", use_database=False)
        elif clock.monotonic() > deadline:
            raise _Locked(
                f"another migration is running ({holder or 'unknown'})",
                hint=f"if it is dead: DROP TABLE {name}",
            )
        else:
            clock.sleep(0.2)


class _Locked(Retryable):
    """Somebody else migrates."""


def _dead(holder: str) -> bool:
    host, _, pid = holder.partition(" ")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _run_file(
    client: StoreClient, migration: Migration, steps: Sequence[Applied], clock: Clock
) -> None:
    """Run the statements and write down those that ran, also when one fails.

    A process that is killed in between runs them again, which does no harm: they are idempotent.
    """
    done: list[Applied] = []
    try:
        for step in steps:
            client.command(step.sql, use_database=False)
            done.append(step)
    except StreamgaugeError:
        with contextlib.suppress(StreamgaugeError):
            _record(client, migration, done, clock)
        raise
    _record(client, migration, done, clock)


def _record(
    client: StoreClient, migration: Migration, steps: Sequence[Applied], clock: Clock
) -> None:
    if not steps:
        return
    try:
        version = metadata.version("streamgauge")
    except metadata.PackageNotFoundError:
        version = "source"
    client.command(
        "INSERT INTO migrations SELECT {v:UInt32}, ran.1, {name:String}, ran.2,"
        " fromUnixTimestamp64Milli({at:Int64}, 'UTC'), {host:String}, {app:String}"
        " FROM (SELECT arrayJoin(arrayZip({n:Array(UInt32)}, {sha:Array(String)})) AS ran)",
        {
            "v": migration.version,
            "name": migration.name,
            "n": [step.statement for step in steps],
            "sha": [migration.checksum(step.statement) for step in steps],
            "at": clock.now_ms(),
            "host": socket.gethostname(),
            "app": version,
        },
    )

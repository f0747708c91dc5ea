"""One client of a store: queries in, rows out, errors as streamgauge's own.

Wraps clickhouse-connect over HTTP, the only path to a store, embedded or real.
Not here: inserting blocks (writer.py), migrations (migrate.py).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from io import IOBase
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from streamgauge.contracts.errors import (
    BadInput,
    Misconfigured,
    StreamgaugeError,
    UnknownOutcome,
    Unreachable,
)
from streamgauge.storage.handshake import REFUSED_CODE
from streamgauge.storage.settings import ENV_PASSWORD, ENV_URL, ENV_USER, StoreSettings

if TYPE_CHECKING:
    import pyarrow as pa

_AUTHENTICATION = frozenset({192, 193, 194, 516})
_SCHEMA = frozenset({10, 16, 60, 81})
# Connections, threads, memory, parts; read-only for a while; Keeper and quorum before the insert.
_BUSY = frozenset({202, 203, 225, 241, 242, 252, 254, 279, 285, 286, 439, 999})
_DISK = frozenset({74, 75, 76, 172, 204, 243, 275, 294, 586})
_MAYBE_DISK = frozenset({1000, 1001})  # exceptions of its libraries: a full disk is one of them
_FULL = "No space left on device"
# Time-outs, sockets, shutdown, cancelled; a quorum that was not reached after the insert.
_INTERRUPTED = frozenset({159, 209, 210, 236, 319, 394, 735})


def connect(
    settings: StoreSettings,
    *,
    timeout_s: float = 60.0,
    connect_timeout_s: float = 5.0,
    client_settings: Mapping[str, Any] | None = None,
) -> StoreClient:
    """A client that has reached the store once; Unreachable or Misconfigured if that fails."""
    parts = urlsplit(settings.url)
    pool = urllib3.PoolManager(
        num_pools=2,
        maxsize=8,
        retries=False,
        cert_reqs="CERT_REQUIRED" if parts.scheme == "https" else None,
    )
    try:
        client = clickhouse_connect.get_client(
            host=parts.hostname,
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            secure=parts.scheme == "https",
            proxy_path=parts.path,
            username=settings.user,
            password=settings.password,
            connect_timeout=round(max(1.0, connect_timeout_s)),
            send_receive_timeout=round(max(1.0, timeout_s)),
            autogenerate_session_id=False,
            compress=False,
            query_retries=0,
            tz_mode="aware",
            client_name="streamgauge",
            settings=dict(client_settings or {}),
            pool_mgr=pool,
        )
    except (ClickHouseError, HTTPError, OSError) as error:
        raise translate(error, settings.url) from error
    return StoreClient(client, settings)


class StoreClient:
    """Queries against one store. Safe to use from several threads."""

    def __init__(self, client: Client, settings: StoreSettings) -> None:
        self._client = client
        self.settings = settings

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Rows as dicts. `{name:Type}` in the SQL is bound from `parameters`. Times are aware, UTC.

        BadInput: the SQL is wrong. Unreachable: try later. UnknownOutcome: it was cut off.
        """
        names, rows = self.rows(sql, parameters, settings=settings)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> tuple[tuple[str, ...], Sequence[Sequence[Any]]]:
        """Column names and rows; errors as `query`."""
        try:
            result = self._client.query(
                sql, parameters=dict(parameters or {}), settings=self._with_database(settings)
            )
            return tuple(result.column_names), result.result_rows  # read to its end only here
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.settings.url) from error

    def arrow(
        self, sql: str, parameters: Mapping[str, Any] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows as Arrow batches while they come; errors as `query`."""
        import pyarrow as pa  # most clients read no Arrow

        try:
            stream = cast(
                IOBase,  # of the client that is not asynchronous
                self._client.raw_stream(
                    sql,
                    parameters=dict(parameters or {}),
                    settings=self._with_database(None),
                    fmt="ArrowStream",
                    use_database=False,
                ),
            )
            try:
                yield from pa.ipc.open_stream(stream)
            finally:
                stream.close()
        except pa.ArrowException as error:
            raise UnknownOutcome(f"an answer of the store was cut off: {error}") from error
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.settings.url) from error

    def command(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        use_database: bool = True,
    ) -> Any:
        """Run a statement without a result set; errors as `query`."""
        try:
            return self._client.command(
                sql,
                parameters=dict(parameters or {}),
                settings=self._with_database(settings) if use_database else dict(settings or {}),
                data=data,
                use_database=False,
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.settings.url) from error

    def insert_stream(
        self, block_table: str, columns: Sequence[str], body: bytes | Generator[bytes, None, None],
        *, settings: Mapping[str, Any], headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        """INSERT an Arrow stream as it is, once; errors as `query`, `Refused` for 395.

        The driver sends bytes a second time by itself when the connection is cut, but no view of
        them: whoever inserts has to know of each attempt.
        """
        sent = cast(bytes, memoryview(body)) if isinstance(body, bytes) else body
        try:
            self._client.raw_insert(
                f"`{self.settings.database}`.`{block_table}`",
                list(columns),
                sent,
                settings=dict(settings),
                fmt="ArrowStream",
                transport_settings=dict(headers),
            )
        except (ClickHouseError, HTTPError, OSError) as error:
            raise translate(error, self.settings.url) from error

    def _with_database(self, settings: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"database": self.settings.database, **(settings or {})}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class Refused(StreamgaugeError):
    """The store said 395: a guard in the statement did not hold."""


def translate(error: Exception, url: str) -> StreamgaugeError:
    """What a caller can do about an error of the driver."""
    code = getattr(error, "code", None)
    text = _first_line(str(error))
    if isinstance(error, DatabaseError) and code is not None:
        if code == REFUSED_CODE:
            return Refused(text)
        if code in _AUTHENTICATION:
            return Misconfigured(
                f"the store at {url} does not accept this user and password",
                hint=f"check {ENV_USER} and {ENV_PASSWORD} or {ENV_PASSWORD}_FILE",
            )
        if code in _SCHEMA:
            return BadInput(
                text, reason="unknown_table", hint="`streamgauge store migrate` makes the tables"
            )
        if code in _BUSY:
            return Unreachable(f"the store at {url} is busy: {text}")
        if code in _DISK or (code in _MAYBE_DISK and _FULL in text):
            return Unreachable(
                f"the store at {url} cannot write: {text}", hint="is its disk full, or broken?"
            )
        if code in _INTERRUPTED:
            return UnknownOutcome(text)
        return BadInput(text, reason=f"store_{code}")
    cause: BaseException | None = error
    while cause is not None:
        reason = cause.reason if isinstance(cause, MaxRetryError) else cause
        if isinstance(reason, (NewConnectionError, ConnectTimeoutError, ConnectionRefusedError)):
            return Unreachable(
                f"no store answers at {url}", hint=f"is it running? {ENV_URL} says where it is"
            )
        cause = cause.__cause__ or cause.__context__
    return UnknownOutcome(f"the store at {url} did not finish its answer: {text}")


def _first_line(text: str) -> str:
    text = text.split("server response: ", 1)[-1]
    line = text.splitlines()[0] if text else "no message"
    return line if len(line) <= 500 else line[:500] + " ..."

"""Whether what an insert made is on disk as it was meant.

The engine (chDB 4.4) goes on after a write that failed, of a full disk for one: it renames the part
into place and says "done". Its parts say how large their files should be and what is in them; so
the parts that an insert made are checked, and one that is broken is taken away before anybody is
told that it is there.
In: a handle, a table. Call under the table's lock: parts of level 0 that are new are then ours.
Not here: merges. The reserve of free space (config.py) keeps them from a full disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

from streamgauge.storage.embedded.errors import ABORTED, NOT_ENOUGH_SPACE, EngineError
from streamgauge.storage.sqltext import quote_string

if TYPE_CHECKING:
    from streamgauge.storage.embedded.engine import Handle

_FRESH = re.compile(r"(?:all|[0-9a-f-]+)_(\d+)_\1_0")  # and no tmp_insert_.., delete_tmp_..
_GONE = 232  # merged into another part already: whoever merged it has read it whole


class NewParts:
    """Parts that came into a table since this was made."""

    def __init__(self, handle: Handle, database: str | None, table: str) -> None:
        self._handle = handle
        where = "currentDatabase()" if database is None else quote_string(database)
        rows = handle.run(
            f"SELECT arrayJoin(data_paths) FROM system.tables WHERE database = {where}"  # noqa: S608 quoted
            f" AND name = {quote_string(table)} AND engine LIKE '%MergeTree'".encode(),
            "RawBLOB",
        ).body
        self._folder = rows.decode("utf-8", "surrogateescape").strip()
        self._before = self._now()

    def _now(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            if self._folder:
                return {name for name in os.listdir(self._folder) if _FRESH.fullmatch(name)}
        return set()

    def check(self, table: str, *, some: bool) -> None:
        """Every new part is whole, and, if there have to be some, there are.

        table: as SQL writes it. EngineError: one was not, it is gone; or there is none. One that
        cannot be taken away ends the process: at the next start the engine sets it aside.
        """
        new = sorted(self._now() - self._before)
        if some and self._folder and not new:
            raise EngineError.of(ABORTED, f"{table}: rows were taken in and no part came out")
        for name in new:
            if (fault := self._fault(table, name)) and self._take_away(table, name, fault):
                raise EngineError.of(
                    NOT_ENOUGH_SPACE,
                    f"{table}: a part came out broken and was taken away: {fault}",
                )

    def _fault(self, table: str, name: str) -> str:
        """What is wrong with a part; empty if nothing is."""
        sql = f"CHECK TABLE {table} PART {quote_string(name)}"
        try:
            found = self._handle.run(
                f"{sql} SETTINGS check_query_single_value_result = 0".encode(), "TSVRaw"
            )
        except EngineError as error:
            return "" if error.code == _GONE else error.text
        _, passed, message = found.body.decode("utf-8", "replace").rstrip("\n").split("\t", 2)
        return "" if passed == "1" else message or "unknown"

    def _take_away(self, table: str, name: str, fault: str) -> bool:
        """True if it is gone, False if it was merged before. Nobody was told of it: it may go."""
        try:
            self._handle.run(f"ALTER TABLE {table} DROP PART {quote_string(name)}".encode())
            return True
        except EngineError as error:
            if error.code == _GONE:
                return False
            print(
                f"streamgauge store: {table}: part {name} is broken ({fault}) and cannot be taken"
                f" away ({error.text}); ending, so that the next start sets it aside",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            os._exit(1)

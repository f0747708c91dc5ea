"""Does what is stored add up? Offsets, raw rows, windows and clients' numbers, exactly.

Four laws, each a query or two; whatever breaks one is a `Difference`, and none is expected:

1. Offsets. Of each source partition, offsets by outcome (`ingest_log`) add up to the position that
   the markers of `ingest_log` state, and raw rows are those with outcome stored or unknown_type.
2. Raw rows. No offset and no (producer, seq) is stored twice.
3. Windows. Per hour, requests, errors, tokens, cost and duration in the windows of each resolution
   are those of the raw rows as the stream counted them (revision 0). Of hours that were reprocessed
   views show the same requests; all else may be by other prices, or another rule, so it is not
   compared.
4. Clients. The rows that `producers` counts for each client are its raw rows.

2 and 3 look at a period of event time, 1 and 4 at the whole log. Tables are kept for different
times, so 1, 3 and 4 compare what was written since the first day that both of their tables still
have (audit_kept.py), and what was written before is named as not compared; 4 leaves out the clients
that were there before this day. While a worker writes, its tables are a flush apart (`producers`
ten seconds): each law is looked at when its tables are at one position before and after the look,
else it is said to be unsettled.
Beside the laws: the numbers that are missing between those that a client's rows of the period have.
They are no difference, nor need they be lost: refused, dropped, aborted, or still on their way.
In: a store. Out: an `Audit`. Not here: what an app lost over its whole life (`v_loss`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.storage import audit_sql as sql
from streamgauge.storage.audit_kept import CLIENTS, DAY, OFFSETS, RAW, Kept, windows
from streamgauge.storage.audit_model import (
    EPOCH,
    SCOPE,
    Audit,
    Difference,
    Gap,
    Law,
    NotCompared,
    Since,
)
from streamgauge.storage.audit_windows import (
    REQUESTS,
    by_hour,
    compared,
    cut_hours,
    first_days,
)
from streamgauge.storage.client import StoreClient

__all__ = ["SCOPE", "Audit", "Difference", "Gap", "NotCompared", "audit"]

RESOLUTIONS_S = (10, 60, 3600)
LOOKS = 60
PAUSE_S = 0.3
HOUR_MS = 3_600_000


def audit(
    client: StoreClient, start: datetime, end: datetime, *, clock: Clock | None = None
) -> Audit:
    """Look at every law; start, end: whole hours of event time, start included and end not.

    Takes up to LOOKS * PAUSE_S a law while workers write. Raises Retryable if the store is away.
    """
    look = _Look(client, start, end, clock or SystemClock())
    offsets = look.settled("offsets", ("events", "ingest_log"), look.offsets)
    windows_ = look.settled("windows", ("events", "windows"), look.windows)
    twice = look.settled("twice", (), look.twice)
    clients = look.settled("clients", ("events", "producers"), look.clients)
    return Audit(
        requests=look.requests,
        offsets=look.read,
        differences=(*offsets, *twice, *windows_, *clients),
        unsettled=tuple(look.unsettled),
        not_compared=tuple(one for law in SCOPE for one in look.not_compared.get(law, ())),
        gaps=look.gaps(),
    )


class _Look:
    def __init__(self, client: StoreClient, start: datetime, end: datetime, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._start, self._end = start, end
        self._period = {"start": _ms(start), "end": _ms(end)}
        self._kept = Kept(client)
        self.requests = self.read = 0
        self.unsettled: list[Law] = []
        self.not_compared: dict[str, list[NotCompared]] = {}

    def settled(
        self, law: Law, tables: Sequence[str], look: Callable[[], Iterable[Difference]]
    ) -> tuple[Difference, ...]:
        """What the look finds while the tables stand at one position."""
        for _ in range(LOOKS):
            before = self._positions(tables)
            if len(set(before)) <= 1:
                found = tuple(look())
                if before == self._positions(tables):
                    return found
            self._clock.sleep(PAUSE_S)
        self.unsettled.append(law)
        return tuple(look())

    def _positions(self, tables: Sequence[str]) -> list[str]:
        return [str(self._client.query(sql.POSITION.format(table=t))[0]["at"]) for t in tables]

    def offsets(self) -> Iterator[Difference]:
        """Law 1."""
        since = self._kept.both(RAW, OFFSETS)
        self._whole_log("offsets", "offsets and raw rows", since)
        rows = self._client.query(sql.OFFSETS, {"day": since.day})
        self.read = sum(int(row["counted"]) for row in rows)
        for row in rows:
            where = f"{row['source']}/{row['number']}"
            read, counted = int(row["position"]) - int(row["begin"]), int(row["counted"])
            if read != counted:
                yield Difference("offsets", where, "offsets with an outcome", read, counted)
            if row["kept"] != row["raw"]:
                yield Difference("offsets", where, "raw rows", int(row["kept"]), int(row["raw"]))

    def twice(self) -> Iterator[Difference]:
        """Law 2, hour by hour: an event that is there twice has one time."""
        for hour in self._client.query(sql.HOURS, self._period):
            hour_ms = _ms(hour["hour"])
            for row in self._client.query(sql.TWICE, {"start": hour_ms, "end": hour_ms + HOUR_MS}):
                yield Difference(
                    "twice", row["place"], row["what"], int(row["expected"]), int(row["found"])
                )

    def windows(self) -> Iterator[Difference]:
        """Law 3."""
        raw = self._client.query(sql.RAW_HOURS, self._period)
        self.requests = sum(int(row["n"]) for row in raw)
        cells = {r: self._cells(r, sql.COUNTED) for r in RESOLUTIONS_S}
        rebuilt = {r["hour"] for r in self._client.query(sql.REBUILT_HOURS, self._period)}
        days = first_days(raw, *cells.values())
        self.not_compared["windows"] = self._forgotten()
        for resolution_s in RESOLUTIONS_S:
            how = f"{resolution_s} s"
            since = self._kept.both(RAW, windows(resolution_s))
            self.not_compared["windows"] += cut_hours(days, how, since)
            counted = by_hour(cells[resolution_s], since.day)
            yield from compared(by_hour(raw, since.day), counted, how)
            # A run found all raw rows of its hours, so its own rows are younger than any of them.
            whole = {hour for hour in rebuilt if hour in days and days[hour] >= since.day}
            if whole:
                shown = by_hour(self._cells(resolution_s, sql.SHOWN))
                how = f"{how}, shown"
                yield from compared(by_hour(raw), shown, how, figures=(REQUESTS,), hours=whole)

    def _cells(self, resolution_s: int, revision: str) -> list[dict[str, Any]]:
        asked = {**self._period, "resolution": resolution_s}
        return self._client.query(sql.WINDOW_HOURS.replace("REVISION", revision), asked)

    def _forgotten(self) -> list[NotCompared]:
        """The part of the period in which there may be hours of which no table has a row left."""
        everything = (RAW, *map(windows, RESOLUTIONS_S))
        oldest = min((self._kept.whole(rows) for rows in everything), key=lambda found: found.day)
        end = min(self._end, datetime.combine(oldest.day, datetime.min.time(), self._end.tzinfo))
        if end <= self._start:
            return []
        what = "hours that are gone"
        return [NotCompared("windows", what, self._start, end, oldest.day, oldest.why)]

    def clients(self) -> Iterator[Difference]:
        """Law 4."""
        since = max(self._kept.whole(RAW), self._kept.whole(CLIENTS), key=lambda found: found.day)
        self._whole_log("clients", "clients of these days", since)
        stored, counted = (self._kept.at(rows.table, since.day) for rows in (RAW, CLIENTS))
        asked = {
            "day": since.day,
            "counted": self._kept.caught_up(CLIENTS.table, since.day, stored),
            "stored": self._kept.caught_up(RAW.table, since.day, counted),
        }
        for row in self._client.query(sql.CLIENTS, asked):
            where, expected, found = row["place"], int(row["expected"]), int(row["found"])
            yield Difference("clients", where, "events", expected, found)

    def _whole_log(self, law: Law, what: str, since: Since) -> None:
        gone = since.day > EPOCH
        self.not_compared[law] = (
            [NotCompared(law, what, None, None, since.day, since.why)] if gone else []
        )

    def gaps(self) -> tuple[Gap, ...]:
        """Numbers that are missing. A day more is left out: partitions are not read in step."""
        day = self._kept.whole(RAW).day
        asked = {**self._period, "day": day + DAY if day > EPOCH else day}
        return tuple(
            Gap(r["producer_id"], int(r["missing"]), int(r["lowest"]), int(r["highest"]))
            for r in self._client.query(sql.GAPS, asked)
        )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

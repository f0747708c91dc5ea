"""`reprocess`: one run, step by step. docs/decisions/0023.

1. Plan: which hours of which tenants have requests; refused where raw rows are gone.
2. Register the hours under the next revision, then raise the fence: writers of windows that do not
   know of it are refused, read it, and write late events of these hours under it, too.
3. Rebuild from the raw rows what was stored below the fence.
4. Both revisions must have the same requests in each hour. Then commit, and show.
5. Delete what earlier runs left.

A run that dies before its commit is never shown, and the next run deletes what it stored; after its
commit the next run shows it.
In: store, period, price book. Out: `Report`. Not here: the command line.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import BadInput
from streamgauge.storage.settings import StoreSettings
from streamgauge.stream_processors.core.failpoints import FailPoints
from streamgauge.stream_processors.metrics.pricing import PriceBook
from streamgauge.stream_processors.metrics.revisions import HOUR_S, TenantHour
from streamgauge.stream_processors.reading.labels import OTHER
from streamgauge.stream_processors.reprocess.rebuild import Rebuilder, blocks
from streamgauge.stream_processors.reprocess.store import HourSums, ReprocessStore

NAMED = 3
SLICE_EVENTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Task:
    """start, end: whole hours, start included and end not. tenant: "" is all."""

    start: datetime
    end: datetime
    tenant: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HourPlan:
    """One hour, s since the epoch; its tenants as in windows; requests."""

    hour: int
    tenants: tuple[str, ...]
    raw: int
    counted: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was rebuilt, or would be: then revision is 0 and hours is empty.

    cleaned: older revisions whose rows were deleted.
    """

    revision: int
    price_book: str
    plan: tuple[HourPlan, ...]
    hours: tuple[HourSums, ...] = ()
    cleaned: tuple[int, ...] = ()


def reprocess(
    settings: StoreSettings,
    task: Task,
    book: PriceBook,
    *,
    dry_run: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
    failpoints: FailPoints | None = None,
) -> Report:
    """Rebuild the windows of these hours and show them.

    tell: progress, a line each. BadInput: raw rows are gone, or another run has begun (nothing of
    this one is shown). Retryable: the store is away; begin anew.
    """
    reached = (failpoints or FailPoints.from_env()).reached
    with closing(
        ReprocessStore(settings, clock or SystemClock(), name=f"reprocess-{os.getpid()}")
    ) as store:
        plan = make_plan(task, *store.requests(_seconds(task.start), _seconds(task.end)))
        if dry_run or not plan:
            return Report(0, book.version, plan)
        store.finish()
        hours = [(tenant, one.hour) for one in plan for tenant in one.tenants]
        revision = store.register(hours, task.reason, book.version)
        reached("registered")
        store.fence(revision)
        reached("fenced")
        cut = store.cut(revision)
        tell(f"revision {revision}: {len(plan)} hours, up to offsets {cut}")
        store.wait_for_raw_rows(cut)
        rebuilder = Rebuilder(book, store.labels(), frozenset(hours), revision)
        for i, one in enumerate(plan, 1):
            for start, end in slices(one):
                for rows in blocks(store.events(start, end, task.tenant, cut)):
                    store.put(revision, rebuilder.cells(rows))
                    reached("rebuilt")
            tell(f"{_hour(one.hour)} rebuilt, {i} of {len(plan)} hours")
        sums = store.sums(revision)
        _require_whole(sums, cut, store.cut(revision))
        store.commit(revision)
        reached("committed")
        store.finish()
        reached("active")
        return Report(revision, book.version, plan, tuple(sums), tuple(store.clean(revision)))


def make_plan(
    task: Task, counted: Mapping[TenantHour, int], raw: Mapping[TenantHour, int]
) -> tuple[HourPlan, ...]:
    """The hours to rebuild. Requests by (tenant, hour): tenants of `counted` as in windows.

    BadInput: of an hour there are fewer raw rows than were counted; or one tenant alone cannot be
    told from those that share a cell.
    """
    if task.tenant:
        shared = sorted(t for tenant, t in counted if tenant == OTHER)
        if shared:
            raise BadInput(
                f"requests of some tenants are counted together as {OTHER}, as at"
                f" {_hour(shared[0])}: one tenant alone cannot be rebuilt there",
                reason="shared_cells",
                hint="leave out --tenant",
            )
    tenants: dict[int, set[str]] = defaultdict(set)
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for i, found in enumerate((raw, counted)):
        for (tenant, t), n in found.items():
            if task.tenant in ("", tenant):
                tenants[t].add(tenant)
                sums[t][i] += n
    plan = tuple(
        HourPlan(t, tuple(sorted(tenants[t] | ({OTHER} if not task.tenant else set()))), *sums[t])
        for t in sorted(tenants)
    )
    gone = [one for one in plan if one.raw < one.counted]
    if gone:
        some = ", ".join(f"{_hour(h.hour)}: {h.raw:,} of {h.counted:,}" for h in gone[:NAMED])
        more = f" and {len(gone) - NAMED} more hours" if len(gone) > NAMED else ""
        whole = [one for one in plan if one not in gone]
        rest = f"{_hour(whole[0].hour)} to {_hour(whole[-1].hour)} UTC" if whole else "no hour"
        raise BadInput(
            f"raw rows are gone (requests that are there, of those counted: {some}{more});"
            f" whole: {len(whole)} of {len(plan)} hours, {rest}",
            reason="raw_rows_gone",
            hint="narrow --from and --to to hours that are whole; raw rows are kept 30 days",
        )
    return plan


def slices(one: HourPlan) -> Iterator[tuple[int, int]]:
    """The hour in parts of some SLICE_EVENTS, a minute at least: a query has a time limit."""
    step = HOUR_S // min(60, 1 + one.raw // SLICE_EVENTS)
    for start in range(0, HOUR_S, step):
        yield one.hour + start, one.hour + min(HOUR_S, start + step)


def _require_whole(sums: list[HourSums], cut: Mapping[str, int], now: Mapping[str, int]) -> None:
    if dict(cut) != dict(now):
        raise BadInput(
            f"a metrics worker that knows no revisions wrote meanwhile: offsets {cut}, then {now}",
            reason="old_writer",
            hint="update all metrics workers, then repeat; nothing of this run is shown",
        )
    for one in sums:
        if one.counted != one.rebuilt:
            raise BadInput(
                f"{_hour(one.hour)}: {one.counted:,} requests were counted and {one.rebuilt:,}"
                " rebuilt; nothing of this run is shown",
                reason="not_whole",
                hint="were raw rows deleted meanwhile? see `streamgauge audit`",
            )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _hour(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:00}"

"""A whole soak: blows under load, then the comparison. Resumable: `state.json` says how far it is.

In: `Options`. Out: figures. The sender's rate is set anew for each step, so that events come to the
very end of the plan.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from benchmarks.resuming import kept_state
from benchmarks.sending import SenderProcess
from benchmarks.soak.compare import compare
from benchmarks.soak.plan import KILLS, make_plan
from benchmarks.soak.site import PARTITIONS, Site
from streamgauge.deploy.paths import write_atomic
from tests.support.metrics_worker import one, until

SETTLE_S = 240.0
FIRST_STEP_S = 8.0
SHARE = 0.95
"""Of the events, spread over the steps; the rest comes after the last."""
FULL_SPEED = 20_000.0
LEAST_SPEED = 50.0


@dataclass(frozen=True, slots=True)
class Options:
    """folder: data, logs and state. away_s: no kills; the store is away for so many seconds."""

    folder: Path
    events: int
    kills: int
    seed: int
    away_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """What must be the same when a run is resumed."""
        return {
            "events": self.events,
            "kills": self.kills,
            "seed": self.seed,
            "away_s": self.away_s,
        }


@dataclass(slots=True)
class State:
    """How far a run is."""

    options: dict[str, Any]
    next_step: int = 0
    acked: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    lives: int = 0
    seconds: float = 0.0
    rss_mb: float = 0.0

    @classmethod
    def load(cls, path: Path, options: Options) -> State:
        """Of an interrupted run with these options, else a new one; ValueError: other options."""
        kept = kept_state(path, options.as_json())
        return cls(options.as_json()) if kept is None else cls(**kept)


class Sender(SenderProcess):
    """The sender, and what it has said last."""

    def __init__(self, site: Site, options: Options, begin: int) -> None:
        super().__init__(
            "benchmarks.soak.sender", site.kafka.bootstrap, site.topic,
            options.events, PARTITIONS, options.seed, begin,
        )  # fmt: skip
        self._begin = begin

    @property
    def acked(self) -> int:
        """Events that Kafka has, those of earlier lives too."""
        return int(self.said.get("acked", self._begin))

    @property
    def expected(self) -> Mapping[str, Mapping[str, int]] | None:
        """What a store must hold; None until all is sent."""
        return self.said.get("expected")

    def pace(self, events_per_s: float) -> None:
        """From now on; nothing to do if it has sent all."""
        with contextlib.suppress(OSError):
            self.tell(f"{events_per_s:.1f}")


class Soak:
    """One life of a run."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._path = options.folder / "state.json"
        options.folder.mkdir(parents=True, exist_ok=True)
        self._state = State.load(self._path, options)
        self._started = time.monotonic()

    def run(self) -> dict[str, Figure]:
        """To the end; the figures.

        RuntimeError, AssertionError: something did not come up again.
        """
        self._state.lives += 1
        self._started = time.monotonic() - self._state.seconds
        with Site(self._options.folder) as site, self._sender(site) as sender:
            site.counts.update(self._state.counts)
            site.start_worker()
            if self._options.away_s:
                self._store_away(site, sender)
            else:
                self._blows(site, sender)
            return self._judge(site, sender)

    @contextlib.contextmanager
    def _sender(self, site: Site) -> Iterator[Sender]:
        sender = Sender(site, self._options, self._state.acked)
        try:
            yield sender
        finally:
            sender.end()

    def _save(self, site: Site, sender: Sender, next_step: int) -> None:
        state = self._state
        state.next_step, state.acked = next_step, sender.acked
        state.counts, state.seconds = dict(site.counts), time.monotonic() - self._started
        state.rss_mb = max(state.rss_mb, site.rss_mb)
        write_atomic(self._path, json.dumps(asdict(state)))

    def _blows(self, site: Site, sender: Sender) -> None:
        plan = make_plan(self._options.kills, self._options.seed)
        behind = self._state.next_step
        step_s = self._state.seconds / behind if behind else FIRST_STEP_S
        for number in range(behind, len(plan)):
            step, began = plan[number], time.monotonic()
            left = self._options.events * SHARE - sender.acked
            sender.pace(max(LEAST_SPEED, left / (len(plan) - number) / step_s))
            self._until_progress(site, sender, site.position())
            time.sleep(step.after_s)
            site.strike(step)
            self._until_progress(site, sender, site.position())
            site.check_workers()
            self._save(site, sender, number + 1)
            step_s = 0.8 * step_s + 0.2 * (time.monotonic() - began)
            self._progress(site, sender, f"{number + 1}/{len(plan)} {step.blow} {step.point}")

    def _until_progress(self, site: Site, sender: Sender, before: int) -> None:
        def moved() -> bool:
            sender.check(done=True)
            site.check_workers()
            return site.position() > max(before, 0) or sender.expected is not None

        until(moved, f"work goes on after a blow; logs are in {site.logs}", seconds=120)

    def _store_away(self, site: Site, sender: Sender) -> None:
        away_s = self._options.away_s
        sender.pace(self._options.events * SHARE / (away_s + 20))
        self._until_progress(site, sender, site.position())
        site.store.kill()
        site.counts["store killed"] += 1
        gone = time.monotonic()
        blows = iter([("a second worker", 0.4), ("the first worker killed", 0.6)])
        blow = next(blows)
        while (passed := time.monotonic() - gone) < away_s:
            if blow[1] * away_s < passed:
                if len(site.workers) == 1:
                    site.start_worker()
                else:
                    site.end_worker(site.workers[0], kill=True)
                    site.counts["worker killed"] += 1
                self._say(f"{blow[0]}, while the store is away")
                blow = next(blows, ("", 2.0))
            time.sleep(min(10.0, away_s / 10))
            site.restart_who_gave_up()
            site.check_workers()
            waits = [e for w in site.workers for e in _warnings(w.tail())][-1:]
            self._progress(site, sender, f"the store is away, {passed:.0f} s; {waits}")
        site.store.start()
        site.restart_who_gave_up()
        self._until_progress(site, sender, 0)
        self._say(f"the store is back after {time.monotonic() - gone:.0f} s")

    def _progress(self, site: Site, sender: Sender, what: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self._started), 60)
        kills = sum(site.counts[blow] for blow in KILLS)
        self._say(
            f"[{minutes:3}:{seconds:02}] {what.strip()}; {sender.acked:,} acknowledged,"
            f" {site.position():,} stored; {kills} kills; {len(site.workers)} workers"
        )

    def _judge(self, site: Site, sender: Sender) -> dict[str, Figure]:
        n = self._options.events
        sender.pace(FULL_SPEED)

        def sent() -> bool:
            sender.check(done=True)
            site.check_workers()
            return sender.expected is not None

        until(sent, "all are acknowledged", seconds=SETTLE_S + n / 5_000)
        for table in ("events", "producers", "spend"):
            count = "count()" if table == "events" else "sum(n)"
            whole = f"SELECT {count} FROM {table} WHERE kind = 0"
            with contextlib.suppress(AssertionError):  # the comparison says what is missing
                until(
                    lambda whole=whole: one(site.direct, whole) >= n,  # type: ignore[misc]
                    table, seconds=SETTLE_S,
                )  # fmt: skip
        site.check_workers()
        while site.workers:
            site.end_worker(site.workers[-1], kill=False)
        self._save(site, sender, self._state.next_step)
        assert sender.expected is not None
        found = compare(site.direct, sender.expected)
        for line in found.differences:
            self._say(f"DIFFERENCE: {line}")
        return self._figures(
            site, n, found.lost, found.doubled, found.audit, len(found.differences)
        )

    def _figures(
        self, site: Site, n: int, lost: int, doubled: int, audit: int, differences: int
    ) -> dict[str, Figure]:
        zero = {"bar": 0.0, "better": "lower"}
        others = {k: Figure(v, "") for k, v in sorted(site.counts.items())}
        return {
            "lost": Figure(lost, "events", **zero),  # type: ignore[arg-type]
            "doubled": Figure(doubled, "events", **zero),  # type: ignore[arg-type]
            "audit_differences": Figure(abs(audit), "", **zero),  # type: ignore[arg-type]
            "differences": Figure(differences, "", **zero),  # type: ignore[arg-type]
            "kills": Figure(sum(site.counts[b] for b in KILLS), "", bar=self._options.kills),
            "events": Figure(n, "events", bar=self._options.events),
            **others,
            "memory of a worker, most": Figure(self._state.rss_mb, "MB", better="lower"),
            "lives of the run": Figure(self._state.lives, "", better="lower"),
            "time": Figure(self._state.seconds, "s", better="lower"),
        }


def _warnings(tail: str) -> Iterator[str]:
    for line in tail.splitlines():
        with contextlib.suppress(ValueError, KeyError):
            entry = json.loads(line)
            yield f"{entry['event']}: {entry['error']}"

"""Checks of the services: stack, Kafka, store and schema, clocks, drift, rules, prices."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from streamgauge.contracts.bounds import LATE_MS
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.environment import ENV_RULES
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError
from streamgauge.contracts.topics import REGISTRY
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor.model import Finding, Level

MAX_SKEW_MS = 5_000
LATE_SQL = (
    "SELECT app, count() AS n, countIf(append_ts > addMilliseconds(ts, $LATE)) AS late"
    " FROM v_requests WHERE append_ts > now() - INTERVAL 10 MINUTE AND ts > now() - INTERVAL 1 DAY"
    " GROUP BY app HAVING late > n / 2 ORDER BY late DESC, app LIMIT 5"
).replace("$LATE", str(LATE_MS))
DRIFT_SQL = (
    "SELECT toUnixTimestamp(min(t)), toUnixTimestamp(max(t)),"
    " (SELECT maxMap(next)[$KEY] FROM drift_verdicts WHERE kind = 1) FROM histograms WHERE kind = 0"
)
DRIFT_BEHIND_WINDOWS = 3
"""The newest one is open, and the one before it waits for late events."""
SANE_FROM_MS = 1_735_689_600_000  # 2025-01-01: no machine that runs this is older


def stack(context: Context, _clock: Clock) -> Iterator[Finding]:
    """The stack of this data folder."""
    state = context.stack
    if state is None:
        yield Finding("stack", Level.WARN, f"none runs on {context.home}", "streamgauge up")
        return
    bad = [p for p in state.processes.values() if p.gone or p.state not in ("up", "missing")]
    for process in bad:
        seen = "its process is gone, stack.json says up" if process.gone else process.state
        yield Finding(
            process.name, Level.BAD, f"{seen}: {process.note}".rstrip(": "), f"see {process.log}"
        )
    often = [p for p in state.processes.values() if p.restarts >= 3 and p not in bad]
    for process in often:
        yield Finding(
            process.name,
            Level.WARN,
            f"was restarted {process.restarts} times, last: {process.note}",
            f"see {process.log}",
        )
    if not bad:
        yield Finding("stack", Level.OK, f"{state.state}, {len(state.processes)} processes")


def kafka(context: Context, _clock: Clock) -> Iterator[Finding]:
    """The broker and the registry's topics."""
    from streamgauge.deploy.topics import check_topics

    try:
        settings = context.kafka()
    except Misconfigured as error:
        yield Finding("kafka", Level.WARN, error.message, error.hint)
        return
    problems = check_topics(settings, partitions=None)
    for problem in problems:
        yield Finding("topic", Level.BAD, f"{problem.topic} {problem.what}", problem.mend)
    if not problems:
        seen = f"{settings.bootstrap} answers, {len(REGISTRY)} topics are right"
        yield Finding("kafka", Level.OK, seen)


def store(context: Context, _clock: Clock) -> Iterator[Finding]:
    """The store and its schema."""
    from streamgauge.storage.migrate import check

    try:
        settings = context.store()
    except Misconfigured as error:
        yield Finding("store", Level.WARN, error.message, error.hint)
        return
    problems = check(settings)
    for problem in problems:
        yield Finding("schema", Level.BAD, problem.message, problem.mend)
    if not problems:
        yield Finding("store", Level.OK, f"{settings.url} answers, schema is right")


def clock_skew(context: Context, clock: Clock) -> Iterator[Finding]:
    """This machine's clock, against the store's if there is one."""
    before = clock.now_ms()
    if before < SANE_FROM_MS:
        yield Finding("clock", Level.BAD, f"it is {before} ms since 1970", "set the clock (NTP)")
        return
    try:
        settings = context.store(reader=True)
    except Misconfigured:
        yield Finding("clock", Level.OK, "plausible; no store to compare with")
        return
    from streamgauge.deploy.sql import ask_rows

    try:
        rows = ask_rows(settings, "SELECT toUnixTimestamp64Milli(now64(3))", timeout_s=10).rows
    except StreamgaugeError:
        return  # the store's own check says so
    theirs = int(rows[0][0])
    after = clock.now_ms()
    skew = 0 if before <= theirs <= after else min(abs(theirs - before), abs(theirs - after))
    if skew > MAX_SKEW_MS:
        yield Finding(
            "clock", Level.BAD, f"{skew / 1000:.1f} s apart from the store's",
            "set both clocks by NTP: events in the future are refused",
        )  # fmt: skip
    else:
        yield Finding("clock", Level.OK, f"within {max(skew, after - before)} ms of the store's")


def late_apps(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Apps most of whose events come too late for the rules, by the last ten minutes."""
    state = context.stack
    if state is not None and state.clock_mode == "replay":
        return  # there late events count like others
    try:
        settings = context.store(reader=True)
    except Misconfigured:
        return
    from streamgauge.deploy.sql import ask_rows

    try:
        rows = ask_rows(settings, LATE_SQL, timeout_s=10).rows
    except StreamgaugeError:
        return  # the store's own check says so
    if rows:
        apps = ", ".join(f"{app!r} {late} of {n}" for app, n, late in rows)
        yield Finding(
            "late", Level.WARN,
            f"events that Kafka took over {LATE_MS // 1000} s after their ts, in 10 minutes: "
            f"{apps}; rules do not judge them",
            "a replay or backfill is as it should be; else set those hosts' clocks by NTP",
        )  # fmt: skip


def drift(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Whether windows get their verdicts, and which apps have too little history for one."""
    from streamgauge.storage.client import connect
    from streamgauge.stream_processors.drift.settings import DriftSettings
    from streamgauge.stream_processors.drift.status import read_status

    settings = DriftSettings.from_env(context.env)
    sql = DRIFT_SQL.replace("$KEY", f"'verdicts/{settings.cell_s}'")
    try:
        with connect(context.store(reader=True), timeout_s=10) as client:
            _, ((oldest_s, newest_s, closed_s),) = client.rows(sql)
            apps = read_status(client, settings)
    except StreamgaugeError:
        return  # the store's own check says so
    behind = (newest_s - (closed_s or oldest_s)) // settings.cell_s
    if behind >= DRIFT_BEHIND_WINDOWS:
        yield Finding(
            "drift", Level.WARN, f"{behind} windows of {settings.cell_s} s have no verdict yet",
            "none must be left when a replay is caught up with; else see the log of drift",
        )  # fmt: skip
    judged = sum(a.judged for a in apps)
    young = [f"{a.app!r} {a.ref_windows} of {a.ref_needed}" for a in apps if not a.judged]
    if young:
        more = f" and {len(young) - 5} more" if len(young) > 5 else ""
        yield Finding(
            "drift", Level.WARN,
            f"apps judged: {judged}; too little history, in windows of {settings.cell_s} s: "
            f"{', '.join(young[:5])}{more}",
            "wait: until then no drift of theirs is seen",
        )  # fmt: skip
    elif behind < DRIFT_BEHIND_WINDOWS:
        seen = f"apps judged: {judged}" if apps else "nothing to judge yet"
        yield Finding("drift", Level.OK, seen)


def rules(context: Context, _clock: Clock) -> Iterator[Finding]:
    """The rule files that the alert engine reads."""
    from streamgauge.alerting.rules.loader import DEFAULT_PACK, read

    named = context.env.get(ENV_RULES) or (context.stack.rules if context.stack else "")
    found, problems = read(named or DEFAULT_PACK)
    check = f"streamgauge rules check {quote(named)}" if named else "streamgauge rules check"
    for problem in problems:
        yield Finding("rule", Level.BAD, str(problem), check)
    if not problems:
        seen = f"{len(found.rules)} in {named or 'the shipped pack'}"
        yield Finding("rules", Level.OK, seen)


def prices(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """The price book: without it every cost is NULL."""
    from streamgauge.stream_processors.metrics.pricing import PriceBook

    yield Finding("prices", Level.OK, PriceBook().version)


def weights(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Who sits in the toxicity slot: a model over a bundle of weights, or nobody."""
    from streamgauge.stream_processors.scores.toxicity import slot

    try:
        scorer = slot.toxicity_scorer(context.env)
    except Misconfigured as error:
        mend = error.hint
        yield Finding("weights", Level.BAD, error.message, mend)
        return
    if isinstance(scorer, slot.MissingScorer):
        yield Finding(
            "weights",
            Level.WARN,
            f"no Detoxify scorer ({scorer.reason}): toxicity is NULL, status no_scorer",
            f"set {slot.VARIABLE} to a bundle; the lexical scorer works without",
        )
    else:
        yield Finding("weights", Level.OK, f"bundle {context.env[slot.VARIABLE]}")

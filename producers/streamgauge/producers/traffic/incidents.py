"""Plants incidents in traffic and remembers the truth. Pure: seeds decide kind, time, size, app.

In: events in order of `ts`, a seed. Out: `Incident`s, the changed events in order of `ts`, a truth
file. Not here: which rule finds what (the rule pack), nor any mark in the events: a detector sees
only the traffic.

    error_burst    70-90 % of the app's calls fail with HTTP 500 or 503, 5-8 min, no tokens
    latency_x3     duration and time to first token times 3, 10-12 min (calls that START in it)
    cost_x4        the app asks for 4 answers (n = 4) on 4 times the context: tokens times 4,
                   latency as before (the answers are made in parallel), 10-12 min
    silence        the app sends nothing from some time to the end, at least 12 min
    runaway        one user of an agent app loops on growing contexts: 110-150 USD of extra calls in
                   6-10 min
    unknown_model  30-50 % of the app's calls ask for a model that no price list has, to the end

Each on another app; all after 22 minutes of clean history and in the second half, ending 4 minutes
before the end at the latest (silence and unknown_model go on to the end).
"""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from streamgauge.contracts.errors import Misconfigured
from streamgauge.producers.traffic.catalog import APPS, MODELS, UNKNOWN_MODEL, AppSpec
from streamgauge.producers.traffic.model import SDK, Event, in_ts_order, latency

MINUTE_MS = 60_000
CLEAN_HISTORY_MS = 22 * MINUTE_MS
END_MARGIN_MS = 4 * MINUTE_MS
SILENCE_MS = 12 * MINUTE_MS
MIN_TOKENS = 120_000
TRUTH_VERSION = 1


class Kind(StrEnum):
    """What goes wrong."""

    ERROR_BURST = "error_burst"
    LATENCY_X3 = "latency_x3"
    COST_X4 = "cost_x4"
    SILENCE = "silence"
    RUNAWAY = "runaway"
    UNKNOWN_MODEL = "unknown_model"


ALL_KINDS: tuple[Kind, ...] = tuple(Kind)


@dataclass(frozen=True, slots=True)
class Incident:
    """One planted incident: the truth. Times: event time, ms since the epoch, end excluded."""

    kind: Kind
    app: str
    start_ms: int
    end_ms: int
    severity_class: Literal["page", "ticket"]
    params: dict[str, float] = field(default_factory=dict)

    def covers(self, at_ms: int) -> bool:
        """Whether this moment lies in the incident."""
        return self.start_ms <= at_ms < self.end_ms


_MINUTES: dict[Kind, tuple[float, float]] = {
    Kind.ERROR_BURST: (5, 8),
    Kind.LATENCY_X3: (10, 12),
    Kind.COST_X4: (10, 12),
    Kind.RUNAWAY: (6, 10),
}
"""Length, least and most. The other kinds last to the end."""

MIN_SPAN_MS = 2 * CLEAN_HISTORY_MS
"""Shorter traffic has no room for incidents with a clean history before them."""


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """`all`, `none` or names with commas; Misconfigured for a name that is no kind."""
    if text in ("", "none"):
        return ()
    if text == "all":
        return ALL_KINDS
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in ALL_KINDS]
    if unknown:
        raise Misconfigured(
            f"incidents: {unknown[0]!r} is unknown",
            hint=f"expected all, none or some of {', '.join(ALL_KINDS)}",
        )
    return tuple(Kind(name) for name in names)


def plan_incidents(
    seed: int,
    start_ms: int,
    end_ms: int,
    apps: Sequence[AppSpec] = APPS,
    kinds: Iterable[Kind] = ALL_KINDS,
) -> list[Incident]:
    """Choose app, time and size of each kind, by the seed. Sorted by start.

    start_ms, end_ms: first and last `ts` of the traffic. Misconfigured if it is shorter than 44
    minutes, or if there are not enough apps (one per kind; a runaway needs an agent app).
    """
    wanted = [kind for kind in ALL_KINDS if kind in set(kinds)]
    if not wanted:
        return []
    if end_ms - start_ms < MIN_SPAN_MS:
        raise Misconfigured(
            f"the traffic lasts {(end_ms - start_ms) / MINUTE_MS:.1f} min, incidents need "
            f"{MIN_SPAN_MS // MINUTE_MS}",
            hint="plant no incidents, or let the traffic last longer",
        )
    rng = random.Random(f"incidents/{seed}")  # noqa: S311 - reproducible, not a secret
    apps_of = _assign(rng, wanted, apps)
    earliest = max(start_ms + CLEAN_HISTORY_MS, (start_ms + end_ms) // 2)
    plan = [_place(rng, kind, apps_of[kind], earliest, end_ms) for kind in wanted]
    return sorted(plan, key=lambda i: (i.start_ms, i.kind))


def _assign(rng: random.Random, kinds: Sequence[Kind], apps: Sequence[AppSpec]) -> dict[Kind, str]:
    left = list(apps)
    chosen: dict[Kind, str] = {}
    for kind in sorted(kinds, key=lambda k: k is not Kind.RUNAWAY):  # the choosiest first
        fit = [a for a in left if a.agent] if kind is Kind.RUNAWAY else left
        if not fit:
            raise Misconfigured(
                f"no app is left for the incident {kind}: {len(kinds)} kinds, {len(apps)} apps",
                hint="plant fewer kinds; a runaway needs an agent app",
            )
        app = fit[int(rng.random() * len(fit))]
        left.remove(app)
        chosen[kind] = app.name
    return chosen


def _place(rng: random.Random, kind: Kind, app: str, earliest: int, end_ms: int) -> Incident:
    if kind in _MINUTES:
        least, most = _MINUTES[kind]
        length = int((least + (most - least) * rng.random()) * MINUTE_MS)
        latest = end_ms - END_MARGIN_MS - length
        start = earliest + int(rng.random() * (latest - earliest))
        stop = start + length
    else:  # to the end
        latest = end_ms - SILENCE_MS
        start = earliest + int(rng.random() * (latest - earliest))
        stop = end_ms + 1
    params: dict[str, float] = {}
    x = rng.random()
    if kind is Kind.ERROR_BURST:
        params["share"] = round(0.70 + 0.20 * x, 3)
    elif kind is Kind.LATENCY_X3:
        params["factor"] = 3.0
    elif kind is Kind.COST_X4:
        params["factor"] = 4.0
    elif kind is Kind.RUNAWAY:
        params["usd"] = round(110 + 40 * x, 2)
    elif kind is Kind.UNKNOWN_MODEL:
        params["share"] = round(0.30 + 0.20 * x, 3)
    severity: Literal["page", "ticket"] = "ticket" if kind is Kind.UNKNOWN_MODEL else "page"
    return Incident(kind, app, start, stop, severity, params)


def apply_incidents(
    events: Iterable[Event], incidents: Sequence[Incident], seed: int, *, run: str = "run"
) -> Iterator[Event]:
    """The events with the incidents in them, in order of `ts`. Changed events are copies.

    Only `llm.request` events are touched. What happens to an event depends on the last part of its
    id (the row) and the seed, not on its neighbours. run: prefix of the ids of added events.
    """
    if not incidents:
        yield from events
        return
    by_app = {i.app: i for i in incidents}
    extra = [_runaway(i, seed, run) for i in incidents if i.kind is Kind.RUNAWAY]
    merged = heapq.merge(_changed(events, by_app, seed), *extra, key=lambda pair: pair[0])
    yield from in_ts_order(merged)


def _changed(
    events: Iterable[Event], by_app: dict[str, Incident], seed: int
) -> Iterator[tuple[int, Event]]:
    """(`ts` before the change, event); a change never makes `ts` smaller than the bound."""
    low = 0
    for event in events:
        incident = by_app.get(event.get("app", ""))
        change = None if incident is None else _CHANGES.get(incident.kind)
        kept: Event | None = event
        if change is not None and incident is not None and event["type"] == "llm.request":
            rng = random.Random(f"{seed}/{incident.kind}/{event['id'].rpartition('-')[2]}")  # noqa: S311
            kept = change(dict(event), incident, rng)
        low = max(low, event["ts"])
        if kept is not None:
            yield low, kept


def _error_burst(event: Event, incident: Incident, rng: random.Random) -> Event:
    if not incident.covers(event["ts"]) or rng.random() >= incident.params["share"]:
        return event
    code = 503 if rng.random() < 0.6 else 500
    for name in (
        "output_tokens", "input_tokens", "cache_read_tokens", "ttft_ms", "response_model",
        "system_fingerprint", "output_text", "output_chars", "truncated",
    ):  # fmt: skip
        event.pop(name, None)
    event.update(
        status="error",
        error_type="overloaded" if code == 503 else "server_error",
        http_status=code,
        finish_reason="error",
        usage_source="none",
        duration_ms=round(150 + 1200 * rng.random(), 3),
    )
    return event


def _latency(event: Event, incident: Incident, rng: random.Random) -> Event:
    before = event["duration_ms"]
    arrival = event["ts"] - int(before + 0.5)
    if incident.covers(arrival):
        factor = incident.params["factor"]
        event["duration_ms"] = round(before * factor, 3)
        event["ts"] = arrival + int(event["duration_ms"] + 0.5)
        if event.get("ttft_ms") is not None:
            event["ttft_ms"] = round(event["ttft_ms"] * factor, 3)
    return event


def _cost(event: Event, incident: Incident, rng: random.Random) -> Event:
    if incident.covers(event["ts"]):
        factor = int(incident.params["factor"])
        event["n"] = factor
        for name in ("input_tokens", "output_tokens", "cache_read_tokens"):
            if event.get(name) is not None:
                event[name] *= factor
    return event


def _silence(event: Event, incident: Incident, rng: random.Random) -> Event | None:
    return None if event["ts"] >= incident.start_ms else event  # to the end, whenever that is


def _unknown_model(event: Event, incident: Incident, rng: random.Random) -> Event:
    if event["ts"] >= incident.start_ms and rng.random() < incident.params["share"]:
        event["model"] = event["response_model"] = UNKNOWN_MODEL
        event.pop("system_fingerprint", None)
    return event


_CHANGES: dict[Kind, Callable[[Event, Incident, random.Random], Event | None]] = {
    Kind.ERROR_BURST: _error_burst,
    Kind.LATENCY_X3: _latency,
    Kind.COST_X4: _cost,
    Kind.SILENCE: _silence,
    Kind.UNKNOWN_MODEL: _unknown_model,
}


def _runaway(incident: Incident, seed: int, run: str) -> list[tuple[int, Event]]:
    """The extra calls of a looping agent: evenly paced with jitter, contexts grow and restart."""
    app = next(a for a in APPS if a.name == incident.app)
    spec = MODELS[app.models[0][0]]
    rng = random.Random(f"{seed}/{incident.kind}")  # noqa: S311
    top = int(spec.max_input_tokens * 0.975)
    mean_usd = (MIN_TOKENS + top) / 2 * spec.usd_per_m_input / 1e6
    calls = math.ceil(incident.params["usd"] / mean_usd)
    step = (incident.end_ms - incident.start_ms) / calls
    events = []
    for i in range(calls):
        arrival = incident.start_ms + int(step * (i + rng.random() * 0.8))
        tokens_in = MIN_TOKENS + int((top - MIN_TOKENS) * ((i % 50) / 49))
        tokens_out = 40 + int(80 * rng.random())
        _, duration = latency(spec, tokens_in, tokens_out, [rng.random() for _ in range(6)])
        event: Event = {
            "v": 1,
            "id": f"{run}-x{i}",
            "type": "llm.request",
            "ts": arrival + int(duration + 0.5),
            "tenant": "default",
            "app": app.name,
            "env": "prod",
            "team": app.team,
            "feature": app.features[0][0],
            "sdk": SDK,
            "op": "chat",
            "provider": spec.provider,
            "model": spec.name,
            "response_model": spec.response_model,
            "status": "ok",
            "http_status": 200,
            "stream": False,
            "duration_ms": duration,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "usage_source": "provider",
            "finish_reason": "tool_calls",
            "prompt_name": f"{app.name}/main",
            "prompt_version": app.prompt_versions[0][0],
            "user_id": f"{seed & 0xFFFFFFFF:08x}c0ffee00c0ffee00c0ffee00",
            "key_id": f"{seed & 0xFFFFFFFF:08x}0badcafe0badcafe0badcafe",
            "content": "none",
            "tags": {"trace": "simulator", "synthetic": "all"},
        }
        events.append((event["ts"], event))
    return sorted(events, key=lambda pair: pair[0])


def write_truth(path: Path, incidents: Sequence[Incident], seed: int) -> None:
    """Write the truth file (JSON); its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"v": TRUTH_VERSION, "seed": seed, "incidents": [asdict(i) for i in incidents]}
    path.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")


def read_truth(path: Path) -> list[Incident]:
    """The incidents of a truth file; Misconfigured if it is none."""
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if body["v"] != TRUTH_VERSION:
            raise ValueError(f"version {body['v']}, expected {TRUTH_VERSION}")
        return [Incident(**{**i, "kind": Kind(i["kind"])}) for i in body["incidents"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Misconfigured(f"{path} is no truth file: {e}") from None

"""The stated, seeded model that turns rows of a trace into events. Pure; no clock, no Kafka.

In: `TraceRow`s sorted by arrival, a seed. Out: `llm.request` events as dicts in order of `ts`,
which is the COMPLETION. What the row says is kept; what it lacks is filled by the algorithm below,
and `tags.synthetic` of the event lists the filled fields (`all` for simulated rows). Not here:
incidents (incidents.py), producer ids and sequence numbers (sender.py), time shifts (timeline.py).

The algorithm, complete, so that anyone can recompute it from file and seed. APPS and MODELS are the
tables of catalog.py, in their order.

    rng  = random.Random(f"{seed}/{row}")           row = 1 for the first request of the file
    u    = [rng.random() for _ in range(14)]        Python's Mersenne Twister, seeded by the string
    pick(choices, x): the first choice whose running sum of shares is > x, else the last
    normal(a, b) = sqrt(-2 * ln(1 - a)) * cos(2 * pi * b)

    app      = pick(APPS by weight, u[0])
    model    = pick(app.models, u[1])
    ttft_ms  = model.ttft_ms * exp(model.ttft_sigma * normal(u[2], u[3]))
               + model.prefill_ms_per_token * input_tokens
    speed    = model.tokens_per_s * exp(model.speed_sigma * normal(u[4], u[5]))
    duration_ms = ttft_ms + 1000 * output_tokens / speed
    both rounded to 3 decimals (Python's round); an unknown token count is 0 here
    ts       = arrival_ms + floor(duration_ms + 0.5)
    status   = error if u[6] < 0.005, timeout if < 0.006, cancelled if < 0.008, else ok
    error    = pick(ERRORS, u[7])                   only when status is error
    user     = number floor(app.users * u[8]^2)     few users make most of the calls
    prompt_version = pick(app.prompt_versions, u[9])
    feature  = pick(app.features, u[10])
    stream   = u[11] < app.stream                   ttft_ms is sent for streamed calls only
    fingerprint = model.fingerprints[floor(u[12] * n)]
    finish   = error unless ok; tool_calls if u[13] < 0.3 and app.agent; length if u[13] > 0.97;
               else stop

An everyday error keeps the row's tokens and its duration: the answer was made and billed, and then
lost on its way. So the token sums of a replay are those of the trace. Rows of image generation
(output_type image) belong to the app `image-studio` and get no latency, tokens or prompt.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

from streamgauge.contracts.bounds import MAX_DURATION_MS
from streamgauge.producers.traffic import catalog
from streamgauge.producers.traffic.catalog import APPS, MODELS, AppSpec, ModelSpec
from streamgauge.producers.traffic.texts import TextPool
from streamgauge.producers.traffic.traces import TraceRow

Event = dict[str, Any]
T = TypeVar("T")

DRAWS = 14
SDK = "streamgauge-traffic/1"
IMAGE_APP = "image-studio"
_APP_SHARES = tuple((app, app.weight) for app in APPS)
_ERRORS = tuple(((name, code), share) for name, code, share in catalog.ERRORS)


def pick(choices: Sequence[tuple[T, float]], x: float) -> T:
    """The first choice whose running sum of shares is above x (0 <= x < 1), else the last."""
    total = 0.0
    for choice, share in choices:
        total += share
        if x < total:
            return choice
    return choices[-1][0]


def normal(a: float, b: float) -> float:
    """A standard normal number from two uniform ones (Box and Muller)."""
    return math.sqrt(-2.0 * math.log(1.0 - a)) * math.cos(2.0 * math.pi * b)


def draws(seed: int, row: int) -> list[float]:
    """The uniform numbers of one row."""
    rng = random.Random(f"{seed}/{row}")  # noqa: S311 - reproducible traffic, not a secret
    return [rng.random() for _ in range(DRAWS)]


def latency(
    spec: ModelSpec, tokens_in: int, tokens_out: int, u: list[float]
) -> tuple[float, float]:
    """(ttft_ms, duration_ms) of one call. u: the row's draws."""
    ttft = spec.ttft_ms * math.exp(spec.ttft_sigma * normal(u[2], u[3]))
    ttft += spec.prefill_ms_per_token * tokens_in
    speed = spec.tokens_per_s * math.exp(spec.speed_sigma * normal(u[4], u[5]))
    duration = min(ttft + 1000.0 * tokens_out / speed, float(MAX_DURATION_MS))
    return round(min(ttft, duration), 3), round(duration, 3)


def events_for(
    rows: Iterable[TraceRow],
    seed: int,
    *,
    source: str = "trace",
    run: str = "run",
    texts: TextPool | None = None,
) -> Iterator[Event]:
    """Events of the rows, in order of `ts` (ties: in order of the file), deterministic per seed.

    rows: sorted by arrival. source: goes to `tags.trace`; "simulator" marks everything synthetic.
    run: prefix of the event ids (`{run}-{row}`), so that two replays do not look like duplicates.
    texts: prompts and answers to join; without them `content` is `none`.
    BadInput never: what cannot be read was refused by the reader.
    """
    return in_ts_order(
        ((row.arrival_ms, _event(row, seed, source, run, texts)) for row in rows),
    )


def in_ts_order(arrivals: Iterable[tuple[int, Event]]) -> Iterator[Event]:
    """Sort a stream by `ts`, holding only what may still be overtaken.

    arrivals: (lower bound of the `ts` of this and all later events, event), bounds ascending.
    """
    held: list[tuple[int, int, Event]] = []
    for order, (bound, event) in enumerate(arrivals):
        while held and held[0][0] < bound:
            yield heapq.heappop(held)[2]
        heapq.heappush(held, (event["ts"], order, event))
    while held:
        yield heapq.heappop(held)[2]


def _event(row: TraceRow, seed: int, source: str, run: str, texts: TextPool | None) -> Event:
    u = draws(seed, row.row)
    event: Event = {
        "v": 1,
        "id": f"{run}-{row.row}",
        "type": "llm.request",
        "ts": 0,
        "tenant": row.tenant or catalog.TENANT,
        "env": "prod",
        "sdk": SDK,
        "content": "none",
    }
    if row.output_type == "image":
        _fill_image(event, row, u)
    else:
        _fill_text(event, row, pick(_APP_SHARES, u[0]), u)
    event["ts"] = row.arrival_ms + int(event["duration_ms"] + 0.5)
    event["tags"] = {"trace": source, "synthetic": _synthetic(source, _given(row))}
    if texts is not None and row.output_type != "image":
        texts.fill(event, row.row)
    return event


def _fill_text(event: Event, row: TraceRow, app: AppSpec, u: list[float]) -> None:
    spec = MODELS[pick(app.models, u[1])]
    ttft, duration = latency(spec, row.input_tokens or 0, row.output_tokens or 0, u)
    stream = u[11] < app.stream
    version = pick(app.prompt_versions, u[9])
    event.update(
        app=app.name,
        team=app.team,
        feature=pick(app.features, u[10]),
        op="chat",
        provider=spec.provider,
        model=spec.name,
        response_model=spec.response_model,
        stream=stream,
        duration_ms=duration,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        usage_source="provider",
        temperature=app.temperature,
        prompt_name=f"{app.name}/main",
        prompt_version=version,
        user_id=_pseudonym(f"{app.name}/user/{int(app.users * u[8] ** 2)}"),
        key_id=_pseudonym(f"{app.name}/key"),
    )
    if stream:
        event["ttft_ms"] = ttft
    if row.cache_read_tokens is not None:
        event["cache_read_tokens"] = row.cache_read_tokens
    if spec.fingerprints:
        event["system_fingerprint"] = spec.fingerprints[int(u[12] * len(spec.fingerprints))]
    _fill_outcome(event, app, u)


def _fill_outcome(event: Event, app: AppSpec, u: list[float]) -> None:
    failed = catalog.ERROR_SHARE
    timed_out = failed + catalog.TIMEOUT_SHARE
    if u[6] < failed:
        error, code = pick(_ERRORS, u[7])
        event.update(status="error", error_type=error, http_status=code, finish_reason="error")
    elif u[6] < timed_out:
        event.update(status="timeout", error_type="timeout", finish_reason="error")
    elif u[6] < timed_out + catalog.CANCELLED_SHARE:
        event.update(status="cancelled", finish_reason="error")
    else:
        finish = "tool_calls" if app.agent and u[13] < 0.3 else "stop"
        event.update(
            status="ok", http_status=200, finish_reason="length" if u[13] > 0.97 else finish
        )


def _fill_image(event: Event, row: TraceRow, u: list[float]) -> None:
    event.update(
        app=IMAGE_APP,
        team="studio",
        op=row.op or "generate_content",
        provider=row.provider or "unknown",
        model=row.model or "unknown",
        output_type="image",
        status=row.status or "ok",
        duration_ms=round(row.duration_ms or 0.0, 3),
        usage_source="none",
        key_id=_pseudonym(f"{IMAGE_APP}/key/{int(8 * u[8])}"),
    )
    for name in ("feature", "error_type", "input_chars"):
        if (value := getattr(row, name)) is not None:
            event[name] = value


@cache
def _pseudonym(name: str) -> str:
    """A stable made-up id that looks like the client's HMAC."""
    return sha256(name.encode()).hexdigest()[:32]


_TEXT_FIELDS = (
    "app", "tenant", "team", "feature", "provider", "model", "response_model", "stream",
    "duration_ms", "ttft_ms", "status", "finish_reason", "prompt_name", "prompt_version", "user_id",
    "key_id",
)  # fmt: skip
"""What a replay of a trace fills; tags hold 200 characters, so constants are not listed."""


def _given(row: TraceRow) -> tuple[str, ...]:
    given = ["image"] if row.output_type == "image" else []
    return (*given, *(name for name in _TEXT_FIELDS if getattr(row, name, None) is not None))


@cache
def _synthetic(source: str, given: tuple[str, ...]) -> str:
    if source == "simulator":
        return "all"
    if "image" in given:
        return "app,team,key_id"
    return ",".join(name for name in _TEXT_FIELDS if name not in given)

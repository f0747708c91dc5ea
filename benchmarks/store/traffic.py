"""Ten million LLM calls of fourteen days, as clients of ours send them. Pure, seeded, in blocks.

In: how many, when they begin. Out: per block the messages of each partition in the order in which
Kafka took them. A block does not need the ones before it, so a run can go on anywhere.

20 apps of very different size with 3 clients each, made anew every day; 8 models, 4 tenants, 20,000
users, prompts with a new version each week; a daily curve; 2 % errors. Every call has a trace and a
span (two calls a trace), three in five a session and a user. Token numbers are distributed as in
the Azure LLM inference trace of 2023 (conversation; CC-BY-4.0, Splitwise, ISCA 2024), durations
follow from them. Without text: nothing of it is sent, as with `capture="none"`; with `hashes`, as
with `capture="hash"`, a keyed hash of both texts. Heartbeats are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import starmap
from typing import Final

import numpy as np

from benchmarks.store.world import (
    APPS,
    BLOCK,
    CALLS_OF_A_SESSION,
    CALLS_OF_A_TRACE,
    CLIENTS,
    COUNTS,
    CURVE,
    DAY_MS,
    DAYS,
    ERRORS,
    INPUT_TOKENS,
    MODEL_FIELDS,
    MODELS,
    OUTPUT_TOKENS,
    PARTITIONS,
    TENANT_SHARES,
    TENANTS,
    USER_IDS,
    USERS,
    Array,
    head,
    hexes,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Messages:
    """Of one partition, in order."""

    values: list[bytes]
    append_ms: list[int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """events: a multiple of BLOCK. begin_ms: of the first; the last is DAYS later."""

    events: int
    begin_ms: int
    hashes: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        """ValueError if the number cannot be cut into blocks."""
        if self.events < BLOCK or self.events % BLOCK:
            raise ValueError(f"{self.events} events: a multiple of {BLOCK} is expected")

    @property
    def blocks(self) -> int:
        """How many."""
        return self.events // BLOCK

    def offsets(self) -> Iterator[list[int]]:
        """Where each partition stands before the first block, the second ... and after the last."""
        counts = np.zeros(PARTITIONS, np.int64)
        for number in range(self.blocks):
            yield counts.tolist()
            day, base = self._life(number)
            counts += np.bincount(_partitions(day, _OF, base + _RANKS + 1), minlength=PARTITIONS)
        yield counts.tolist()

    def block(self, number: int) -> list[Messages]:
        """The messages of a block, by partition."""
        rnd = np.random.default_rng((self.seed, number))
        ts = self._times(rnd, number)
        client = rnd.permutation(_OF)
        day, base = self._life(number)
        appended = ts + 5 + rnd.exponential(25, BLOCK).astype(np.int64)
        order = np.lexsort((appended, client))
        seq = np.empty(BLOCK, np.int64)
        seq[order] = (base + _RANKS) + 1
        values = self._values(rnd, ts, client, day, seq, base)
        partition = _partitions(day, client, seq)
        in_order = np.lexsort((appended, partition))
        ends = np.cumsum(np.bincount(partition, minlength=PARTITIONS))[:-1]
        return [
            Messages([values[i] for i in rows.tolist()], appended[rows].tolist())
            for rows in np.split(in_order, ends)
        ]

    def _life(self, number: int) -> tuple[int, Array]:
        """The day of a block, and what each client has sent that day, in the order of _OF."""
        day = number * DAYS // self.blocks
        first = -(-day * self.blocks // DAYS)
        return day, (number - first) * COUNTS[_OF]

    def _times(self, rnd: np.random.Generator, number: int) -> Array:
        """Moments of a block, by the daily curve: the peak has five times the traffic of night."""
        share = (number * BLOCK + np.sort(rnd.random(BLOCK)) * BLOCK) / self.events
        ms = np.interp(share, CURVE, np.linspace(0, DAYS * DAY_MS, len(CURVE)))
        return self.begin_ms + ms.astype(np.int64)

    def _values(
        self, rnd: np.random.Generator, ts: Array, client: Array, day: int, seq: Array, base: Array
    ) -> list[bytes]:
        app = client // CLIENTS
        turn = _ranks(app)
        session, of_session = _shared(rnd, app, turn, CALLS_OF_A_SESSION)
        trace, of_trace = _shared(rnd, app, turn, CALLS_OF_A_TRACE)
        user = np.minimum(rnd.zipf(1.3, of_session), USERS)
        tenant = rnd.choice(len(TENANTS), of_session, p=TENANT_SHARES)
        model = (app + np.minimum(rnd.geometric(0.6, BLOCK), 3)) % len(MODELS)
        outcome = rnd.choice(3, BLOCK, p=(0.98, 0.018, 0.002))
        tokens_in = _drawn(rnd, INPUT_TOKENS)
        tokens_out = _drawn(rnd, OUTPUT_TOKENS)
        pace = np.array([m[2:] for m in MODELS])[model]
        ttft = pace[:, 0] * rnd.lognormal(0, 0.35, BLOCK) + tokens_in * 0.05
        took = ttft + tokens_out * pace[:, 1] * rnd.lognormal(0, 0.2, BLOCK)
        called = np.empty(BLOCK, np.int64)  # ids are given at the start of a call, seq at its end
        called[np.lexsort((ts - took, client))] = base + _RANKS + 1
        prompt = app * 3 + rnd.integers(0, 3, BLOCK) * (rnd.random(BLOCK) < 0.4)
        heads = [head(c, day) for c in range(APPS * CLIENTS)]
        ids = (hexes(rnd, 16, of_trace), hexes(rnd, 8, BLOCK), _uuids(rnd, of_session))
        texts = zip(hexes(rnd, 16, BLOCK), hexes(rnd, 16, BLOCK), strict=True)
        rows = zip(
            client.tolist(), ts.tolist(), seq.tolist(), called.tolist(), model.tolist(),
            outcome.tolist(), _measured(took), _measured(ttft), tokens_in.tolist(),
            tokens_out.tolist(), session.tolist(), trace.tolist(), prompt.tolist(),
            (rnd.random(BLOCK) < 0.3).tolist(), ids[1], texts, strict=True,
        )  # fmt: skip
        users, tenants = user.tolist(), tenant.tolist()

        def value(
            client: int, ts: int, seq: int, called: int, model: int, outcome: int, took: float,
            ttft: float, tokens_in: int, tokens_out: int, session: int, trace: int, prompt: int,
            cached: bool, span: str, text: tuple[str, str],
        ) -> bytes:  # fmt: skip
            before, after = heads[client]
            said = (
                f'{before}{called:x}","ts":{ts},"seq":{seq},"tenant":"{TENANTS[tenants[session]]}",'
                f'"trace_id":"{ids[0][trace]}","span_id":"{span}",{after}{MODEL_FIELDS[model]}'
                f'"duration_ms":{took},"input_chars":{tokens_in * 4 + seq % 4},"messages_n":'
                f'{1 + session % 9},"prompt_name":"prompt-{prompt}","prompt_version":'
                f'"{1 + (day + prompt) // 7}"'
            )
            if client % 5 < 3:
                said += f',"session_id":"{ids[2][session]}","user_id":"{USER_IDS[users[session]]}"'
            if self.hashes:
                said += f',"content":"hash","input_hash":"{text[0]}"'
            else:
                said += ',"content":"none"'
            if outcome:
                name, status = ERRORS[seq % len(ERRORS)]
                said += ',"status":"timeout"' if outcome == 2 else ',"status":"error"'
                said += f',"error_type":"{name}"' + (f',"http_status":{status}' if status else "")
                return (said + "}").encode()
            said += (
                f',"status":"ok","finish_reason":"stop","ttft_ms":{ttft},"input_tokens":{tokens_in},'
                f'"output_tokens":{tokens_out},"output_chars":{tokens_out * 4 + called % 4}'
            )
            if cached:
                said += f',"cache_read_tokens":{tokens_in // 128 * 64}'
            if self.hashes:
                said += f',"output_hash":"{text[1]}"'
            return (said + "}").encode()

        return list(starmap(value, rows))


def _ranks(group: Array) -> Array:
    """The how manieth of its group each row is, from 0, in the order of rows."""
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    ranks = np.empty(len(group), np.int64)
    ranks[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def _shared(rnd: np.random.Generator, app: Array, turn: Array, calls: int) -> tuple[Array, int]:
    """Number of the session or trace of each call, and how many; several run beside each other."""
    near = np.floor(turn / calls + rnd.normal(0, calls, len(app))).astype(np.int64) + 10_000
    distinct, number = np.unique(app * 1_000_000 + near, return_inverse=True)
    return number, len(distinct)


def _drawn(rnd: np.random.Generator, quantiles: tuple[int, ...]) -> Array:
    at = np.linspace(0, 1, len(quantiles))
    found: Array = np.interp(rnd.random(BLOCK), at, quantiles).astype(np.int64)
    return found


def _measured(ms: Array) -> list[float]:
    """As the client sends them: to the whole microsecond."""
    found: list[float] = np.round(ms, 3).tolist()
    return found


def _uuids(rnd: np.random.Generator, n: int) -> list[str]:
    return [f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}" for h in hexes(rnd, 16, n)]


def _partitions(day: int, client: Array, seq: Array) -> Array:
    """By client and seq // 1024, as our key has it."""
    found: Array = _PLACES[client, (day * 131 + seq // 1024) % _PLACES.shape[1]]
    return found


_OF: Final = np.repeat(np.arange(APPS * CLIENTS), COUNTS)
_RANKS: Final = _ranks(_OF)
_PLACES: Final = np.random.default_rng(5).integers(0, PARTITIONS, (APPS * CLIENTS, 4096))

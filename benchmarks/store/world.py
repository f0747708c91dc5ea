"""Who sends the traffic: apps, clients, models, users, and what all their calls say.

Pure, seeded.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BLOCK: Final = 20_000
DAYS: Final = 14
PARTITIONS: Final = 8
APPS: Final = 20
CLIENTS: Final = 3  # of an app
USERS: Final = 20_000
DAY_MS: Final = 86_400_000
CALLS_OF_A_TRACE: Final = 2
CALLS_OF_A_SESSION: Final = 4
TENANTS: Final = ("default", "north", "south", "trial")
TENANT_SHARES: Final = (0.6, 0.2, 0.15, 0.05)
MODELS: Final = (  # provider, model, ms to the first token, ms a token
    ("openai", "gpt-4o-mini", 350, 9), ("openai", "gpt-4o", 500, 16),
    ("anthropic", "claude-sonnet-4-5", 700, 17), ("openai", "gpt-4.1", 550, 14),
    ("google", "gemini-2.5-flash", 300, 6), ("anthropic", "claude-haiku-4-5", 450, 8),
    ("openai", "o4-mini", 2_000, 10), ("mistral", "mistral-large-latest", 450, 18),
)  # fmt: skip
ERRORS: Final = (("RateLimitError", 429), ("APIConnectionError", 0), ("InternalServerError", 500))
INPUT_TOKENS: Final = (
    2, 181, 207, 372, 387, 396, 403, 414, 703, 984, 1020, 1045, 1071, 1097, 1130, 1189, 1315, 1877,
    2735, 4083, 14050,
)  # fmt: skip
OUTPUT_TOKENS: Final = (
    7, 41, 54, 67, 77, 85, 91, 96, 103, 113, 129, 151, 177, 217, 384, 395, 400, 411, 424, 451, 1000,
)  # fmt: skip
"""Every twentieth of the distribution."""

Array = NDArray[Any]


def head(client: int, day: int) -> tuple[str, str]:
    """What a client says with each event: up to the number in the id, and after it."""
    rnd = np.random.default_rng((client, day, 7))
    own, app = rnd.bytes(8).hex(), client // CLIENTS
    rest = {
        "type": "llm.request", "app": f"app-{app}", "env": "prod", "team": f"team-{app % 5}",
        "feature": f"feature-{app % 4}", "release": f"2026.{40 + day // 7}.{app % 3}",
        "producer_id": own, "sdk": "streamgauge-python/0.1.0", "op": "chat",
        "host": f"app-{app}-{rnd.bytes(4).hex()}", "key_id": KEY_IDS[app * 2 + client % 2],
    }  # fmt: skip
    return f'{{"v":1,"id":"{own}-', json.dumps(rest, separators=(",", ":"))[1:-1] + ","


def _model(provider: str, model: str) -> str:
    said = {
        "provider": provider, "model": model, "response_model": model, "stream": True,
        "usage_source": "provider", "temperature": 0.7, "max_tokens": 1024,
    }  # fmt: skip
    return json.dumps(said, separators=(",", ":"))[1:-1] + ","


def _shares() -> Array:
    """Events of each client in a block: apps by Zipf's law, their clients alike."""
    weights = np.repeat(1 / np.arange(1, APPS + 1) ** 0.9, CLIENTS)
    counts = np.floor(weights / weights.sum() * BLOCK).astype(np.int64)
    counts[: BLOCK - counts.sum()] += 1
    found: Array = counts
    return found


def _curve() -> Array:
    """Share of the events until each of equally many moments."""
    moments = np.linspace(0, DAYS * 2 * np.pi, DAYS * 96 + 1)
    rate = 1 + 2 / 3 * np.sin(moments)
    passed = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    found: Array = passed / passed[-1]
    return found


def _names(n: int, what: int) -> list[str]:
    """Keyed hashes of so many identities: 128 bits, hex."""
    return hexes(np.random.default_rng((what, 9)), 16, n)


def hexes(rnd: np.random.Generator, size: int, n: int) -> list[str]:
    """Random numbers of so many bytes, in hex."""
    text = rnd.bytes(size * n).hex()
    return [text[i : i + 2 * size] for i in range(0, len(text), 2 * size)]


COUNTS: Final = _shares()
CURVE: Final = _curve()
USER_IDS: Final = _names(USERS + 1, 1)
KEY_IDS: Final = _names(APPS * 2, 2)
MODEL_FIELDS: Final = [_model(provider, model) for provider, model, *_ in MODELS]

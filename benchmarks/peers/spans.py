"""The spans that every system gets: one JSON file, written once, read by each client.

About 600 characters of prompt and 760 of answer, a model, tokens, a user and a session. No package
is needed to read this: the clients of other tools run in environments of their own.
"""

import json
import random
from pathlib import Path

TEXT = """
the of and to in is that for it as was with be by on not he this are or his from at which but have
an had they you were their one all we can her has there been if more when will would who so no
invoice contract delivery refund customer warranty schedule payment account deadline
"""
WORDS = TEXT.split()
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini")
PROMPT_CHARS = 600
ANSWER_CHARS = 760


def write(path: Path, n: int, seed: int = 1) -> None:
    """n spans as a JSON list."""
    rng = random.Random(seed)  # not for secrets
    path.write_text(json.dumps([_span(rng, i) for i in range(n)]))


def _span(rng: random.Random, i: int) -> dict[str, object]:
    return {
        "model": rng.choice(MODELS),
        "prompt": _text(rng, PROMPT_CHARS),
        "answer": _text(rng, ANSWER_CHARS),
        "input_tokens": rng.randrange(100, 300),
        "output_tokens": rng.randrange(100, 300),
        "duration_ms": round(rng.lognormvariate(6.5, 0.8), 3),
        "user": f"user-{i % 500}",
        "session": f"session-{i % 2_000}",
    }


def _text(rng: random.Random, chars: int) -> str:
    words: list[str] = []
    size = 0
    while size < chars:
        words.append(rng.choice(WORDS))
        size += len(words[-1]) + 1
    return " ".join(words)[:chars]

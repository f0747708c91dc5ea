"""Joins prompts and answers from a file to synthetic events.

In: a JSONL file (or one JSON array, plain or gzip); each row has `prompt`, `instruction` or
`question`, and `answer`, `output` or `response`. Out: `input_text`, `output_text`, `input_chars`,
`output_chars`, `content`, `truncated` of an event. Which pair an event gets depends on seed and row
number alone: the pairs are shuffled once by `random.Random(f"texts/{seed}")` and row r takes number
(r - 1) modulo their count. Texts are bounded as the client bounds them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamgauge.contracts.bounds import MAX_TEXT_BYTES
from streamgauge.contracts.errors import BadInput
from streamgauge.producers._redact import redact
from streamgauge.producers._text import clean, cut
from streamgauge.producers.traffic.json_values import parse_json
from streamgauge.producers.traffic.traces import lines_of, open_text

PROMPT_FIELDS = ("prompt", "instruction", "question")
ANSWER_FIELDS = ("answer", "output", "response")

Content = Literal["full", "redacted"]


@dataclass(frozen=True, slots=True)
class TextPool:
    """Prompts and answers, already shuffled, redacted (if asked for) and cut."""

    pairs: tuple[tuple[Text, Text], ...]
    content: Content

    def fill(self, event: dict[str, Any], row: int) -> None:
        """Put the texts of this row into the event."""
        prompt, answer = self.pairs[(row - 1) % len(self.pairs)]
        event["content"] = self.content
        event["text_probability"] = 1.0
        event["input_text"] = prompt.text
        event["input_chars"] = prompt.chars
        if event.get("status", "ok") == "ok":
            event["output_text"] = answer.text
            event["output_chars"] = answer.chars
        if prompt.cut or answer.cut:
            event["truncated"] = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is sent. chars: length of the full one. cut: whether some is missing."""

    text: str
    chars: int
    cut: bool


def load_texts(path: Path, seed: int, *, content: Content = "full") -> TextPool:
    """Read the pairs of a file. content: `redacted` applies the client's redaction.

    BadInput for a row without a prompt or an answer, and for a file without rows.
    """
    pairs = []
    for where, row in _rows(path):
        prompt = _field(where, row, PROMPT_FIELDS)
        answer = _field(where, row, ANSWER_FIELDS)
        pairs.append((_text(prompt, content), _text(answer, content)))
    if not pairs:
        raise BadInput(f"{path}: no prompts and answers in it", reason="empty")
    random.Random(f"texts/{seed}").shuffle(pairs)  # noqa: S311 - reproducible, not a secret
    return TextPool(tuple(pairs), content)


def _text(text: str, content: Content) -> Text:
    whole = clean(text)
    if content == "redacted":
        whole = redact(whole)
    short = cut(whole, MAX_TEXT_BYTES)
    return Text(short, len(text), len(short) < len(whole))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, value in _values(path):
        if not isinstance(value, dict):
            raise BadInput(f"{where}: expected a JSON object", reason="bad_text")
        yield where, value


def _values(path: Path) -> Iterable[tuple[str, Any]]:
    with open_text(path) as stream:
        is_array = stream.read(1) == "["
    if is_array:
        with open_text(path) as stream:
            whole = stream.read()
        try:
            array = parse_json(whole)
        except ValueError as e:
            raise BadInput(f"{path}: not a JSON array ({e})", reason="bad_text") from None
        yield from ((f"{path} row {i}", value) for i, value in enumerate(array, start=1))
        return
    for number, line in lines_of(path):
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", parse_json(line)
        except ValueError as e:
            raise BadInput(
                f"{path}:{number}: found {line[:80]!r}, expected one JSON object ({e})",
                reason="bad_text",
            ) from None


def _field(where: str, row: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        if isinstance(value := row.get(name), str):
            return value
    raise BadInput(f"{where}: none of the text fields {', '.join(names)}", reason="bad_text")

"""Reads real request traces into rows. Decides what each column means; fills nothing.

In: a trace file (plain or gzip). Out: `TraceRow`s in file order, one per request, with only what
the file says. A line that cannot be read is a BadInput that names file, line, value and what was
expected. Not here: what a trace lacks (model.py), time shifts (timeline.py), our own events
(ndjson.py).

azure     AzureLLMInferenceTrace_conv.csv: arrival (100 ns), input and output tokens
mooncake  conversation_trace.jsonl: arrival (ms from start), tokens, ids of prefix blocks
alibaba   lora_request_trace.csv of cluster-trace-v2026-GenAI (images): arrival (s), run time,
          status, tenant, model, prompt length

Times without a zone are read as UTC. Mooncake's clock starts at 0: it is put at MOONCAKE_EPOCH_MS.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

from streamgauge.contracts.errors import BadInput, Misconfigured
from streamgauge.producers.traffic.json_values import parse_json

MOONCAKE_EPOCH_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z: where Mooncake's time 0 is put when a replay keeps the file's own times."""

MOONCAKE_BLOCK_TOKENS = 512

MAX_LINE_CHARS = 1_000_000


class Format(StrEnum):
    """What a traffic file holds."""

    AZURE = "azure"
    MOONCAKE = "mooncake"
    ALIBABA = "alibaba"
    NDJSON = "ndjson"


SHIPPED: dict[Format, tuple[str, str]] = {
    Format.AZURE: (
        "azure_llm_2023_conv.csv.gz",
        "ff242f3e188a47560ece64f1f9583cfed080118422e6307e0d5384eedd6dbbe7",
    ),
    Format.MOONCAKE: (
        "mooncake_fast25_conversation.jsonl.gz",
        "f44195697c46b9cb97a5fc5f52756969104d6f7174e4c3a16484f7d3c46391a5",
    ),
}
"""Traces inside the package: file name and sha256."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One request of a trace. None = the trace does not say.

    row: 1 for the first request of the file. arrival_ms: ms since the epoch, UTC, rounded down.
    cache_read_tokens: prompt tokens whose prefix blocks were seen before in the trace.
    """

    row: int
    arrival_ms: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    duration_ms: float | None = None
    status: str | None = None
    error_type: str | None = None
    tenant: str | None = None
    model: str | None = None
    provider: str | None = None
    op: str | None = None
    output_type: str | None = None
    input_chars: int | None = None
    feature: str | None = None


def shipped_trace(name: Format) -> Path:
    """Path of a trace inside the package; Misconfigured if it is damaged."""
    file_name, sha256 = SHIPPED[name]
    path = Path(str(files(__package__).joinpath("data", file_name)))
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    if seen != sha256:
        raise Misconfigured(
            f"{path} is damaged: sha256 {seen}, expected {sha256}", hint="install the package again"
        )
    return path


@contextmanager
def open_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """A text file, plain or gzip by its first bytes.

    Misconfigured if it cannot be opened, BadInput if it turns out to be no text while it is read.
    """
    try:
        raw = path.open("rb")
    except OSError as e:
        raise Misconfigured(f"cannot read {path}: {e.strerror or e}") from None
    with raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if gzipped else raw
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            try:
                yield text
            except _NO_TEXT as e:
                raise _no_text(str(path), e) from None


_NO_TEXT = (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error)


def _no_text(where: str, e: Exception) -> BadInput:
    why = (
        f"not UTF-8 text ({e.reason})"
        if isinstance(e, UnicodeDecodeError)
        else f"broken gzip ({e})"
    )
    return BadInput(f"{where}: {why}", reason="bad_encoding")


def lines_of(path: Path) -> Generator[tuple[int, str], None, None]:
    """(line number from 1, line without its end) of a text file; BadInput if it is no text."""
    number = 0
    with open_text(path) as stream:
        try:
            while line := stream.readline(MAX_LINE_CHARS):
                number += 1
                if len(line) == MAX_LINE_CHARS and not line.endswith("\n"):
                    raise BadInput(
                        f"{path}:{number}: line is longer than {MAX_LINE_CHARS} characters",
                        reason="too_large",
                    )
                yield number, line.rstrip("\r\n")
        except _NO_TEXT as e:
            raise _no_text(f"{path}:{number + 1}", e) from None


def detect(path: Path) -> Format:
    """The format of a file by its first line; BadInput if it is none that we know."""
    with closing(lines_of(path)) as lines:
        first = next(lines, (1, ""))[1].lstrip("\ufeff")
    columns = [c.strip() for c in first.split(",")]
    if columns == AZURE_COLUMNS:
        return Format.AZURE
    if columns[:4] == ALIBABA_COLUMNS[:4]:
        return Format.ALIBABA
    try:
        value = parse_json(first)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return Format.MOONCAKE if "input_length" in value and "type" not in value else Format.NDJSON
    raise BadInput(
        f"{path}:1: {first[:80]!r} is the first line of no format that we know",
        reason="unknown_format",
        hint="expected the Azure or Alibaba CSV heading, a Mooncake row or one JSON event per line",
    )


def read_trace(path: Path, form: Format | None = None) -> Iterator[TraceRow]:
    """The rows of a trace. form: found out from the file if None; NDJSON is not a trace."""
    form = detect(path) if form is None else form
    reader = _READERS.get(form)
    if reader is None:
        raise Misconfigured(f"{path} holds {form} events, not a trace of requests")
    return reader(path)


AZURE_COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
ALIBABA_COLUMNS = [
    "gmt_create", "predict_type", "predict_status", "exec_time_seconds", "groupId", "prompt_length",
    "negative_prompt_length", "num_images_per_prompt", "num_inference_steps",
    "checkpoint_model_version_id", "num_lora",
]  # fmt: skip


def _read_azure(path: Path) -> Iterator[TraceRow]:
    lines = lines_of(path)
    _expect_heading(path, next(lines, (1, "")), AZURE_COLUMNS)
    for row, (number, line) in enumerate(lines, start=1):
        where = f"{path}:{number}"
        cells = line.split(",")
        if len(cells) != 3:
            _bad(where, line, "3 columns: " + ",".join(AZURE_COLUMNS))
        yield TraceRow(
            row=row,
            arrival_ms=_time(where, "TIMESTAMP", cells[0]),
            input_tokens=_count(where, "ContextTokens", cells[1]),
            output_tokens=_count(where, "GeneratedTokens", cells[2]),
        )


def _read_mooncake(path: Path) -> Iterator[TraceRow]:
    seen: set[int] = set()
    for number, line in lines_of(path):
        where = f"{path}:{number}"
        try:
            value = parse_json(line)
        except ValueError as e:
            _bad(where, line, f"one JSON object ({e})")
        if not isinstance(value, dict):
            _bad(where, line, "one JSON object")
        blocks = value.get("hash_ids")
        if not isinstance(blocks, list) or not all(isinstance(b, int) for b in blocks):
            _bad(where, blocks, "hash_ids: a list of integers")
        known = 0
        while known < len(blocks) and blocks[known] in seen:
            known += 1
        seen.update(blocks)
        tokens = _count(where, "input_length", value.get("input_length"))
        yield TraceRow(
            row=number,
            arrival_ms=MOONCAKE_EPOCH_MS + _count(where, "timestamp", value.get("timestamp")),
            input_tokens=tokens,
            output_tokens=_count(where, "output_length", value.get("output_length")),
            cache_read_tokens=min(tokens, known * MOONCAKE_BLOCK_TOKENS),
        )


_ALIBABA_STATUS = {"SUCCEED": "ok", "FAILED": "error", "PENDING": "cancelled"}


def _read_alibaba(path: Path) -> Iterator[TraceRow]:
    lines = lines_of(path)
    _expect_heading(path, next(lines, (1, "")), ALIBABA_COLUMNS)
    for row, (number, line) in enumerate(lines, start=1):
        where = f"{path}:{number}"
        cells = next(csv.reader([line]))
        if len(cells) != len(ALIBABA_COLUMNS):
            _bad(where, line, f"{len(ALIBABA_COLUMNS)} columns")
        cell = dict(zip(ALIBABA_COLUMNS, cells, strict=True))
        status = _ALIBABA_STATUS.get(cell["predict_status"])
        if status is None:
            _bad(where, cell["predict_status"], "predict_status: " + ", ".join(_ALIBABA_STATUS))
        chars = cell["prompt_length"]
        yield TraceRow(
            row=row,
            arrival_ms=_time(where, "gmt_create", cell["gmt_create"]),
            duration_ms=_seconds(where, "exec_time_seconds", cell["exec_time_seconds"]) * 1000,
            status=status,
            error_type=None if status == "ok" else cell["predict_status"].lower(),
            tenant=cell["groupId"] or None,
            model=cell["checkpoint_model_version_id"] or "unknown",
            provider="alibaba",
            op="generate_content",
            output_type="image",
            input_chars=int(_seconds(where, "prompt_length", chars)) if chars else None,
            feature=cell["predict_type"].lower() or None,
        )


_READERS: dict[Format, Callable[[Path], Iterator[TraceRow]]] = {
    Format.AZURE: _read_azure,
    Format.MOONCAKE: _read_mooncake,
    Format.ALIBABA: _read_alibaba,
}


def _expect_heading(path: Path, heading: tuple[int, str], columns: list[str]) -> None:
    if [c.strip() for c in heading[1].lstrip("\ufeff").split(",")] != columns:
        _bad(f"{path}:1", heading[1], "the heading " + ",".join(columns))


def _time(where: str, name: str, text: str) -> int:
    """Ms since the epoch of `YYYY-MM-DD HH:MM:SS[.fraction]`, UTC, rounded down."""
    seconds, _, fraction = text.partition(".")
    try:
        at = datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        millis = int((fraction + "000")[:3]) if fraction.isdigit() or not fraction else None
    except ValueError:
        millis = None
    if millis is None:
        _bad(where, text, f"{name}: YYYY-MM-DD HH:MM:SS.fffffff")
    return int(at.timestamp()) * 1000 + millis


def _count(where: str, name: str, value: object) -> int:
    """A whole number from 0 to 2^31 - 1."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        _bad(where, value, f"{name}: a whole number from 0 to 2147483647")
    return value


def _seconds(where: str, name: str, text: str) -> float:
    """A number from 0 to 86,400."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        _bad(where, text, f"{name}: a number from 0 to 86400")
    return value


def _bad(where: str, value: object, expected: str) -> NoReturn:
    raise BadInput(f"{where}: found {str(value)[:80]!r}, expected {expected}", reason="bad_trace")

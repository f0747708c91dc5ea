"""Trace readers: what the files say, and how they refuse what they cannot read."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from streamgauge.contracts.errors import BadInput, Misconfigured
from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers.traffic import traces
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.traces import Format, TraceRow, read_trace, shipped_trace

# Beside the project, if it is there: traces that may not be shipped.
FOLDER = Path(os.environ.get("STREAMGAUGE_TEST_TRACES", Path(__file__).parents[4] / "shared/data"))
ALIBABA = FOLDER / "alibaba_genai_lora_requests_first_half.csv.gz"
ALIBABA_HEADING = ",".join(traces.ALIBABA_COLUMNS)


def write(folder: Path, text: str, name: str = "trace") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_azure_trace_holds_the_published_requests_and_tokens() -> None:
    rows = list(read_trace(shipped_trace(Format.AZURE)))
    assert len(rows) == 19_366
    assert sum(r.input_tokens or 0 for r in rows) == 22_361_870
    assert sum(r.output_tokens or 0 for r in rows) == 4_088_665
    # First line of the file: 2023-11-16 18:15:46.6805900,374,44
    assert rows[0] == TraceRow(1, 1_700_158_546_680, 374, 44)
    # The last line has no line end: 2023-11-16 19:14:08.4025270,197,183
    assert rows[-1] == TraceRow(19_366, 1_700_162_048_402, 197, 183)


def test_mooncake_trace_holds_the_published_requests_and_tokens() -> None:
    rows = list(read_trace(shipped_trace(Format.MOONCAKE)))
    assert len(rows) == 12_031
    assert sum(r.input_tokens or 0 for r in rows) == 144_793_823
    assert sum(r.output_tokens or 0 for r in rows) == 4_122_048
    assert rows[-1].arrival_ms - rows[0].arrival_ms == 3_536_999


def test_mooncake_prefix_blocks_become_cached_tokens(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"timestamp":0,"input_length":1500,"output_length":1,"hash_ids":[0,1,2]}\n'
        '{"timestamp":5,"input_length":1600,"output_length":1,"hash_ids":[0,1,9]}\n'
        '{"timestamp":6,"input_length":700,"output_length":1,"hash_ids":[0,1]}\n'
        '{"timestamp":7,"input_length":700,"output_length":1,"hash_ids":[7,1]}\n',
    )
    # Two known leading blocks of 512; both blocks known, but only 700 tokens; first one unknown.
    assert [r.cache_read_tokens for r in read_trace(path)] == [0, 1024, 700, 0]


def test_alibaba_rows_keep_run_time_status_tenant_and_model(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{ALIBABA_HEADING}\n"
        "2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0000,63.0,26.0,1.0,30.0,M0000,0\n"
        "2024-11-15 16:57:51,IMG_2_IMG,FAILED,1.5,G0001,,,1.0,40.0,M0001,0\n"
        "2024-11-15 16:57:52,TXT_2_IMG,PENDING,0.0,G0002,,,,,,0\n",
    )
    first, failed, pending = read_trace(path)
    assert (first.duration_ms, first.status, first.tenant, first.model, first.input_chars) == (
        32_000.0, "ok", "G0000", "M0000", 63,
    )  # fmt: skip
    assert (failed.status, failed.error_type, failed.input_chars) == ("error", "failed", None)
    assert (pending.status, pending.model) == ("cancelled", "unknown")


@pytest.mark.traces
@pytest.mark.skipif(not ALIBABA.exists(), reason="the Alibaba trace may not be shipped")
def test_alibaba_trace_is_read_whole() -> None:
    rows = list(read_trace(ALIBABA))
    assert len(rows) == 13_411
    assert Counter(r.status for r in rows) == {"ok": 13_171, "error": 231, "cancelled": 9}
    assert len({r.tenant for r in rows}) == 2_283
    events = list(events_for(rows, 1, source="alibaba"))
    assert sum(e["duration_ms"] for e in events) == sum(r.duration_ms or 0 for r in rows)
    for event in events[::50]:
        assert isinstance(parse_event(json.dumps(event).encode()), LlmRequest)


def test_damaged_shipped_trace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    name, _ = traces.SHIPPED[Format.AZURE]
    monkeypatch.setitem(traces.SHIPPED, Format.AZURE, (name, "0" * 64))
    with pytest.raises(Misconfigured, match=r"is damaged: sha256 ff242f3e.*expected 0000"):
        shipped_trace(Format.AZURE)


@pytest.mark.parametrize(
    ("text", "line", "value", "expected"),
    [
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374\n", 2, "374", "3"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\r\nyesterday,1,2\r\n", 2, "yesterday", "YYYY"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6,1,2\n"
            "2023-11-16 18:15:46.6,-1,2\n", 3, "-1", "whole number",
        ),
        ('{"timestamp":1,"input_length":1.5,"output_length":2,"hash_ids":[]}', 1, "1.5", "whole"),
        ('{"timestamp":1,"input_length":1,"output_length":2,"hash_ids":"x"}', 1, "x", "list"),
        (
            '{"timestamp":1,"input_length":1,"output_length":2,"hash_ids":[]}\n{"timest', 2,
            "timest", "JSON object",
        ),
        (
            f"{ALIBABA_HEADING}\n2024-11-15 16:57:50,T,MAYBE,32.0,G0,1,1,1,1,M,0\n", 2, "MAYBE",
            "SUCCEED",
        ),
        (
            f"{ALIBABA_HEADING}\n2024-11-15 16:57:50,T,FAILED,-3,G0,1,1,1,1,M,0\n", 2, "-3",
            "exec_time_seconds",
        ),
    ],
)  # fmt: skip
def test_bad_line_is_named_with_file_line_value_and_expectation(
    tmp_path: Path, text: str, line: int, value: str, expected: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        list(read_trace(path))
    message = caught.value.message
    assert message.startswith(f"{path}:{line}: found ")
    assert value in message.partition(", expected ")[0]
    assert expected in message.partition(", expected ")[2]


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "[1]\n", "hello\n"])
def test_unknown_format_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match="first line of no format that we know"):
        traces.detect(write(tmp_path, text))


def test_broken_gzip_is_refused_with_its_place(tmp_path: Path) -> None:
    whole = gzip.compress(
        b'{"timestamp":1,"input_length":1,"output_length":2,"hash_ids":[]}\n' * 99
    )
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[:-9])
    with pytest.raises(BadInput, match=r"cut\.gz:\d+: broken gzip"):
        list(read_trace(path, Format.MOONCAKE))


def test_binary_file_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadInput, match=r"binary:1: not UTF-8"):
        traces.detect(path)


def test_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot read"):
        list(read_trace(tmp_path / "nothing", Format.AZURE))

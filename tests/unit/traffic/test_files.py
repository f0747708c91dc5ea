"""Files of texts and of our own events, and how an event becomes bytes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamgauge.contracts.bounds import MAX_EVENT_BYTES, MAX_TEXT_BYTES
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import LlmRequest, parse_event
from streamgauge.producers.traffic.drive import Traffic
from streamgauge.producers.traffic.json_values import parse_json
from streamgauge.producers.traffic.model import events_for
from streamgauge.producers.traffic.ndjson import read_events
from streamgauge.producers.traffic.run import _key_of
from streamgauge.producers.traffic.sender import encode
from streamgauge.producers.traffic.texts import load_texts
from streamgauge.producers.traffic.traces import TraceRow
from tests.support.events import hostile_raw

DEEP = "[" * 3_000 + "]" * 3_000
PAIRS = [{"prompt": f"question {i}", "answer": f"answer {i}"} for i in range(10)]


def jsonl(folder: Path, rows: list[Any], name: str = "texts.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(n: int) -> list[TraceRow]:
    return [TraceRow(i, 1_700_000_000_000 + i, 10, 10) for i in range(1, n + 1)]


def test_texts_are_joined_in_an_order_that_the_seed_decides_and_cycle(tmp_path: Path) -> None:
    path = jsonl(tmp_path, PAIRS)
    first = [text.text for text, _ in load_texts(path, 1).pairs]
    assert first == [text.text for text, _ in load_texts(path, 1).pairs]
    assert first != [text.text for text, _ in load_texts(path, 2).pairs]
    events = {e["id"]: e for e in events_for(rows(25), 1, texts=load_texts(path, 1))}
    assert [events[f"run-{i}"]["input_text"] for i in range(1, 26)] == (first * 3)[:25]
    assert {e["content"] for e in events.values()} == {"full"}


def test_prompt_and_answer_of_a_pair_stay_together(tmp_path: Path) -> None:
    for event in events_for(rows(25), 1, texts=load_texts(jsonl(tmp_path, PAIRS), 1)):
        if event["status"] == "ok":
            assert event["output_text"] == event["input_text"].replace("question", "answer")
            assert event["output_chars"] == len("answer 0")


def test_json_array_with_instruction_and_output_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "array.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"instruction": "a", "output": "b"}]).encode()))
    ((prompt, answer),) = load_texts(path, 1).pairs
    assert (prompt.text, answer.text) == ("a", "b")


def test_long_text_is_cut_to_eight_kib_and_its_length_is_kept(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"prompt": "é" * 9_000, "answer": "b"}])
    (event,) = events_for(rows(1), 1, texts=load_texts(path, 1))
    assert len(event["input_text"].encode()) <= MAX_TEXT_BYTES
    assert event["input_chars"] == 9_000
    assert event["truncated"] is True


def test_redacted_texts_are_redacted(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [{"prompt": "write to ann@example.org", "answer": "ok"}])
    pool = load_texts(path, 1, content="redacted")
    assert "ann@example.org" not in pool.pairs[0][0].text
    assert pool.content == "redacted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n', r"texts:1: none of the text fields answer, output, response"),
        ('{"prompt": "a", "answer": "b"}\n{"pro\n', r"texts:2: found '\{\"pro', expected one JSON"),
        ('"a"\n', r"texts:1: expected a JSON object"),
        ("\n", "no prompts and answers"),
        ("[1", "not a JSON array"),
        ("[" * 5_000, "texts: not a JSON array .nested more than 200 deep"),
        ('{"prompt": ' + DEEP + "}\n", r"texts:1: .*\(nested more than 200 deep"),
        (b"\x7fELF\x02\xb0", "texts: not UTF-8 text"),
        (b'[{"prompt": "a", "answer": "\xff"}]', "texts: not UTF-8 text"),
        (b'{"prompt": "a", "answer": "b"}\n\xff\n', "texts.*: not UTF-8 text"),
        (gzip.compress(b"[" * 9_000, mtime=0)[:-9], "texts: broken gzip"),
        (gzip.compress(b"[1]", mtime=0)[:10] + b"\xff" * 9, "texts: broken gzip"),
    ],
)
def test_bad_texts_are_named_with_their_place(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    path = tmp_path / "texts"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(BadInput, match=message):
        load_texts(path, 1)


def test_own_events_come_back_in_order_without_heartbeats(tmp_path: Path) -> None:
    own = {"v": 1, "type": "llm.request", "app": "a"}
    path = jsonl(
        tmp_path,
        [
            {**own, "id": "b", "ts": 2},
            {"v": 1, "type": "client.stats", "app": "a", "id": "s", "ts": 1},
            {**own, "id": "a", "ts": 1},
            {**own, "id": "c", "ts": 2},
        ],
    )
    found = read_events(path)
    assert [e["id"] for e in found.events] == ["a", "b", "c"]
    assert found.heartbeats == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"v":1,"id":"x","type":"t"}', r"own:2: ts is None, expected a JSON whole number"),
        ('{"v":1,"id":"x","type":"t","ts":1.5}', r"own:2: ts is 1\.5, expected a JSON whole"),
        ('{"v":1,"id":7,"type":"t","ts":1}', r"own:2: id is 7, expected a JSON string"),
        ("[]", r"own:2: found '\[\]', expected a JSON object"),
        ("{", r"own:2: found '\{', expected one JSON object"),
        (
            '{"v":1,"id":"x","type":"t","ts":1,"duration_ms":NaN}',
            r"own:2: .*\(NaN is no JSON number",
        ),
        ('{"v":1,"id":"x","type":"t","ts":1,"a":[-Infinity]}', r"own:2: .*\(-Infinity is no JSON"),
        ('{"v":1,"id":"x","type":"t","ts":1,"x":1e400}', r"own:2: .*\(1e400 is larger than any"),
        ('{"v":1,"id":"x","type":"t","ts":1,"x":' + DEEP + "}", r"own:2: .*\(nested more than 200"),
        ("{" * 100_000, r"own:2: .*\(nested more than 200"),
        (
            '{"v":1,"id":"x","type":"t","ts":' + "9" * 400 + "}",
            r"own:2: ts is 9+, expected ms since",
        ),
        (
            '{"v":1,"id":"x","type":"t","ts":' + "9" * 5_000 + "}",
            r"own:2: found .* one JSON object",
        ),
    ],
)
def test_bad_own_event_is_named_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "own"
    path.write_text('{"v":1,"id":"x","type":"t","ts":1}\n' + line + "\n")
    with pytest.raises(BadInput, match=message):
        read_events(path)


@given(st.lists(hostile_raw(), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_either_refused_by_name_or_can_be_sent(
    tmp_path: Path, lines: list[bytes]
) -> None:
    path = tmp_path / "own"
    path.write_bytes(b"\n".join(line.replace(b"\n", b" ") for line in lines))
    try:
        events = read_events(path).events
    except BadInput:
        return
    traffic = Traffic("own", "run", 1, 0, (), total=None, end_ms=None)
    for event in events:
        assert isinstance(json.loads(encode(event)), dict)
        traffic.count(event)
    assert traffic.events == len(events)


@pytest.mark.parametrize("depth", [150, 199])
def test_brackets_in_texts_and_moderate_nesting_are_read(depth: int) -> None:
    text = json.dumps({"text": '[{"\\' * 500, "deep": json.loads("[" * depth + "]" * depth)})
    assert json.dumps(parse_json(text)) == text


def test_lone_surrogates_in_a_long_text_do_not_end_a_replay() -> None:
    value = encode({"v": 1, "id": "\ud800", "input_text": "\ud800x" * 40_000})
    assert len(value) <= MAX_EVENT_BYTES
    assert json.loads(value)["truncated"] is True


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (b'{"id":"s\\ud800"}', b"s?"),
        (b'{"id":"a","producer_id":"p\\ud800","seq":1}', b"p?:0"),
        (b'{"id":"a","producer_id":"p","seq":2050}', b"p:2"),
        (b'{"id":7}', None),
    ],
)
def test_any_name_makes_a_key(line: bytes, key: bytes | None) -> None:
    assert _key_of(line) == (key, "")


def test_event_over_64_kib_is_sent_with_shorter_texts() -> None:
    (event,) = events_for(rows(1), 1)
    event.update(content="full", input_text="\x01" * 8_192, output_text="\x02" * 8_192)
    value = encode(event)
    assert len(value) <= MAX_EVENT_BYTES
    parsed = parse_event(value)
    assert isinstance(parsed, LlmRequest)
    assert parsed.truncated is True


def test_unknown_values_are_left_out_of_the_message() -> None:
    assert b"output_tokens" not in encode({"v": 1, "output_tokens": None})

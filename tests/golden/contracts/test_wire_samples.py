"""Reviewed samples of everything on the wire, as released: they must be read for ever.

tests/golden/wire/v1 holds one record per file. A sample is never changed after a release; a new
field goes into a new file. Files of an event type are named after it, with a suffix if there are
several.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from streamgauge.contracts import dead_letters, schemas
from streamgauge.contracts.alerts import Alert, fingerprint
from streamgauge.contracts.events import EVENT_TYPES, UnknownEvent, parse_event
from streamgauge.contracts.records import Record, parse_record, to_json_bytes

WIRE = Path(__file__).parent.parent / "wire" / "v1"
NAMES = sorted(schemas.all_schemas(), key=len, reverse=True)
SAMPLES = sorted(WIRE.glob("*.json"))
HEADERS = WIRE / "dead-letter-headers.json"
VALUES = [path for path in SAMPLES if path != HEADERS]


def schema_name(path: Path) -> str:
    return next(name for name in NAMES if path.stem == name or path.stem.startswith(name + "."))


def parse(path: Path) -> Record:
    name = schema_name(path)
    if name in EVENT_TYPES:
        event = parse_event(path.read_bytes())
        assert not isinstance(event, UnknownEvent)
        return event
    return parse_record(schemas.RECORDS[name], path.read_bytes())


def leaves(model: type[Record]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("path", VALUES, ids=lambda p: p.stem)
def test_a_released_sample_survives_reading_and_writing(path: Path) -> None:
    assert json.loads(to_json_bytes(parse(path))) == json.loads(path.read_bytes())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_a_released_sample_is_valid_by_the_published_schema(path: Path) -> None:
    schema = schemas.load(schemas.PUBLISHED)[schema_name(path)]
    jsonschema.validate(json.loads(path.read_bytes()), schema)


@pytest.mark.parametrize("name", [*EVENT_TYPES, *schemas.RECORDS])
def test_the_samples_of_a_record_show_every_field(name: str) -> None:
    shown: set[str] = set()
    for path in VALUES:
        if schema_name(path) == name:
            shown |= set(json.loads(path.read_bytes()))
    model = EVENT_TYPES.get(name) or schemas.RECORDS[name]
    assert shown == leaves(model)


def test_an_event_of_every_type_is_valid_by_the_schema_of_any_event() -> None:
    anything = schemas.load(schemas.PUBLISHED)["event"]
    for path in VALUES:
        if schema_name(path) in EVENT_TYPES:
            jsonschema.validate(json.loads(path.read_bytes()), anything)


def test_dead_letter_headers_survive_reading_and_writing() -> None:
    sample: dict[str, Any] = json.loads(HEADERS.read_bytes())
    letter = dead_letters.from_headers([(k, v.encode()) for k, v in sample.items()])
    assert {k: v.decode() for k, v in letter.headers()} == sample


def test_the_sample_alert_carries_the_fingerprint_of_its_rule_and_group() -> None:
    """Computed with printf '%s' '{"labels":{"app":"shop"},"rule":"ErrorBurstFast"}' | sha256sum."""
    alert = parse_record(Alert, (WIRE / "alert.json").read_bytes())
    assert alert.fingerprint == fingerprint("ErrorBurstFast", {"app": "shop"})

"""The published schemas: current, compatible with the last release, and true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from jsonschema.protocols import Validator

from streamgauge.contracts import schemas
from streamgauge.contracts.compatibility import incompatibilities
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.events import EVENT_TYPES, parse_event
from tests.support.events import SCHEMAS, any_fields, mutated_fields

RELEASED = Path(__file__).parents[2] / "golden" / "contracts" / "released"


def test_published_schemas_are_current() -> None:
    """Mend with: python -m streamgauge.contracts.schemas."""
    assert schemas.stale(schemas.PUBLISHED) == []


def test_no_released_schema_has_gone() -> None:
    assert schemas.load(RELEASED).keys() <= schemas.all_schemas().keys()


@pytest.mark.parametrize("name", sorted(schemas.load(RELEASED)))
def test_schema_keeps_the_promises_of_the_last_release(name: str) -> None:
    """The snapshot in tests/golden/contracts/released is renewed at a release, never between."""
    assert incompatibilities(schemas.load(RELEASED)[name], schemas.all_schemas()[name]) == []


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_valid_draft_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_export_writes_what_is_published(tmp_path: Path) -> None:
    written = schemas.export(tmp_path)
    assert [p.name for p in written] == sorted(p.name for p in schemas.PUBLISHED.glob("*.json"))
    assert schemas.stale(tmp_path) == []


def test_a_file_that_differs_is_called_stale(tmp_path: Path) -> None:
    schemas.export(tmp_path)
    (tmp_path / "alert.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "tick.json").unlink()
    assert schemas.stale(tmp_path) == ["alert.json", "old.json", "tick.json"]


VALIDATORS: dict[str, Validator] = {
    name: jsonschema.Draft202012Validator(SCHEMAS[name]) for name in EVENT_TYPES
}


def is_taken(event: dict[str, Any]) -> bool:
    try:
        parse_event(json.dumps(event).encode())
    except BadInput:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(any_fields())
def test_what_the_schema_allows_the_parser_takes(event: dict[str, Any]) -> None:
    assert VALIDATORS[event["type"]].is_valid(event)
    assert is_taken(event)


@settings(max_examples=600, deadline=None)
@given(mutated_fields())
def test_what_the_parser_takes_the_schema_allows(event: dict[str, Any]) -> None:
    """But for null members of maps, which the reader drops."""
    kind = event.get("type")
    if isinstance(kind, str) and kind in VALIDATORS and is_taken(event):
        for name in ("tags", "dropped"):
            if isinstance(event.get(name), dict):
                event[name] = {k: v for k, v in event[name].items() if v is not None}
        assert [e.message for e in VALIDATORS[kind].iter_errors(event)] == []

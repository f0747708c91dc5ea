"""JSON Schemas (draft 2020-12) of everything on the wire, made from the models.

`all_schemas` builds them, `export` writes them, schema/*.json are the published ones (a test fails
when they are stale). `incompatibilities` says what a change of a schema breaks: inside v1 nothing
may. A schema describes what to send; the reader is wider in one way (null members of maps are
dropped) and narrower in one (an integer written as 1.0 is refused).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.bounds import MAX_INT64
from streamgauge.contracts.directives import Directive
from streamgauge.contracts.evaluations import EvaluationRecord
from streamgauge.contracts.events import EVENT_TYPES, Event
from streamgauge.contracts.reasons import Reject
from streamgauge.contracts.records import Record
from streamgauge.contracts.scores import ScoreRow
from streamgauge.contracts.ticks import Tick

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PUBLISHED = Path(__file__).parent / "schema"
RECORDS: dict[str, type[Record]] = {
    "alert": Alert,
    "directive": Directive,
    "evaluation": EvaluationRecord,
    "score": ScoreRow,
    "tick": Tick,
}


class _Untitled(GenerateJsonSchema):
    """pydantic's generator without a title per field, which only repeats the name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def all_schemas() -> dict[str, Schema]:
    """Every schema by name: `event` (any), each event type, and each other record."""
    any_event: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])
    found = {"event": _nullable(_of(any_event)), "dead-letter-headers": _dead_letter_headers()}
    for name, event in EVENT_TYPES.items():
        found[name] = _nullable(_of(TypeAdapter(event)))
    for name, record in RECORDS.items():
        found[name] = _of(TypeAdapter(record))
    return {
        name: {"$schema": DIALECT, "$id": f"urn:streamgauge:schema:v1:{name}"} | found[name]
        for name in sorted(found)
    }


def render(schema: Schema) -> str:
    """The schema as the text of its file: same schema, same text."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def export(folder: Path) -> list[Path]:
    """Write every schema as `<name>.json` into the folder; the paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in all_schemas().items():
        path = folder / f"{name}.json"
        path.write_text(render(schema), encoding="utf-8")
        paths.append(path)
    return paths


def stale(folder: Path = PUBLISHED) -> list[str]:
    """Names whose file is missing, different or no longer made; empty if all are current."""
    wanted = {f"{name}.json": render(schema) for name, schema in all_schemas().items()}
    there = {p.name: p.read_text(encoding="utf-8") for p in folder.glob("*.json")}
    return sorted(n for n in wanted.keys() | there.keys() if wanted.get(n) != there.get(n))


def load(folder: Path) -> dict[str, Schema]:
    """The schemas in a folder, by name."""
    return {
        p.name.removesuffix(".json"): json.loads(p.read_text(encoding="utf-8"))
        for p in sorted(folder.glob("*.json"))
    }


def _of(adapter: TypeAdapter[Any]) -> Schema:
    mode: JsonSchemaMode = "validation"
    return adapter.json_schema(mode=mode, by_alias=True, schema_generator=_Untitled)


def _nullable(schema: Schema) -> Schema:
    """In events null is absent, so every optional field takes null, also one with a default."""
    for part in (schema, *schema.get("$defs", {}).values()):
        required = part.get("required", ())
        for name, field in part.get("properties", {}).items():
            options = field.get("anyOf", ())
            if name in required or {"type": "null"} in options:
                continue
            outer = {k: field.pop(k) for k in ("default", "description") if k in field}
            part["properties"][name] = {"anyOf": [field, {"type": "null"}]} | outer
    return schema


def _dead_letter_headers() -> Schema:
    digits = {"type": "string", "pattern": "^[0-9]+$"}
    return {
        "title": "DeadLetterHeaders",
        "description": "Kafka headers of a dead letter, as UTF-8 strings; its value is raw bytes.",
        "type": "object",
        "properties": {
            "reason": {"enum": [r.value for r in Reject], "type": "string"},
            "src": {"type": "string", "description": "topic@first 8 characters of the topic id."},
            "partition": digits,
            "offset": digits | {"description": f"At most {MAX_INT64}."},
            "detail": {"type": "string", "description": "For people; no text of the event."},
        },
        "required": ["reason", "src", "partition", "offset"],
    }


if __name__ == "__main__":
    import sys

    for written in export(Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED):
        sys.stdout.write(f"{written}\n")

"""The field reference in docs/reference, made from the models: pages() -> {file name: markdown}.

One page per public topic family: events.md, alerts.md, topics.md. What a field means is written at
the field; this module only lays it out. A test fails when the pages are stale; `write` mends that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamgauge.contracts import bounds, reasons, schemas, topics
from streamgauge.contracts.events import EVENT_TYPES
from streamgauge.contracts.events.envelope import Envelope

HEAD = "<!-- Made by streamgauge.contracts.reference from the models: edit those. -->\n"
Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """Every page of the reference by file name."""
    return {"alerts.md": _alerts(), "events.md": _events(), "topics.md": _topics()}


def write(folder: Path) -> list[Path]:
    """Write the pages into the folder; their paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    found = pages()
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in found]


def stale(folder: Path) -> list[str]:
    """Names of pages that are missing or differ from what would be written."""
    return [
        name
        for name, text in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def _events() -> str:
    every = schemas.all_schemas()
    envelope = list(Envelope.model_fields)
    parts = [
        HEAD,
        "# Events\n",
        "One event is one message on the topic `llm.events.v1`: one JSON object, UTF-8, at most "
        f"{bounds.MAX_EVENT_BYTES // 1024} KiB. Any language can send one; a plain JSON line is "
        "an event. Unknown fields are ignored; an unknown `type` keeps its envelope and is "
        "counted. **R** = required, **L** = a label of low cardinality.\n",
        "```json\n" + _sample() + "\n```\n",
        "## Envelope\n\nEvery event has these fields.\n",
        _table(every["llm.request"], only=envelope, plain_type=True),
    ]
    for name in EVENT_TYPES:
        schema = every[name]
        body = [f for f in schema["properties"] if f not in envelope]
        parts += [f"## {name}\n\n{_flow(schema['description'])}\n", _table(schema, only=body)]
        for title, part in sorted(schema.get("$defs", {}).items()):
            parts += [f"### {name}: {title}\n\n{_flow(part['description'])}\n", _table(part)]
    parts += [_READING, "## Why an event is refused\n", _EXPLAIN, _reject_table()]
    return "\n".join(parts)


def _alerts() -> str:
    every = schemas.all_schemas()
    parts = [
        HEAD,
        "# Alerts, evaluations, directives\n",
        "Moments are RFC 3339 in UTC (`2026-01-31T12:00:00.000Z`); fields in `_ms` are "
        "milliseconds, since the epoch unless they name a duration. Null is the same as absent, "
        "and writers leave nulls out. Readers ignore unknown fields.\n",
        "Alerts and directives are CloudEvents 1.0 in binary mode: the attributes are Kafka "
        "headers (`ce_id`, `ce_source`, `ce_type`, `ce_time`, `ce_subject`, `ce_partitionkey`), "
        "the value is plain JSON. Alerts carry the plain headers `status`, `severity`, `team`, "
        "`app`, `rule`, `seq` and `epoch` as well, so that a reader can filter without parsing.\n",
    ]
    for name, title, topic in (
        ("alert", "Alert", topics.ALERTS),
        ("evaluation", "Evaluation", topics.ALERT_EVALS),
        ("directive", "Directive", topics.DIRECTIVES),
    ):
        parts += _record(every[name], title, topic)
    return "\n".join(parts)


def _topics() -> str:
    every = schemas.all_schemas()
    parts = [
        HEAD,
        "# Topics\n",
        f"Names below have the default prefix `{topics.DEFAULT_PREFIX}` "
        "(`STREAMGAUGE_TOPIC_PREFIX`). Every name carries its major version. "
        "`streamgauge topics create` makes them, `streamgauge topics check` compares them.\n",
        "| topic | key | partitions | content | settings |\n|---|---|---|---|---|",
    ]
    for spec in topics.REGISTRY:
        settings = "<br>".join(f"`{k}={v}`" for k, v in sorted(spec.config.items()))
        parts.append(
            f"| `{spec.full_name()}` | {_cell(spec.key)} | "
            f"{spec.partitions or topics.DEFAULT_PARTITIONS} | {_cell(spec.content)} | {settings} |"
        )
    parts += ["", *_record(every["tick"], "Tick", topics.TICKS)]
    parts += _record(every["dead-letter-headers"], "Dead letter", topics.DEAD_LETTERS)
    parts += [
        "## Score\n",
        f"{_flow(every['score']['description'])} A row of the table `scores`.\n",
    ]
    parts += [_table(every["score"]), *_parts_of(every["score"])]
    return "\n".join(parts)


def _record(schema: Schema, title: str, topic: topics.TopicSpec) -> list[str]:
    head = f"## {title}: `{topic.full_name()}`\n\n{_flow(schema['description'])}\n"
    return [head, _table(schema), *_parts_of(schema)]


def _parts_of(schema: Schema) -> list[str]:
    found = []
    for title, part in sorted(schema.get("$defs", {}).items()):
        if "description" not in part:
            continue
        found.append(f"### {title}\n\n{_flow(part['description'])}\n")
        if "enum" in part:
            found.append(", ".join(f"`{word}`" for word in part["enum"]) + "\n")
        else:
            found.append(_table(part))
    return found


def _table(schema: Schema, *, only: Iterable[str] = (), plain_type: bool = False) -> str:
    lines = ["| field | type | R | L | meaning |", "|---|---|---|---|---|"]
    required = set(schema.get("required", ()))
    for name in only or schema["properties"]:
        field = schema["properties"][name]
        told = _told(field, schema)
        kind = "string" if plain_type and name == "type" else told["type"]
        default = field.get("default")
        meaning = field.get("description", "")
        if default not in (None, (), [], {}, False):
            meaning += f" Default `{default}`."
        lines.append(
            f"| `{name}` | {_cell(kind)} | {'R' if name in required else ''} | "
            f"{'L' if told['label'] else ''} | {_cell(meaning)} |"
        )
    return "\n".join(lines) + "\n"


def _told(field: Schema, root: Schema) -> dict[str, Any]:
    """A field's type in words, and whether it is a label."""
    branch = field
    options = [o for o in field.get("anyOf", ()) if o.get("type") != "null"]
    if len(options) == 1:
        branch = options[0]
    label = bool(field.get("x-low-cardinality") or branch.get("x-low-cardinality"))
    return {"type": _type(branch), "label": label}


def _type(branch: Schema) -> str:
    if "$ref" in branch:
        return str(branch["$ref"]).rpartition("/")[2]
    if "const" in branch:
        return f"`{json.dumps(branch['const'])}`"
    if "enum" in branch:
        return ", ".join(f"`{word}`" for word in branch["enum"])
    kind = branch.get("type", "any")
    if kind == "array":
        most = f", at most {branch['maxItems']}" if "maxItems" in branch else ""
        return f"list of {_type(branch['items'])}{most}"
    if kind == "object":
        extra = branch.get("additionalProperties")
        return f"map to {_type(extra)}" if isinstance(extra, dict) and extra else "map"
    if kind == "string":
        return _string(branch)
    return f"{kind} {_range(branch)}".strip() + (
        f", {branch['x-unit']}" if branch.get("x-unit") not in (None, "tokens") else ""
    )


def _string(branch: Schema) -> str:
    if branch.get("format") == "date-time":
        return "moment"
    if "x-max-bytes" in branch:
        return f"text, {branch['x-max-bytes'] // 1024} KiB"
    if "maxLength" not in branch:
        return "string"
    least = f"{branch['minLength']} to " if branch.get("minLength") else "<= "
    return f"string, {least}{branch['maxLength']}"


_POWERS = {bounds.MAX_INT64: "2^63-1", bounds.MIN_INT64: "-2^63", bounds.MAX_TOKENS: "2^31-1"}


def _range(branch: Schema) -> str:
    def shown(x: float) -> str:
        return _POWERS.get(int(x), f"{x:,.0f}") if x == int(x) else str(x)

    low, high = branch.get("minimum"), branch.get("maximum")
    if "exclusiveMinimum" in branch and high is not None:
        return f"in ({shown(branch['exclusiveMinimum'])}, {shown(high)}]"
    if low is not None and high is not None:
        return f"{shown(low)} to {shown(high)}"
    if low is not None:
        return f">= {shown(low)}"
    return ""


def _reject_table() -> str:
    lines = ["| reason | when |", "|---|---|"]
    lines += [f"| `{r.value}` | {_cell(text)} |" for r, text in reasons.MEANING.items()]
    return "\n".join(lines) + "\n"


def _sample() -> str:
    return json.dumps(
        {
            "v": 1, "id": "call-1", "type": "llm.request", "ts": 1767225600000, "app": "shop",
            "op": "chat", "provider": "openai", "model": "gpt-4o-mini", "status": "ok",
            "duration_ms": 812.5, "input_tokens": 420, "output_tokens": 96, "content": "none",
        }
    )  # fmt: skip


def _flow(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


_READING = f"""## How an event is read

- Numbers are JSON numbers: `"5"` is none. An integer field takes no `1.0`, no `1e3` and no `true`;
  a float field takes `5`.
- `null` is the same as absent, everywhere. Unknown is never 0 and never an empty string.
- Of two equal names the last counts.
- A NUL or a lone surrogate (`\\ud800` without its pair) in a string becomes U+FFFD and is counted;
  the event is kept.
- NaN and Infinity are no JSON: the event is refused. So is a byte order mark.
- Texts longer than {bounds.MAX_TEXT_BYTES // 1024} KiB are kept as they come (the client cuts them
  before sending); every other bound holds.
- `ts` may be at most {bounds.FUTURE_MS // 1000} s after the moment at which Kafka appended it.
"""
_EXPLAIN = """The raw bytes go to `llm.deadletters.v1` with the reason, and a row to
`v_dead_letters`; the events around it are not harmed. When several reasons apply, the
first in this list is given.
"""

if __name__ == "__main__":
    import sys

    for written in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")):
        sys.stdout.write(f"{written}\n")

"""Whether a schema may replace another one inside a major version.

In: two JSON Schemas as schemas.py makes them. Out: one line per broken promise. A record that the
old schema took must be taken by the new one, and must mean the same:

    breaks      a field or event type removed; a field newly required or no longer required; a
                type, unit, format or default changed; a bound made tighter; an open string closed
                to a list; a listed value removed
    is fine     a new optional field or event type; a wider bound; a new listed value (upgrade the
                readers first, then the writers)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_Lines = Iterator[str]

_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SAME = ("format", "pattern", "x-unit", "x-low-cardinality", "default", "const", "allOf")


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """What a reader or writer of `old` loses with `new`; empty if nothing."""
    return sorted(set(_compare("", old, new, old, new)))


def _compare(at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> _Lines:
    old, new = _resolve(old, old_root), _resolve(new, new_root)
    here = at or "(the whole)"
    before, after = _types(old), _types(new)
    if before != after:
        yield f"{here}: type was {_words(before)}, is {_words(after)}"
        return
    yield from _values(here, old, new)
    yield from _limits(here, old, new)
    yield from _members(at, old, new, old_root, new_root)
    yield from _choices(at, old, new, old_root, new_root)
    for key, suffix in (("items", "[]"), ("additionalProperties", ".*"), ("propertyNames", ".key")):
        if isinstance(old.get(key), dict):
            yield from _compare(at + suffix, old[key], new.get(key, {}), old_root, new_root)


def _members(at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> _Lines:
    fields, found = old.get("properties", {}), new.get("properties", {})
    for name in fields.keys() - found.keys():
        yield f"{at}.{name}: removed"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{at}.{name}: newly required"
    for name in set(old.get("required", ())) - set(new.get("required", ())):
        yield f"{at}.{name}: no longer required, so a reader may miss it"
    for name in fields.keys() & found.keys():
        yield from _compare(f"{at}.{name}", fields[name], found[name], old_root, new_root)


def _choices(at: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> _Lines:
    """A union told apart by a field's value: each old choice must still be there."""
    before = old.get("discriminator", {}).get("mapping", {})
    after = new.get("discriminator", {}).get("mapping", {})
    for name, ref in before.items():
        if name not in after:
            yield f"{at}<{name}>: removed"
        else:
            old_choice, new_choice = {"$ref": ref}, {"$ref": after[name]}
            yield from _compare(f"{at}<{name}>", old_choice, new_choice, old_root, new_root)


def _values(here: str, old: Schema, new: Schema) -> Iterator[str]:
    before, after = _enum(old), _enum(new)
    if after is not None and before is None:
        yield f"{here}: an open value was closed to {_words(after)}"
    if after is not None and before is not None and before - after:
        yield f"{here}: values removed: {_words(before - after)}"


def _limits(here: str, old: Schema, new: Schema) -> Iterator[str]:
    for key in _SAME:
        if old.get(key) != new.get(key):
            yield f"{here}: {key} was {old.get(key)!r}, is {new.get(key)!r}"
    for key in _UPPER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{here}: {key} was {old.get(key)}, is {new[key]}"
    for key in _LOWER:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{here}: {key} was {old.get(key)}, is {new[key]}"


def _resolve(schema: Schema, root: Schema) -> Schema:
    """The schema behind `$ref`, and of `anyOf [x, null]` its one branch with null in its type."""
    while "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    options = [_resolve(o, root) for o in schema.get("anyOf", ()) if isinstance(o, dict)]
    branches = [o for o in options if o.get("type") != "null"]
    if options and len(branches) == 1 and "properties" not in schema:
        outer = {k: v for k, v in schema.items() if k != "anyOf"}
        return {**branches[0], **outer, "nullable": len(branches) < len(options)}
    return schema


def _types(schema: Schema) -> set[str]:
    kind = schema.get("type", "any")
    found = set(kind) if isinstance(kind, list) else {kind}
    return found | {"null"} if schema.get("nullable") else found


def _enum(schema: Schema) -> set[Any] | None:
    return set(schema["enum"]) if "enum" in schema else None


def _words(values: set[Any]) -> str:
    return ", ".join(sorted(map(str, values)))

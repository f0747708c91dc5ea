"""Reads rule files: strict YAML, every complaint with file and line.

In: a YAML file, or a folder of them. Out: a `RuleSet`, or the `Problem`s that stop it. A file holds
`rules:`, a list of mappings, and nothing else. Equal names, keys written twice and unknown fields
are refused. `check` never raises for what it reads; `load` raises Misconfigured with all problems.
A file is at most MAX_BYTES long and, its anchors expanded, MAX_NODES large.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from streamgauge.alerting.rules.kept import kept_ms
from streamgauge.alerting.rules.lint import lint
from streamgauge.alerting.rules.model import (
    KINDS,
    Absence,
    Budget,
    Change,
    Novelty,
    Ratio,
    Rule,
    Threshold,
)
from streamgauge.contracts.errors import Misconfigured

DEFAULT_PACK = Path(__file__).resolve().parent.parent / "pack" / "default.yml"
MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_SEEN = 200
"""Most characters of a wrong value that a complaint repeats."""
_BY_KIND: dict[str, TypeAdapter[Any]] = {
    kind: TypeAdapter(model)
    for kind, model in zip(KINDS, (Threshold, Ratio, Change, Absence, Novelty, Budget), strict=True)
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a rule file is refused. rule: its name, or empty."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        """`file.yml:12: rule "x": what is wrong`."""
        who = f'rule "{self.rule}": ' if self.rule else ""
        return f"{self.file}:{self.line}: {who}{self.message}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that passed every check, by name, and the hash of the text of each."""

    rules: Mapping[str, Rule]
    versions: Mapping[str, str]

    @property
    def enabled(self) -> dict[str, Rule]:
        """The rules that run, in the order of their names."""
        return {name: r for name, r in sorted(self.rules.items()) if r.enabled}


def files_of(path: Path) -> list[Path]:
    """The rule files that a path means: itself, or every .yml and .yaml below it, sorted."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix in (".yml", ".yaml") and p.is_file())
    return [path]


def check(path: str | Path = DEFAULT_PACK) -> list[Problem]:
    """Everything wrong with the rules at `path`; empty if they may run."""
    return read(path)[1]


def load(path: str | Path = DEFAULT_PACK) -> RuleSet:
    """The rules at `path`; Misconfigured, naming every problem, if any is wrong."""
    found, problems = read(path)
    if problems:
        raise Misconfigured(
            "; ".join(str(p) for p in problems[:5])
            + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""),
            hint=f"`streamgauge rules check {quote(str(path))}` lists them all",
        )
    return found


def read(path: str | Path) -> tuple[RuleSet, list[Problem]]:
    """What could be read, and everything wrong with it.

    How far a rule may look back depends on the retention that the environment sets (kept.py).
    """
    path = Path(path)
    files = files_of(path)
    if not files:
        return RuleSet({}, {}), [Problem(str(path), 1, "", "no .yml file in this folder")]
    kept = kept_ms()
    rules: dict[str, Rule] = {}
    seen: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            items, bad = _items(file)
        except OSError as e:
            problems.append(Problem(str(file), 1, "", f"cannot be read: {e.strerror or e}"))
            continue
        problems += bad
        for item in items:
            rule, bad = _rule(item, kept)
            problems += bad
            name = str(item.value.get("name", ""))
            if name and name in seen:
                problems.append(
                    item.problem("name", f"is the name of another rule already ({seen[name]})")
                )
            elif name:
                seen[name] = f"{file}:{item.line()}"
            if rule is not None and not bad:
                rules[rule.name] = rule
    return RuleSet(rules, {n: version_of(r) for n, r in rules.items()}), problems


def version_of(rule: Rule) -> str:
    """12 hex digits over everything the rule says; a comment or a blank line changes nothing."""
    return hashlib.sha256(rule.model_dump_json().encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Item:
    file: str
    node: yaml.MappingNode
    value: dict[str, Any]

    def line(self, path: Sequence[Any] = ()) -> int:
        node: yaml.Node = self.node
        line = node.start_mark.line + 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        line, node = key.start_mark.line + 1, value
                        break
                else:
                    return line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    return line
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    def problem(self, where: str | Sequence[Any], message: str) -> Problem:
        path = (where,) if isinstance(where, str) else tuple(where)
        field = ".".join(str(p) for p in path if not str(p).startswith("function-"))
        return Problem(
            self.file, self.line(path), _short(self.value.get("name", "")),
            f"{field}: {message}" if field else message,
        )  # fmt: skip


def _compose(file: Path) -> yaml.Node | None:
    """The file's YAML, not yet built into values; raises _Refused."""
    with file.open("rb") as source:  # bounded: it may be a device
        raw = source.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise _Refused(1, f"is longer than {MAX_BYTES:,} bytes")
    try:
        root: yaml.Node | None = yaml.compose(raw.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as e:
        raise _Refused(1, f"is not UTF-8: {e}") from e
    except yaml.YAMLError as e:
        raise _not_yaml(e) from e
    except RecursionError:
        raise _Refused(1, "is nested too deeply") from None
    if root is not None:
        _weigh(root, {}, 0)
    return root


class _Refused(Exception):
    """What the file holds cannot be a rule file, whatever its rules say."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _not_yaml(error: yaml.YAMLError) -> _Refused:
    mark = getattr(error, "problem_mark", None)
    words = getattr(error, "problem", None) or " ".join(str(error).split())
    return _Refused(1 if mark is None else mark.line + 1, f"is not YAML: {words}")


def _weigh(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Nodes under this one with all anchors expanded; refuses bombs, loops and deep nests."""
    line = node.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise _Refused(line, "is nested too deeply, or an anchor contains itself")
    if id(node) in known:
        return known[id(node)]
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(key.start_mark.line + 1, "a key must be a plain word")
            parts += [key, value]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    weight = 1 + sum(_weigh(part, known, depth + 1) for part in parts)
    if weight > MAX_NODES:
        raise _Refused(line, f"its anchors expand to more than {MAX_NODES:,} values")
    known[id(node)] = weight
    return weight


def _value(node: yaml.MappingNode) -> dict[str, Any]:
    """The mapping as Python values."""
    try:
        built: dict[str, Any] = yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as e:
        raise _not_yaml(e) from e
    except (ValueError, OverflowError) as e:  # 2026-02-30, or an integer of 5,000 digits
        raise _Refused(node.start_mark.line + 1, f"a value cannot be read: {e}") from e
    return built


def _items(file: Path) -> tuple[list[_Item], list[Problem]]:
    try:
        root = _compose(file)
    except _Refused as e:
        return [], [Problem(str(file), e.line, "", str(e))]
    if root is None:
        return [], [Problem(str(file), 1, "", 'is empty; write "rules:" and a list')]
    problems = [Problem(str(file), line, "", text) for line, text in _twice(root)]
    if not isinstance(root, yaml.MappingNode):
        return [], [Problem(str(file), 1, "", 'must be a mapping with one key "rules"')]
    items: list[_Item] = []
    known = False
    for key, value in root.value:
        line = key.start_mark.line + 1
        if key.value != "rules":
            problems.append(
                Problem(str(file), line, "", f'unknown key "{key.value}"; only "rules" is known')
            )
            continue
        known = True
        if not isinstance(value, yaml.SequenceNode):
            problems.append(Problem(str(file), line, "", '"rules" must be a list'))
            continue
        for node in value.value:
            if isinstance(node, yaml.MappingNode):
                try:
                    items.append(_Item(str(file), node, _value(node)))
                except _Refused as e:
                    problems.append(Problem(str(file), e.line, "", str(e)))
            else:
                problems.append(
                    Problem(
                        str(file), node.start_mark.line + 1, "", "a rule is a mapping of fields"
                    )
                )
    if not known and not problems:
        problems.append(Problem(str(file), 1, "", 'has no "rules"'))
    return items, problems


def _twice(node: yaml.Node) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if key.value in names:
                found.append((key.start_mark.line + 1, f'"{key.value}" is written twice'))
            names.add(key.value)
            found += _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _twice(value)
    return found


def _rule(item: _Item, kept: Mapping[int, int]) -> tuple[Rule | None, list[Problem]]:
    kind = item.value.get("kind")
    if not isinstance(kind, str) or kind not in _BY_KIND:
        told = "is missing" if kind is None else f'"{_short(kind)}" is unknown'
        return None, [item.problem("kind", f"{told}; known: {', '.join(KINDS)}")]
    try:
        rule: Rule = _BY_KIND[kind].validate_python(item.value)
    except ValidationError as e:
        return None, [_told(item, dict(error), kind) for error in e.errors(include_url=False)]
    return rule, [item.problem(c.field, c.message) for c in lint(rule, kept)]


def _told(item: _Item, error: dict[str, Any], kind: str) -> Problem:
    where = error["loc"]
    if error["type"] == "extra_forbidden":
        fields = _BY_KIND[kind]._type.model_fields if len(where) == 1 else {}
        known = sorted(f.alias or name for name, f in fields.items())
        more = f"; known: {', '.join(known)}" if known else ""
        return item.problem(where, f'unknown field for kind "{kind}"{more}')
    if error["type"] == "missing":
        return item.problem(where, "is missing")
    message = error["msg"].removeprefix("Value error, ")
    seen = "" if error["type"] == "value_error" else f", got {_short(repr(error['input']))}"
    return item.problem(where, f"{_short(message, 2 * MAX_SEEN)}{seen}")


def _short(value: object, most: int = MAX_SEEN) -> str:
    text = str(value)
    return text if len(text) <= most else text[:most] + " ..."

"""Reads rule files: strict YAML, every complaint with file and line.

In: a YAML file, or a folder of them. Out: a `RuleSet`, or the `Problem`s that stop it. A file holds
`rules:`, a list of mappings, and nothing else. Equal names, keys written twice and unknown fields
are refused. `check` never raises for what it reads; `load` raises Misconfigured with all problems.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

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
            hint="`streamgauge rules check` lists them all",
        )
    return found


def read(path: str | Path) -> tuple[RuleSet, list[Problem]]:
    """What could be read, and everything wrong with it."""
    path = Path(path)
    files = files_of(path)
    if not files:
        return RuleSet({}, {}), [Problem(str(path), 1, "", "no .yml file in this folder")]
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
            rule, bad = _rule(item)
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
            self.file, self.line(path), str(self.value.get("name", "")),
            f"{field}: {message}" if field else message,
        )  # fmt: skip


def _items(file: Path) -> tuple[list[_Item], list[Problem]]:
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as e:
        return [], [Problem(str(file), 1, "", f"is not UTF-8: {e}")]
    except yaml.MarkedYAMLError as e:
        line = e.problem_mark.line + 1 if e.problem_mark else 1
        return [], [Problem(str(file), line, "", f"is not YAML: {e.problem}")]
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
                plain = yaml.SafeLoader("").construct_document(node)
                items.append(_Item(str(file), node, plain))
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


def _rule(item: _Item) -> tuple[Rule | None, list[Problem]]:
    kind = item.value.get("kind")
    if kind not in _BY_KIND:
        told = "is missing" if kind is None else f'"{kind}" is unknown'
        return None, [item.problem("kind", f"{told}; known: {', '.join(KINDS)}")]
    try:
        rule: Rule = _BY_KIND[kind].validate_python(item.value)
    except ValidationError as e:
        return None, [_told(item, dict(error), kind) for error in e.errors(include_url=False)]
    return rule, [item.problem(c.field, c.message) for c in lint(rule)]


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
    seen = "" if error["type"] == "value_error" else f", got {error['input']!r}"
    return item.problem(where, f"{message}{seen}")

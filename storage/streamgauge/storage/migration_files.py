"""The migrations as files: reading, checking, rendering for a single node or a cluster. Pure.

A file `NNNN_name.sql` begins with `-- light` (metadata only, run at every start) or `-- heavy`
(moves data, run by hand) and holds idempotent statements. Placeholders:

    {{DB}} {{ON_CLUSTER}}          database; `ON CLUSTER 'name'` or nothing
    {{ENGINE:Engine(args)}}        the engine, or its Replicated form
    {{FROM:table}}                 where a view reads: the table, or cluster('name', the table)
    {{QUANTILE:q:histogram}}       nearest-rank quantile of a scheme-1 histogram; NULL if empty
    {{USD:expression}}             nano-dollars as Decimal(38, 9) dollars
    {{ADDED:map}}                  in a GROUP BY: the maps of a group added up, keys in order

Statements between the lines `-- for A, B in (a1, b1), (a2, b2)` and `-- end` stand once per pair,
with `{{A}}` and `{{B}}` replaced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from streamgauge.contracts.errors import Misconfigured
from streamgauge.storage.sqltext import quote_string, split_statements, tokens

Weight = Literal["light", "heavy"]
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_PLACEHOLDER = re.compile(
    r"\{\{(DB|ON_CLUSTER)\}\}|\{\{(ENGINE|FROM|QUANTILE|USD|ADDED):([^{}]*)\}\}"
)
_LOOP = re.compile(r"^-- for ([^\n]+?) in ([^\n]+)\n(.*?)^-- end$", re.M | re.S)
_HEAVY = re.compile(r"\b(UPDATE|DELETE\s+FROM|MATERIALIZE|INSERT\s+INTO|OPTIMIZE)\b", re.I)
_IDEMPOTENT = re.compile(
    r"CREATE\s+(DATABASE|TABLE|VIEW|FUNCTION|MATERIALIZED\s+VIEW)\s+IF\s+NOT\s+EXISTS"
    r"|CREATE\s+OR\s+REPLACE|ALTER\s+TABLE|DROP\s+\w+\s+IF\s+EXISTS",
    re.I,
)
_OBJECT = re.compile(
    r"(CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:MATERIALIZED\s+)?(?:TABLE|VIEW)\s+"
    r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?\{\{DB\}\}\.(\w+)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. Statements are templates; a checksum is of one template."""

    version: int
    name: str
    weight: Weight
    statements: tuple[str, ...]

    def checksum(self, number: int) -> str:
        """sha256 of a statement (from 1), without its comments and spacing."""
        raw = self.statements[number - 1].encode()
        canonical = b" ".join(token.text for token in tokens(raw))
        return hashlib.sha256(canonical).hexdigest()


def shipped() -> tuple[Migration, ...]:
    """The migrations of this installation, in order."""
    folder = resources.files("streamgauge.storage") / "migrations"
    return load((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir())


def load(files: Iterable[tuple[str, str]]) -> tuple[Migration, ...]:
    """Migrations from (file name, text); Misconfigured if one breaks a rule above."""
    found = []
    for name, text in sorted(files):
        match = _FILE.fullmatch(name)
        if match is None:
            continue
        first = text.split("\n", 1)[0].strip()
        if first not in ("-- light", "-- heavy"):
            raise Misconfigured(f"{name}: the first line must be `-- light` or `-- heavy`")
        weight: Weight = "light" if first == "-- light" else "heavy"
        statements = tuple(split_statements(_LOOP.sub(_unroll, text)))
        for number, statement in enumerate(statements, 1):
            _lint(f"{name}, statement {number}", statement, weight)
        found.append(Migration(int(match[1]), match[2], weight, statements))
    versions = [m.version for m in found]
    if versions != list(range(1, len(versions) + 1)):
        raise Misconfigured(f"migrations are not numbered 1, 2, 3 ...: {versions}")
    return tuple(found)


def objects_of(migrations: Iterable[Migration]) -> list[str]:
    """Tables and views that are there when these have run, by name."""
    there: set[str] = set()
    for migration in migrations:
        for statement in migration.statements:
            for verb, name in _OBJECT.findall(statement):
                (there.add if verb.upper() == "CREATE" else there.discard)(name)
    return sorted(there)


def _unroll(match: re.Match[str]) -> str:
    names = [name.strip() for name in match[1].split(",")]
    copies = []
    for values in re.findall(r"\(([^()]*)\)", match[2]):
        copy = match[3]
        for name, value in zip(names, values.split(","), strict=True):
            copy = copy.replace("{{" + name + "}}", value.strip())
        copies.append(copy)
    return "\n".join(copies)


def _lint(where: str, statement: str, weight: Weight) -> None:
    code = " ".join(t.text.decode() for t in tokens(statement.encode()) if t.kind != "string")
    if not _IDEMPOTENT.match(code) and weight == "light":
        raise Misconfigured(f"{where}: not idempotent (IF NOT EXISTS, OR REPLACE, ALTER ..)")
    if weight == "light" and _HEAVY.search(code):
        raise Misconfigured(f"{where}: moves data; that belongs into a heavy migration")


def render(statement: str, *, database: str, cluster: str | None = None) -> str:
    """A statement for this database, on one node or on a cluster."""
    done = statement
    for _ in range(3):  # placeholders may hold placeholders
        done = _PLACEHOLDER.sub(lambda m: _one(m, database, cluster), done)
    if "{{" in done:
        raise Misconfigured(f"unknown placeholder in: {done[done.index('{{') :][:60]}")
    return done


def _one(match: re.Match[str], database: str, cluster: str | None) -> str:
    if match[1] == "DB":
        return f"`{database}`"
    if match[1] == "ON_CLUSTER":
        return f"ON CLUSTER {quote_string(cluster)}" if cluster else ""
    argument = match[3]
    if match[2] == "ENGINE":
        return _engine(argument, cluster)
    if match[2] == "FROM":
        table = f"`{database}`.`{argument}`"
        return f"cluster({quote_string(cluster)}, {table})" if cluster else table
    if match[2] == "QUANTILE":
        q, _, histogram = argument.partition(":")
        return quantile_sql(histogram, q)
    if match[2] == "ADDED":
        return added_sql(argument)
    return f"(toDecimal128({argument}, 9) / 1000000000)"


def _engine(engine: str, cluster: str | None) -> str:
    if not cluster:
        return engine
    name, _, arguments = engine.partition("(")
    path = "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    rest = arguments.rstrip(")")
    return f"Replicated{name}({path}{', ' + rest if rest else ''})"


def quantile_sql(histogram: str, q: str) -> str:
    """Nearest-rank quantile of a scheme-1 histogram (contracts.histogram), NULL if it is empty.

    Maps that sumMap made have their keys in order.
    """
    rank = f"greatest(1, ceil({q} * arraySum(mapValues({histogram}))))"
    bucket = (
        f"arrayFirst((k, c) -> c >= {rank}, mapKeys({histogram}),"
        f" arrayCumSum(mapValues({histogram})))"
    )
    value = f"2 * pow(101 / 99, {bucket}) * 99 / 200"
    return f"if(empty({histogram}), NULL, if({bucket} = -32768, 0., {value}))"


def added_sql(column: str) -> str:
    """The maps of a group added up as `sumMap` does, keys in order.

    Most groups have a single row, since parts are merged. A state of sumMap for each of them takes
    twice as long as to collect the rows.
    """
    rows = f"groupArray({column})"
    return f"if(count() = 1, mapSort({rows}[1]), arrayReduce('sumMap', {rows}))"

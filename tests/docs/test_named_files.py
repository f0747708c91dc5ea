"""A module that a docstring sends the reader to is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("producers", "stream_processors", "storage", "alerting", "deploy", "benchmarks", "tests")
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
NAMED = re.compile(r"[\w/]+\.py\b")


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def test_every_module_that_a_docstring_names_exists() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in MODULES}
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for text in docstrings(path)
        for name in NAMED.findall(text)
        if not any(f"/{module}".endswith(f"/{name}") for module in there)
    ]
    assert not missing

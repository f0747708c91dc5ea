"""Examples by question, read from examples.sql: a comment that asks, the statement that answers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Example:
    """One question and its statement."""

    question: str
    sql: str


def examples(text: str | None = None) -> list[Example]:
    """Parse `-- question` lines followed by a statement that ends with `;`.

    >>> examples("-- how many?\\nSELECT count()\\nFROM v_requests;\\n")
    [Example(question='how many?', sql='SELECT count()\\nFROM v_requests')]
    """
    if text is None:
        text = (files(__package__ or "") / "examples.sql").read_text(encoding="utf-8")
    found = []
    for block in text.split(";\n"):
        lines = [line for line in block.strip().splitlines() if line.strip()]
        question = " ".join(x.removeprefix("--").strip() for x in lines if x.startswith("--"))
        sql = "\n".join(line for line in lines if not line.startswith("--"))
        if question and sql:
            found.append(Example(question, sql))
    return found

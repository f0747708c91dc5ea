"""The maps of the repository name files that are there.

A path in backquotes or in a link is seen from the repository's root, or from a source root
(`contracts/clock.py`). A backquoted word without a slash is no path.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
_QUOTED = re.compile(r"`([\w.\-]+(?:/[\w.\-*]*)+)`")
_LINK = re.compile(r"\]\(([^)#:]+)\)")


def paths(page: str) -> set[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return {*_QUOTED.findall(text), *_LINK.findall(text)} - {"x/"}


def there(path: str) -> bool:
    return (ROOT / path).exists() or any(ROOT.glob(f"*/streamgauge/{path.rstrip('/')}"))


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_map_names_exists(page: str) -> None:
    named = paths(page)
    assert len(named) >= 5, "the page names no paths; has its notation changed?"
    assert [path for path in sorted(named) if not there(path)] == []


def test_every_package_has_a_row_in_the_table_of_folders() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = sorted(p.parent.name for p in ROOT.glob("*/streamgauge/*/__init__.py"))
    assert packages
    assert [name for name in packages if f"`streamgauge.{name}`" not in text] == []

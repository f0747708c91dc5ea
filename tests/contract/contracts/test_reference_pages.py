"""docs/reference is made from the models and says all that they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.contracts import reference, topics
from streamgauge.contracts.alerts import Alert
from streamgauge.contracts.events import EVENT_TYPES
from streamgauge.contracts.reasons import MEANING, Reject

PAGES = Path(__file__).parents[3] / "docs" / "reference"


def test_reference_pages_are_current() -> None:
    """Mend with: python -m streamgauge.contracts.reference."""
    assert reference.stale(PAGES) == []


MADE = reference.pages()


@pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
def test_every_field_of_an_event_has_a_row_and_a_meaning(kind: str) -> None:
    page = MADE["events.md"]
    for name, field in EVENT_TYPES[kind].model_fields.items():
        assert field.description, f"{kind}.{name}"
        assert f"| `{name}` |" in page


def test_every_field_of_an_alert_has_a_row() -> None:
    page = MADE["alerts.md"]
    for name, field in Alert.model_fields.items():
        assert f"| `{field.alias or name}` |" in page


def test_every_topic_has_a_row() -> None:
    page = MADE["topics.md"]
    assert all(f"| `{spec.full_name()}` |" in page for spec in topics.REGISTRY)


def test_every_reject_reason_is_explained() -> None:
    assert set(MEANING) == set(Reject)
    assert all(f"| `{reason}` |" in MADE["events.md"] for reason in Reject)


def test_a_page_that_differs_is_called_stale(tmp_path: Path) -> None:
    reference.write(tmp_path)
    assert reference.stale(tmp_path) == []
    (tmp_path / "events.md").write_text("old")
    assert reference.stale(tmp_path) == ["events.md"]

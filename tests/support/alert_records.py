"""Alert records by hand, for tests of what reads them."""

from __future__ import annotations

import json
from typing import Any

from streamgauge.contracts.alerts import Alert

AT = "2026-01-01T00:00:00Z"


def alert(**fields: Any) -> Alert:
    """A valid record, fired; `fields` replace what it says."""
    record = {
        "schema_version": 1, "id": "i1", "fingerprint": "f1", "seq": 1, "epoch": 1, "episode": "e1",
        "status": "firing", "transition": "fired", "severity": "page", "rule": "R",
        "rule_version": "1", "kind": "ratio", "labels": {"app": "search"}, "updated_at": AT,
        "event_time": AT,
    }  # fmt: skip
    return Alert.model_validate_json(json.dumps(record | fields))

"""The SQL that an alert carries: a template in its rule's policy, filled for one series and step.

The template is plain text with the placeholders below; `fill` turns it into a statement that
anybody can run. One pass: what was filled in, and what a rule's `where` quotes, is never looked
into for placeholders, whatever apps and models are called. Which statement belongs to a rule:
evaluation/query.py. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from streamgauge.alerting.rules.metrics import MAP_DIMENSIONS
from streamgauge.storage.sqltext import quote_string

FROM_MS, TO_MS = "$FROM_MS", "$TO_MS"
"""The window, ms since the epoch: start included, end not."""
SERIES = "$SERIES"
"""Condition that picks the series."""
NOTE = "query_note"
"""Annotation that says what the statement can tell and what not."""
NEW = "$NEW"
"""The new value of a map dimension, quoted."""
_PLACE = re.compile(
    r"'(?:[^'\\]|\\.)*'|" + "|".join(map(re.escape, (FROM_MS, TO_MS, SERIES, NEW))), re.DOTALL
)
"""A quoted value, which is left as it is, or a placeholder."""


def fill(sql_template: str, *, labels: Mapping[str, str], start_ms: int, end_ms: int) -> str:
    """The template for one series and window. labels: dimensions of the series and their values."""
    dimensions = {k: v for k, v in labels.items() if k not in MAP_DIMENSIONS and k != "period"}
    new = next((v for k, v in labels.items() if k in MAP_DIMENSIONS), "")
    series = " AND ".join(f"{k} = {quote_string(v)}" for k, v in sorted(dimensions.items())) or "1"
    values = {FROM_MS: str(start_ms), TO_MS: str(end_ms), NEW: quote_string(new), SERIES: series}
    return _PLACE.sub(lambda found: values.get(found[0], found[0]), sql_template)

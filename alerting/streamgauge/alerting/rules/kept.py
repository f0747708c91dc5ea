"""How long the store keeps the cells that rules read.

In: the environment, where an operator may shorten or lengthen it. Out: ms by resolution, for
lint.py: a rule that looks further back would count too little and call it calm. The defaults are
those of storage.retention, which this package must not import: it brings a ClickHouse client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from streamgauge.alerting.rules.resolution import COARSE_MS, FINE_MS
from streamgauge.contracts.environment import number

DAY_MS = 86_400_000
MAX_DAYS = 36_500
DAYS = {FINE_MS: 7, COARSE_MS: 90}
"""Days by resolution, unless the environment says otherwise."""
VARIABLES = {
    FINE_MS: "STREAMGAUGE_KEEP_WINDOWS_10S_DAYS",
    COARSE_MS: "STREAMGAUGE_KEEP_WINDOWS_60S_DAYS",
}


def kept_ms(env: Mapping[str, str] = os.environ) -> dict[int, int]:
    """Ms that cells are kept, by resolution in ms; Misconfigured names the variable."""
    return {
        step: number(env, VARIABLES[step], days, 1, MAX_DAYS, int) * DAY_MS
        for step, days in DAYS.items()
    }

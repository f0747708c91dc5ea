"""`streamgauge doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from streamgauge.contracts.clock import SystemClock
from streamgauge.deploy.cli.base import (
    answer,
    answer_json,
    command,
    find_context,
    home_option,
    json_option,
    say,
)


@command(example="streamgauge doctor")
@home_option
@json_option
def doctor(home: Path | None, *, as_json: bool) -> int:
    """Look at machine, processes, Kafka and store; say what is wrong and how to mend it.

    Exit 1 if anything is bad; what is merely not there (warn) is not.
    """
    from streamgauge.deploy.doctor import Level, examine

    found = examine(find_context(home), clock=SystemClock())
    bad = [f for f in found if f.level is Level.BAD]
    if as_json:
        answer_json([asdict(f) for f in found])
    else:
        width = max(len(f.what) for f in found)
        for finding in found:
            answer(f"{finding.level.value:<4}  {finding.what.ljust(width)}  {finding.seen}")
            if finding.mend and finding.level is not Level.OK:
                answer(f"{'':<4}  {'':<{width}}  -> {finding.mend}")
        warned = sum(f.level is Level.WARN for f in found)
        say(f"{len(bad)} bad, {warned} to know")
    return 1 if bad else 0

"""CPU per event and memory of the metrics worker and the store: do they grow?

    python -m benchmarks.growth [--rounds N] [--events N]            a log of 20 million events
    python -m benchmarks.growth --hour [--seconds S] [--rate R]          2,000 a second by the clock

Real Kafka, 8 partitions, 1 KB events, one worker with its default settings. The first can be
interrupted: started again with the same options, it goes on. The second begins anew. Data and logs
are in folders below --folder: those of a round are removed if its counts are exact, those of the
hour if it reached its bars.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.growth import hour, slices
from benchmarks.growth.verdict import judge
from benchmarks.load import SPACING_MS
from benchmarks.report import close, say


def main() -> int:
    """Run, judge, tidy up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--first", type=int, default=1_000_000, help="of them: warm-up")
    parser.add_argument("--slices", type=int, default=20, help="of equal size, after the first")
    parser.add_argument("--rounds", type=int, default=3, help="each with a log of its own")
    parser.add_argument(
        "--spacing-ms", type=int, default=SPACING_MS, help="from the time of an event to the next"
    )
    parser.add_argument("--hour", action="store_true", help="by the clock instead")
    parser.add_argument("--seconds", type=float, default=3_600.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument("--folder", type=Path, default=Path("build/growth"))
    given = parser.parse_args()
    return _hour(given) if given.hour else _log(given)


def _log(given: argparse.Namespace) -> int:
    rounds = [
        slices.Options(
            given.folder / f"round-{number}",
            given.events,
            given.first,
            given.slices,
            given.spacing_ms,
        )
        for number in range(1, given.rounds + 1)
    ]
    states = []
    try:
        for number, options in enumerate(rounds, 1):
            say(f"round {number} of {given.rounds}")
            states.append(slices.run(options, say))
        figures = judge(states, rounds[0])
    except ValueError as error:
        sys.stderr.write(f"growth: {error}\n")
        return 2
    whole = given.events >= 20_000_000 and given.first <= 1_000_000
    whole &= given.spacing_ms == SPACING_MS
    status = close("growth", figures, keep=whole)
    for options in rounds:
        options.path.unlink()
    return status


def _hour(given: argparse.Namespace) -> int:
    folder = given.folder / "hour"
    shutil.rmtree(folder, ignore_errors=True)
    figures = hour.run(folder, seconds=given.seconds, rate=given.rate, say=say)
    status = close("growth-hour", figures, keep=given.seconds >= 3_600 and given.rate >= 2_000)
    if status == 0:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())

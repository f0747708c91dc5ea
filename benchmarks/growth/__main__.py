"""CPU per event and memory of the metrics worker and the store: do they grow?

    python -m benchmarks.growth --hour [--seconds S] [--rate R]

An hour by the clock at 2,000 events a second. Data and logs are in a folder below --folder; a run
begins with an empty one, and removes it if it reached its bars.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from benchmarks.growth import hour
from benchmarks.report import close


def main() -> int:
    """Run, judge, tidy up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--hour", action="store_true", help="by the clock")
    parser.add_argument("--seconds", type=float, default=3_600.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second")
    parser.add_argument("--folder", type=Path, default=Path("build/growth"))
    given = parser.parse_args()
    folder = given.folder / "hour"
    shutil.rmtree(folder, ignore_errors=True)
    figures = hour.run(folder, seconds=given.seconds, rate=given.rate, say=_say)
    status = close("growth-hour", figures, keep=given.seconds >= 3_600 and given.rate >= 2_000)
    if status == 0:
        shutil.rmtree(folder)
    return status


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""100 kill -9 of worker, store and broker, zombies, cut connections, a full disk: nothing is lost.

    python -m benchmarks.soak [--kills N] [--events N] [--seed N] [--folder DIR]
    python -m benchmarks.soak --store-away 3600       instead: the store is away for an hour

A run that is interrupted goes on where it was when it is started again with the same options. Takes
about 25 minutes. Data and logs are in the folder; the data are removed after a run without faults.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from pathlib import Path

from benchmarks.report import close, say
from benchmarks.soak.run import Options, Soak


def main() -> int:
    """Run, judge, tidy up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    parser.add_argument("--store-away", type=float, default=0.0, metavar="SECONDS")
    given = parser.parse_args()
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # the store is away at times
    kills = 2 if given.store_away else given.kills
    options = Options(given.folder, given.events, kills, given.seed, given.store_away)
    try:
        figures = Soak(options, say).run()
    except ValueError as error:
        sys.stderr.write(f"soak: {error}\n")
        return 2
    name = "soak-store-away" if given.store_away else "soak"
    whole = given.store_away >= 3_600 or (given.kills >= 100 and given.events >= 2_000_000)
    status = close(name, figures, keep=whole)
    if status == 0:
        shutil.rmtree(given.folder)
    return status


if __name__ == "__main__":
    sys.exit(main())

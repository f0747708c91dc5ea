"""What a benchmark says at its end: figures against their bars, as a table and as one JSON line.

Last line of stdout: {"benchmark", "machine", "figures": {NAME: {"value", "unit", "bar", "aim",
"better"}}}. Exit status 1 if a bar is missed or a figure missing. The line is also kept, dated, in
results/.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. bar: what must be reached, aim: what we want; None = only told."""

    value: float
    unit: str
    bar: float | None = None
    aim: float | None = None
    better: Literal["higher", "lower"] = "higher"

    def reaches(self, mark: float | None) -> bool:
        """Whether the value is at least as good as the mark; None is always reached."""
        if mark is None:
            return True
        return self.value >= mark if self.better == "higher" else self.value <= mark


def machine() -> str:
    """What it ran on, in a line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def say(line: str) -> None:
    """Progress, for people."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def close(
    benchmark: str,
    figures: Mapping[str, Figure],
    *,
    keep: bool = True,
    missing: Sequence[str] = (),
) -> int:
    """Print the table and the line, keep the line, and say the exit status.

    keep: whether the line goes to results/; not that of a short try. missing: figures that could
    not be measured: the line is not kept then, and the status is 1.
    """
    for name, f in figures.items():
        marks = [f"{word} {m:g}" for word, m in (("bar", f.bar), ("aim", f.aim)) if m is not None]
        verdict = "" if f.bar is None else "ok" if f.reaches(f.bar) else "MISSED"
        if f.aim is not None and f.reaches(f.aim):
            verdict = "aim"
        sys.stderr.write(
            f"  {name:44} {f.value:12,.3f} {f.unit:16} {', '.join(marks):20} {verdict}\n"
        )
    for name in missing:
        sys.stderr.write(f"  {name:44} {'-':>12} {'':16} {'':20} MISSING\n")
    line = json.dumps(
        {
            "benchmark": benchmark,
            "machine": machine(),
            "figures": {name: asdict(f) for name, f in figures.items()},
        }
    )
    if keep and not missing:
        RESULTS.mkdir(exist_ok=True)
        today = datetime.now(UTC).date()
        (RESULTS / f"{today}-{benchmark}.json").write_text(line + "\n")
    print(line, flush=True)
    reached = all(f.reaches(f.bar) for f in figures.values())
    return 0 if reached and not missing else 1

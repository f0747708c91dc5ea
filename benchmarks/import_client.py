"""What importing and starting the client costs an app, beside importing confluent_kafka alone.

    python benchmarks/import_client.py

Bytecode of both sides is compiled first, as an installation does. Then interleaved subprocesses in
one run, so that the machine's noise hits all alike; minimum and median of 9 each. Exit 1 if by the
minimum importing, or importing and `init` together, takes over 150 ms or 2.5 times confluent_kafka.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

ROUNDS = 9
MAX_MS = 150.0
MAX_RATIO = 2.5

CASES = {
    "import confluent_kafka": "import confluent_kafka",
    "import streamgauge.producers": "import streamgauge.producers",
    "import + init (Kafka sink)": (
        "from streamgauge.producers import init; init(app='a', bootstrap='localhost:1')"
    ),
}
COMPILED = ("confluent_kafka", "streamgauge.contracts", "streamgauge.producers")
BANNED = ("pydantic", "msgspec", "pyarrow", "faust", "clickhouse_connect", "click", "numpy")
MEASURE = """
import sys, time
start = time.perf_counter()
{code}
took = (time.perf_counter() - start) * 1000
print(took, *[m for m in {banned} if m in sys.modules])
"""


def compile_all() -> None:
    """Write the bytecode of both sides."""
    for name in COMPILED:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            sys.exit(f"{name} is not installed here: pip install -e .")
        compileall.compile_dir(Path(spec.origin).parent, quiet=2)
    for code in CASES.values():  # what they import of others, and the disk's cache
        measure(code)


def measure(code: str) -> float:
    """Milliseconds that the code takes in a fresh interpreter."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE.format(code=code, banned=BANNED)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, *loaded = run.stdout.split()
    if loaded:
        sys.exit(f"`{code}` loads {', '.join(loaded)}: the client must stay lean")
    return float(took)


def main() -> int:
    """Compile, measure, print, judge."""
    compile_all()
    took: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, code in CASES.items():
            took[name].append(measure(code))
    base = min(took["import confluent_kafka"])
    failed = False
    for name, rounds in took.items():
        best = min(rounds)
        bad = best > MAX_MS or best / base > MAX_RATIO
        failed |= bad
        verdict = "TOO SLOW" if bad else "ok"
        print(
            f"{name:30} min {best:6.1f} ms  median {median(rounds):6.1f} ms"
            f"  {best / base:5.2f} x confluent_kafka  {verdict}"
        )
    print(f"bar: {MAX_MS:g} ms and {MAX_RATIO} x, by the minimum of {ROUNDS} interleaved rounds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

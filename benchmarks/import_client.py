"""What importing and starting the client costs an app, beside importing confluent_kafka alone.

    python benchmarks/import_client.py

Interleaved subprocesses in one run, best of 9 each: the machine's noise hits all alike. Exit 1 if
importing, or importing and `init` together, takes over 150 ms or over 2.5 times confluent_kafka.
"""

from __future__ import annotations

import subprocess
import sys

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
BANNED = ("pydantic", "msgspec", "pyarrow", "faust", "clickhouse_connect", "click", "numpy")
MEASURE = """
import sys, time
start = time.perf_counter()
{code}
took = (time.perf_counter() - start) * 1000
print(took, *[m for m in {banned} if m in sys.modules])
"""


def measure(code: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", MEASURE.format(code=code, banned=BANNED)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, *loaded = run.stdout.split()
    if loaded:
        sys.exit(f"`{code}` loads {', '.join(loaded)}: the client must stay lean")
    return float(took)


def main() -> int:
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(ROUNDS):
        for name, code in CASES.items():
            best[name] = min(best[name], measure(code))
    base = best["import confluent_kafka"]
    failed = False
    for name, took in best.items():
        bad = took > MAX_MS or took / base > MAX_RATIO
        failed |= bad
        verdict = "TOO SLOW" if bad else "ok"
        print(f"{name:32} {took:7.1f} ms  {took / base:5.2f} x confluent_kafka  {verdict}")
    print(f"bar: {MAX_MS:g} ms and {MAX_RATIO} x, best of {ROUNDS}, interleaved")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""LLM spans per second, and per server CPU-second, from a client's first span to the query.

    python -m benchmarks.peers [--rounds 3] [--ours 120000] [--theirs 3000]

The same spans go to streamgauge, Arize Phoenix and MLflow, one system after another in every round,
each on fresh data: all servers of a system on one core, its client on another. The clock runs from
the first span until a query counts all of them; server CPU until nothing lags behind. Ours gets
more spans, since it would be done before a clock could tell. It is judged without scores and drift,
which the peers have not, and shown with them (`streamgauge-all`). Medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers import spans
from benchmarks.peers.systems import CLIENT_CORE, SERVER_CORE, SYSTEMS
from benchmarks.report import Figure, close

OURS = "streamgauge"
BARS = {"phoenix": (50.0, 150.0), "mlflow": (30.0, 90.0)}
LIMIT_S = 600.0
POLL_S = 0.25
WARM_UP = 100
Condition = Callable[[], bool]


def once(name: str, n: int) -> dict[str, float]:
    """One round of one system: spans/s, spans per server CPU-second, memory, client CPU."""
    with tempfile.TemporaryDirectory(prefix="streamgauge-peers-") as folder:
        data, few = Path(folder) / "spans.json", Path(folder) / "few.json"
        spans.write(data, n)
        spans.write(few, WARM_UP, seed=2)
        work = Path(folder) / name
        work.mkdir()
        with SYSTEMS[name](work, data) as system:
            _send([str(few) if word == str(data) else word for word in system.client])
            _until(lambda: system.count() >= WARM_UP and system.settled(), name)
            cpu = system.cpu_s()
            said = _send(system.client, lambda: system.count() >= WARM_UP + n)
            wall = said["done"] - said["began"]
            _until(system.settled, name)
            used = system.cpu_s() - cpu
            return {
                "per_s": n / wall,
                "per_cpu_s": n / used,
                "memory_mb": system.memory_mb(),
                "client_us": said["client_cpu_s"] / n * 1e6,
            }


def _send(command: Sequence[str], complete: Condition | None = None) -> dict[str, float]:
    """Run a client; with `complete`, its answer also says when that was true (`done`)."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}),
    )
    done = 0.0
    deadline = time.monotonic() + LIMIT_S
    if complete is not None:
        while not complete():
            if process.poll() not in (None, 0) or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"not all spans can be queried after {LIMIT_S:.0f} s")
            time.sleep(POLL_S)
        done = time.time()
    out, _ = process.communicate(timeout=LIMIT_S)
    if process.returncode:
        raise RuntimeError(f"the client ended with {process.returncode}")
    said: dict[str, float] = json.loads(out.splitlines()[-1])
    return said | {"done": done}


def _until(condition: Condition, name: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} has not settled after {LIMIT_S:.0f} s")
        time.sleep(POLL_S)


def main() -> int:
    """Run the rounds and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ours", type=int, default=120_000, help="to ours; to -all a quarter")
    parser.add_argument("--theirs", type=int, default=3_000, help="spans to each peer")
    parser.add_argument("--only", choices=list(SYSTEMS), action="append", help="may be repeated")
    args = parser.parse_args()
    if CLIENT_CORE == SERVER_CORE:
        sys.stderr.write("one core: client and servers share it\n")
    sizes = {OURS: args.ours, f"{OURS}-all": args.ours // 4}
    measured: dict[str, list[dict[str, float]]] = {}
    for turn in range(args.rounds):
        for name in args.only or SYSTEMS:
            found = once(name, sizes.get(name, args.theirs))
            measured.setdefault(name, []).append(found)
            told = ", ".join(f"{k} {v:,.1f}" for k, v in found.items())
            sys.stderr.write(f"round {turn + 1} of {args.rounds}  {name:16} {told}\n")
    middle = {
        name: {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
        for name, rounds in measured.items()
    }
    figures: dict[str, Figure] = {}
    for name, m in middle.items():
        figures[f"{name}, spans per second"] = Figure(m["per_s"], "spans/s")
        figures[f"{name}, spans per server CPU-second"] = Figure(m["per_cpu_s"], "spans/core-s")
        figures[f"{name}, server memory"] = Figure(m["memory_mb"], "MB", better="lower")
        figures[f"{name}, client CPU per span"] = Figure(m["client_us"], "us", better="lower")
    for name, (bar, aim) in BARS.items():
        if name in middle and OURS in middle:
            for key, what in (("per_s", "by the clock"), ("per_cpu_s", "per server CPU-second")):
                ratio = middle[OURS][key] / middle[name][key]
                figures[f"ours / {name}, {what}"] = Figure(ratio, "x", bar, aim)
    whole = args.rounds >= 3 and not args.only
    return close("peers", figures, keep=whole)


if __name__ == "__main__":
    sys.exit(main())

"""The systems that are compared, each whole and as shipped, on one core of its own.

`System`: what a client needs, how many spans can be queried now, and what its processes have used.
Arize Phoenix and MLflow stand on SQLite, their default, each in a virtual environment of its own
(environments.py, 0.9 GB each). Ours is `streamgauge up`, with texts stored too: once without scores
and drift, since the peers neither score nor watch drift, and once with everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.environments import environment

HERE = Path(__file__).parent
START_S = 180.0
CORES = sorted(os.sched_getaffinity(0))
CLIENT_CORE, SERVER_CORE = CORES[0], CORES[-1]


@dataclass(frozen=True, slots=True)
class System:
    """A running system. client: the command that sends; processes: those that serve, as of now."""

    client: Sequence[str]
    count: Callable[[], int]
    settled: Callable[[], bool]
    processes: Callable[[], Iterable[psutil.Process]]

    def cpu_s(self) -> float:
        """CPU seconds of all its processes, and of those that they have waited for."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                t = process.cpu_times()
                total += t.user + t.system + t.children_user + t.children_system
        return total

    def memory_mb(self) -> float:
        """Proportional set size of all its processes."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
        return total / 1024 / 1024


@contextlib.contextmanager
def phoenix(folder: Path, spans: Path) -> Iterator[System]:
    """Arize Phoenix with OTLP over HTTP, the faster of its two ways in."""
    home, (port, grpc) = environment("phoenix"), free_ports(2)
    env = {
        "PHOENIX_WORKING_DIR": str(folder), "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }  # fmt: skip
    with _server([str(home / "bin/phoenix"), "serve"], folder, env) as root:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/healthz", root)
        yield _over_otlp(home, spans, f"{url}/v1/traces", root, folder / "phoenix.db", "spans")


@contextlib.contextmanager
def mlflow(folder: Path, spans: Path) -> Iterator[System]:
    """MLflow's tracking server with one worker, OTLP over HTTP."""
    home, (port,) = environment("mlflow"), free_ports(1)
    database = folder / "mlflow.db"
    command = [
        str(home / "bin/mlflow"), "server", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--backend-store-uri", f"sqlite:///{database}",
        "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    with _server(command, folder, env) as root:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/health", root)
        yield _over_otlp(
            home, spans, f"{url}/v1/traces", root, database, "spans", "x-mlflow-experiment-id=0"
        )


@contextlib.contextmanager
def streamgauge(folder: Path, spans: Path, *without: str) -> Iterator[System]:
    """The whole stack: Kafka, store, workers, alert engine, supervisor; less the workers named."""
    home = folder / "home"
    env = _clean_env() | {"STREAMGAUGE_HOME": str(home), "STREAMGAUGE_TEXTS": "1"}

    def cli(*words: str) -> str:
        command = [sys.executable, "-m", "streamgauge.deploy", *words]
        done = subprocess.run(
            command, env=env, check=True, capture_output=True, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )  # fmt: skip
        return done.stdout

    from streamgauge.storage.client import connect
    from streamgauge.storage.settings import StoreSettings

    try:
        less = [word for name in without for word in ("--without", name)]
        up = json.loads(cli("up", "--json", "--clock", "live", *less))
        state = json.loads(cli("status", "--json"))
        at = state["addresses"]
        store = StoreSettings(
            url=at["clickhouse"],
            user=at["reader_user"],
            password=Path(at["reader_password_file"]).read_text().strip(),
            database=at["database"],
        )
        workers = [psutil.Process(p["pid"]) for p in state["processes"] if p["pid"]]
        parents = {q for p in workers if (q := p.parent()) is not None and q.pid > 1}

        def processes() -> set[psutil.Process]:
            found = set(workers) | parents
            return found | {c for p in found for c in p.children(recursive=True)}

        with connect(store) as asked:

            def count() -> int:
                (row,) = asked.query(
                    "SELECT (SELECT count() FROM v_requests) AS raw,"
                    " (SELECT sum(requests) FROM v_minute) AS windows"
                )
                return min(int(row["raw"]), int(row["windows"] or 0))

            def settled() -> bool:
                (row,) = asked.query("SELECT max(end_offset - position) AS lag FROM v_freshness")
                return int(row["lag"] or 0) == 0

            client = [
                sys.executable, "-m", "benchmarks.peers.emit_ours", str(spans), up["bootstrap"],
                at["topic_prefix"],
            ]  # fmt: skip
            yield System(client, count, settled, processes)
    finally:
        cli("down")


SYSTEMS = {
    "streamgauge": lambda folder, spans: streamgauge(folder, spans, "scores", "drift"),
    "streamgauge-all": streamgauge,
    "phoenix": phoenix,
    "mlflow": mlflow,
}


def _over_otlp(
    home: Path, spans: Path, url: str, root: psutil.Process, database: Path, table: str, *more: str
) -> System:
    def count() -> int:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            try:
                return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            except sqlite3.OperationalError as e:
                if "locked" in str(e):
                    return 0
                raise

    client = [str(home / "bin/python"), str(HERE / "emit_otlp.py"), str(spans), url, *more]
    return System(client, count, lambda: True, lambda: [root, *root.children(recursive=True)])


@contextlib.contextmanager
def _server(
    command: Sequence[str], folder: Path, env: Mapping[str, str]
) -> Iterator[psutil.Process]:
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=_clean_env() | dict(env), stdout=log, stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )  # fmt: skip
    root = psutil.Process(process.pid)
    try:
        yield root
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*root.children(recursive=True), root]
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait(30)


def _wait_for(url: str, root: psutil.Process) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        if not root.is_running() or time.monotonic() > deadline:
            raise RuntimeError(f"{url} did not answer within {START_S:.0f} s: see server.log")
        time.sleep(0.3)


def _clean_env() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("STREAMGAUGE_", "PYTHON"))} | {
        k: v for k, v in os.environ.items() if k in ("STREAMGAUGE_CACHE", "PYTHONPATH")
    }


def free_ports(n: int) -> list[int]:
    """Ports of this machine that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]

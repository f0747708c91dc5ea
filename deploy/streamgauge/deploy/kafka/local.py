"""One Apache Kafka broker on this machine: start, stop, kill, restart on the same data folder.

In: a data folder and a port (0 = the one of the last run if it is free, at first the usual one,
else a free one; once the broker has answered there, no other: clients know it). Out: `bootstrap`,
once the broker answers metadata. The broker's output goes to `<data>/logs`; its tail is shown only
when it dies. Not here: restarting what died (deploy.stack).

    <data>/kafka.json         layout, cluster id, ports
    <data>/broker.pid         identity of the running broker
    <data>/server.properties  written at each start
    <data>/log/               Kafka's own files
    <data>/logs/              broker.log (3 x 10 MB), broker.out (what the JVM printed)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.deploy.kafka.jars import ensure_jars
from streamgauge.deploy.kafka.java import Java, find_java, overlooked
from streamgauge.deploy.kafka.properties import cluster_id, jvm_flags, server_properties
from streamgauge.deploy.paths import write_atomic
from streamgauge.deploy.ports import HOST, accepts, free_ports, is_free, require_free
from streamgauge.deploy.processes import ParentGuard, Pid

LAYOUT = 1
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
TAIL_LINES = 12


class LocalKafka:
    """A broker of our own.

    data_dir: kept between runs. port: 0 = free. usual_port: taken on the first start if it is free
    and no port is wanted; 0 = none. cache: of the jars (STREAMGAUGE_CACHE).
    partition_cap_bytes: most bytes of one partition. die_with_us: the broker is killed when this
    process is gone, whatever ended it.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        usual_port: int = 0,
        cache: Path | None = None,
        heap_mb: int = 192,
        partition_cap_bytes: int = 1 << 30,
        die_with_us: bool = True,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.data_dir = Path(data_dir)
        self.port = port
        self._wanted_port = port
        self._usual_port = usual_port
        self._cluster = ""
        self._controller_port = 0
        self._cache = cache
        self._heap_mb = heap_mb
        self._partition_cap_bytes = partition_cap_bytes
        self._die_with_us = die_with_us
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: ParentGuard | None = None

    # -- what it is ----------------------------------------------------------------------------

    @property
    def bootstrap(self) -> str:
        """Address for clients; valid after `start`."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def log_path(self) -> Path:
        """The broker's log."""
        return self.data_dir / "logs" / "broker.log"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "broker.pid"

    def leftover(self) -> Pid | None:
        """A live broker on this folder that another process (or an earlier one) started."""
        with contextlib.suppress(OSError, ValueError):
            found = Pid.from_json(json.loads(self._pid_file.read_text()))
            if found is not None and found.alive and found.pid != self.pid:
                return found
        return None

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> str:
        """Start the broker and wait until it answers metadata; its bootstrap address.

        Raises Misconfigured (no Java, no jars, port taken, folder in use or with a comma in its
        name) or Unreachable (it died or did not answer in time; the message carries the end of its
        log).
        """
        self.spawn()
        try:
            self.wait_ready()
        except Unreachable:
            if self._wanted_port or self.port != self._usual_port or not accepts(self.port):
                raise
            self._usual_port = 0  # another process was faster to take it
            self.spawn()
            self.wait_ready()
        return self.bootstrap

    def spawn(self) -> None:
        """Start the process without waiting for its first answer."""
        if self.pid is not None:
            return
        if "," in str(self.data_dir):
            raise Misconfigured(
                f"Kafka cannot keep its log in {self.data_dir}: it takes a comma for the end of a "
                "folder's name",
                hint="choose a folder without commas (--home, STREAMGAUGE_HOME)",
            )
        held = self.leftover()
        if held is not None:
            raise Misconfigured(
                f"a broker (pid {held.pid}) already runs on {self.data_dir}",
                hint="use it, or stop it with `streamgauge kafka stop`",
            )
        java = find_java()
        if ignored := overlooked():
            self._progress(ignored)
        libs = ensure_jars(self._cache, progress=self._progress)
        self._prepare(java, libs)
        logs = self.data_dir / "logs"
        command = [
            str(java.path),
            *jvm_flags(java.major, heap_mb=self._heap_mb),
            "-cp",
            str(libs / "*"),
            f"-Dlog4j2.configurationFile={_log4j2()}",
            f"-Dstreamgauge.log={self.log_path}",
            "kafka.Kafka",
            str(self.data_dir / "server.properties"),
        ]
        self._forget()  # a former one that died by itself, and its guard
        with (logs / "broker.out").open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.data_dir,
                start_new_session=True,  # Ctrl-C in our terminal is ours to handle
            )
        if self._die_with_us:
            self._guard = ParentGuard(self._process.pid)
        identity = Pid.of(self._process.pid)
        if identity is not None:
            write_atomic(self._pid_file, json.dumps(identity.as_json()))

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when the broker answers a metadata request."""
        deadline = time.monotonic() + timeout_s
        while True:
            process = self._process
            if process is None or process.poll() is not None:
                code = None if process is None else process.returncode
                self._forget()
                raise Unreachable(
                    f"the Kafka broker ended with code {code} before it answered: {self.tail()}",
                    hint=f"its log is {self.log_path}",
                )
            if accepts(self.port) and answers_metadata(
                self.bootstrap, timeout_s=2.0, cluster=self._cluster
            ):
                self._wanted_port = self.port  # clients, workers and stack.json have it from now on
                return
            if time.monotonic() > deadline:
                self.kill()
                raise Unreachable(
                    f"the Kafka broker did not answer on {self.bootstrap} "
                    f"within {timeout_s:.0f} s: {self.tail()}",
                    hint=f"its log is {self.log_path}",
                )
            time.sleep(0.05)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Controlled shutdown; killed if it takes longer than timeout_s."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._forget()

    def kill(self) -> None:
        """kill -9, as a crash would end it."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(10)
        self._forget()

    def restart(self) -> str:
        """Start again on the same folder and port; Misconfigured while another has the port."""
        self.stop()
        return self.start()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last words of the broker, one line: errors first, else the end of its log."""
        text = ""
        for path in (self.log_path, self.data_dir / "logs" / "broker.out"):
            with contextlib.suppress(OSError):
                text += path.read_text(encoding="utf-8", errors="replace")[-20_000:]
        rows = [row.strip() for row in text.splitlines() if row.strip()]
        bad = [r for r in rows if " ERROR " in r or " FATAL " in r or "Exception" in r]
        return " | ".join((bad or rows)[-lines:])[-1_200:] or "no output"

    def _forget(self) -> None:
        self._process = None
        if self._guard is not None:
            self._guard.release()
            self._guard = None
        with contextlib.suppress(OSError):
            self._pid_file.unlink()

    # -- files ---------------------------------------------------------------------------------

    def _prepare(self, java: Java, libs: Path) -> None:
        """Folders, ports, properties; format the data folder the first time."""
        (self.data_dir / "logs").mkdir(parents=True, exist_ok=True)
        state_file = self.data_dir / "kafka.json"
        state: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError):
            state = json.loads(state_file.read_text())
        if int(str(state.get("layout", LAYOUT))) > LAYOUT:
            raise Misconfigured(
                f"{self.data_dir} was written by a newer streamgauge (layout {state['layout']})",
                hint="use that version, or another data folder",
            )
        self._choose_ports(state)
        formatted = _cluster_of(self.data_dir / "log" / "meta.properties")
        cluster = formatted or str(state.get("cluster_id") or cluster_id(os.urandom(16)))
        self._cluster = cluster
        text = server_properties(
            data=self.data_dir / "log",
            host=HOST,
            port=self.port,
            controller_port=self._controller_port,
            partition_cap_bytes=self._partition_cap_bytes,
        )
        properties = self.data_dir / "server.properties"
        write_atomic(properties, text)
        if not formatted:
            self._format(java, libs, cluster, properties)
        state = {
            "layout": LAYOUT,
            "cluster_id": cluster,
            "port": self.port,
            "controller_port": self._controller_port,
        }
        write_atomic(state_file, json.dumps(state, indent=1) + "\n")

    def _choose_ports(self, state: dict[str, object]) -> None:
        """The wanted port or none at all, else the one of the last run, else a free one."""
        if self._wanted_port:
            require_free(self._wanted_port, what="Kafka", option="--kafka-port")
            self.port = self._wanted_port
        else:
            last = int(str(state.get("port", self._usual_port)))
            self.port = last if last and is_free(last) else 0
        last = int(str(state.get("controller_port", 0)))
        self._controller_port = last if last and is_free(last) and last != self.port else 0
        spare = free_ports(2)
        self.port = self.port or spare[0]
        self._controller_port = self._controller_port or spare[1]

    def _format(self, java: Java, libs: Path, cluster: str, properties: Path) -> None:
        command = [
            str(java.path), "-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-cp", str(libs / "*"), f"-Dlog4j2.configurationFile={_log4j2()}",
            f"-Dstreamgauge.log={self.data_dir / 'logs' / 'format.log'}",
            "kafka.tools.StorageTool", "format", "--standalone",
            "-t", cluster, "-c", str(properties),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            words = " ".join((done.stdout + done.stderr).split())[-400:]
            raise Misconfigured(
                f"Kafka cannot format {self.data_dir / 'log'}: {words}",
                hint="check that the folder can be written and the disk has room",
            )


def _cluster_of(meta: Path) -> str:
    """Id of the cluster that a formatted folder belongs to; empty if it is not formatted."""
    with contextlib.suppress(OSError):
        for line in meta.read_text(encoding="utf-8").splitlines():
            if line.startswith("cluster.id="):
                return line.removeprefix("cluster.id=").strip()
    return ""


def _log4j2() -> str:
    return Path(str(files(__package__ or "") / "log4j2.properties")).as_uri()


def answers_metadata(bootstrap: str, *, timeout_s: float, cluster: str = "") -> bool:
    """True if a broker there, of this cluster if one is named, answers a metadata request."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "error_cb": lambda _error: None,
    }
    try:
        admin = AdminClient(config)
        found = admin.list_topics(timeout=timeout_s)
        return len(found.brokers) > 0 and cluster in ("", found.cluster_id)
    except KafkaException:
        return False

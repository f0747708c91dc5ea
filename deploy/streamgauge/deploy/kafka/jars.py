"""Brings Kafka's jars into the user's cache folder, once, and lets no other byte in.

In: the lock (lock.py). Out: a folder `<cache>/kafka/<lock digest>/libs` whose jars all have the
lock's sha256. jgo fetches each locked artifact from the Maven repositories that the user's jgo
configuration names (Maven Central without one). A jar lands in `libs` only after its sha256 was
checked, by an atomic rename; two installs at once wait for each other on a file lock.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.deploy.kafka.lock import LockedJar, check_folder, lock_digest, read_lock, sha256_of
from streamgauge.deploy.paths import cache_folder, exclusive

ENV_OFFLINE = "STREAMGAUGE_OFFLINE"
ENV_KAFKA_HOME = "KAFKA_HOME"
FETCHES_AT_ONCE = 8
TIMEOUT_S = 60
Progress = Callable[[str], None]


def _silent(_line: str) -> None:
    return None


def libs_folder(cache: Path | None = None, jars: tuple[LockedJar, ...] | None = None) -> Path:
    """Where the jars of a lock lie, whether they are there yet or not."""
    return (cache or cache_folder()) / "kafka" / lock_digest(jars or read_lock()) / "libs"


def verify_jars(cache: Path | None = None) -> Path:
    """The libs folder, if every jar is there and has the lock's sha256.

    Raises Misconfigured naming the jar: a changed one is never run and never replaced silently.
    """
    jars = read_lock()
    libs = libs_folder(cache, jars)
    found = check_folder(libs, jars)
    if found.differing or found.unknown:
        bad = (found.differing + found.unknown)[0]
        what = "does not match the checked-in sha256" if found.differing else "is not in the lock"
        raise Misconfigured(
            f"Kafka jar {libs / bad} {what}; it will not be run",
            hint="remove that file and run `streamgauge kafka install`",
        )
    if found.missing:
        raise Misconfigured(
            f"Kafka is not installed: {len(found.missing)} of {len(jars)} jars are not in {libs}",
            hint="run `streamgauge kafka install`",
        )
    return libs


def ensure_jars(
    cache: Path | None = None,
    *,
    progress: Progress = _silent,
    env: Mapping[str, str] = os.environ,
) -> Path:
    """A folder of jars to run Kafka from; installs them if they are not there yet.

    A complete Kafka of major 4 at KAFKA_HOME is taken, unverified, when nothing is installed.
    Raises Misconfigured (a jar differs from the lock; offline) or Unreachable (no repository).
    """
    jars = read_lock()
    libs = libs_folder(cache, jars)
    libs.mkdir(parents=True, exist_ok=True)
    if ignored := overlooked_home(env):
        progress(ignored)
    if check_folder(libs, jars).ok:
        return libs
    home = kafka_home(env)
    if home is not None and not any(libs.glob("*.jar")):
        progress(f"using the Kafka at {home}")
        return home / "libs"
    with exclusive(libs.parent / "install.lock"):
        found = check_folder(libs, jars)
        if found.missing:
            _fetch_missing(libs, jars, set(found.missing), progress=progress, env=env)
        return verify_jars(cache)


def kafka_home(env: Mapping[str, str] = os.environ) -> Path | None:
    """Folder of an unpacked Apache Kafka 4 that KAFKA_HOME names, or None."""
    home = env.get(ENV_KAFKA_HOME)
    if home and any(Path(home, "libs").glob("kafka_2.1*-4.*.jar")):
        return Path(home)
    return None


def overlooked_home(env: Mapping[str, str] = os.environ) -> str:
    """What is wrong with the folder of KAFKA_HOME, so that it is not used; "" if nothing is.

    That the verified jars come first, once they are installed, is nothing wrong.
    """
    if not env.get(ENV_KAFKA_HOME) or kafka_home(env) is not None:
        return ""
    return f"{ENV_KAFKA_HOME}={env[ENV_KAFKA_HOME]} holds no Apache Kafka 4 and is not used"


def _fetch_missing(
    libs: Path,
    jars: tuple[LockedJar, ...],
    missing: set[str],
    *,
    progress: Progress,
    env: Mapping[str, str],
) -> None:
    if env.get(ENV_OFFLINE, "") not in ("", "0"):
        raise Misconfigured(
            f"{len(missing)} Kafka jars are not in {libs} and {ENV_OFFLINE} forbids fetching them",
            hint=f"unset {ENV_OFFLINE}, or copy the folder from a machine that has it, "
            "or set STREAMGAUGE_BOOTSTRAP to a broker of yours",
        )
    wanted = [jar for jar in jars if jar.file_name in missing]
    progress(f"fetching {len(wanted)} Kafka jars (45 MB in all) with jgo, once ...")
    staging = libs.parent / "staging"
    shutil.rmtree(staging, ignore_errors=True)  # what an interrupted install left
    try:
        with concurrent.futures.ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            tasks = {pool.submit(_fetch, jar, staging): jar for jar in wanted}
            for done, task in enumerate(concurrent.futures.as_completed(tasks), start=1):
                try:
                    fetched = task.result()
                    _admit(fetched, tasks[task], libs)
                except (Misconfigured, Unreachable):
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
                if done % 10 == 0 or done == len(wanted):
                    progress(f"  {done} of {len(wanted)} jars, verified")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch(jar: LockedJar, staging: Path) -> Path:
    """Let jgo bring one locked artifact into the staging repository."""
    import requests
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    repositories = GlobalSettings.load().repositories
    context = MavenContext(repo_cache=staging, remote_repos=repositories or None, timeout=TIMEOUT_S)
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return Path(component.artifact().resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise Unreachable(
            f"cannot fetch Kafka jar {jar.file_name}: {reason}",
            hint="Kafka's jars are needed once: check the network or name a Maven mirror in "
            "jgo's configuration (~/.config/jgo.conf, [repositories]); "
            "or set STREAMGAUGE_BOOTSTRAP to a broker of yours",
        ) from error


def _admit(fetched: Path, jar: LockedJar, libs: Path) -> None:
    """Move a fetched jar into libs if its bytes are the lock's."""
    seen = sha256_of(fetched)
    if seen != jar.sha256:
        raise Misconfigured(
            f"Kafka jar {jar.file_name} as fetched has sha256 {seen[:16]}..., "
            f"the lock says {jar.sha256[:16]}...",
            hint="the Maven repository serves another file: use another mirror",
        )
    os.replace(fetched, libs / jar.file_name)

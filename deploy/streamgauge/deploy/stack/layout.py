"""The data folder: what lies where, which version of that it is, how an older one is migrated.

    <home>                0700, as are its folders
    <home>/layout.json    {"layout": n}
    <home>/lock           held by the process that runs a stack here
    <home>/stack.json     what runs, where (state.py)
    <home>/kafka/         the broker's folder
    <home>/store/         the embedded ClickHouse server's folder
    <home>/keys/          hmac.key (0600)
    <home>/logs/          one log per process, 10 MB x 3 at most
    <home>/rules-in-force/  copies of the rule files that the alert engine runs with

Tables and topics have versions of their own: `up` runs the store's migrations and creates topics
that are missing, so data of an older streamgauge is taken over.
"""

from __future__ import annotations

import fcntl
import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.paths import write_atomic

LAYOUT = 1
RULES_IN_FORCE = "rules-in-force"
OURS = ("layout.json", "lock", "stack.json", "kafka", "store", "keys", "logs", RULES_IN_FORCE)
"""Every entry that a stack writes into its home: all that `down --purge` removes."""


MIGRATIONS: dict[int, Callable[[Path], None]] = {}
"""From layout n to n + 1; each step can be repeated after a crash in its middle. None so far."""


def prepare_home(
    home: Path,
    *,
    layout: int = LAYOUT,
    migrations: Mapping[int, Callable[[Path], None]] = MIGRATIONS,
) -> list[int]:
    """Create the data folder or bring it to this layout; the layouts it was migrated from.

    Raises Misconfigured if the folder is of a newer version, or holds what is not ours.
    """
    stamp = home / "layout.json"
    if home.exists() and not home.is_dir():
        raise Misconfigured(
            f"data folder {home} is no folder",
            hint="name another one with --home or STREAMGAUGE_HOME",
        )
    if not home.exists() or not any(home.iterdir()):
        _create(home)
        write_atomic(stamp, json.dumps({"layout": layout}) + "\n")
        return []
    found = layout_of(home)
    if found > layout:
        raise Misconfigured(
            f"data folder {home} was written by a newer streamgauge "
            f"(layout {found}, this one knows {layout})",
            hint="install that version, or name another folder with --home",
        )
    done = []
    for version in range(found, layout):
        migrations[version](home)
        write_atomic(stamp, json.dumps({"layout": version + 1}) + "\n")
        done.append(version)
    _create(home)
    return done


def layout_of(home: Path) -> int:
    """Layout version of a folder that is not empty; Misconfigured if it is not ours."""
    try:
        return int(json.loads((home / "layout.json").read_text())["layout"])
    except FileNotFoundError:
        strangers = sorted(p.name for p in home.iterdir() if p.name not in OURS)
        if strangers:
            raise Misconfigured(
                f"{home} is not a data folder of streamgauge: it holds {strangers[0]!r}",
                hint="name an empty folder with --home or STREAMGAUGE_HOME",
            ) from None
        return 1
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            f"{home / 'layout.json'} cannot be read: {error}",
            hint=f'write {{"layout": {LAYOUT}}} into it if this version wrote the folder',
        ) from error


def _create(home: Path) -> None:
    try:
        for folder in (home, *(home / name for name in ("kafka", "store", "keys", "logs"))):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)  # prompts and answers may lie here
    except OSError as error:
        raise Misconfigured(
            f"cannot write into data folder {home}: {error.strerror}",
            hint="name another one with --home or STREAMGAUGE_HOME",
        ) from error


def hmac_key_file(home: Path) -> Path:
    """File with the key that turns user ids into pseudonyms; made if missing, mode 0600."""
    path = home / "keys" / "hmac.key"
    if not path.exists():
        write_atomic(path, secrets.token_hex(32) + "\n", mode=0o600)
    return path


def take_lock(home: Path) -> IO[str] | None:
    """The lock of the folder, to be kept open while a stack runs; None if another one has it."""
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_locked(home: Path) -> bool:
    """True while a stack runs on this folder."""
    if not (home / "lock").exists():
        return False
    file = take_lock(home)
    if file is None:
        return True
    file.close()
    return False


def purge(home: Path) -> None:
    """Remove everything of ours in the folder, and the folder if nothing else is in it."""
    for name in OURS:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(home.iterdir()):
        home.rmdir()

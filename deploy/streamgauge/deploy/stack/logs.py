"""Keeps log files of child processes small: 10 MB, and two older ones.

A child writes to a file opened for appending; when it is too big its content is copied away and
the file is cut to nothing, so the child need not know. Lines written during the copy may be lost,
and all of them if there is no room for the copy: a log must not keep a full disk full.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

CAP_BYTES = 10 * 1024 * 1024
OLDER = 2


def cap_log(path: Path, *, cap_bytes: int = CAP_BYTES, older: int = OLDER) -> bool:
    """Rotate the file if it is above the cap; True if it was. OSError if it cannot be cut."""
    try:
        if path.stat().st_size <= cap_bytes:
            return False
    except OSError:
        return False
    copy = Path(f"{path}.part")
    try:
        shutil.copyfile(path, copy)
        for n in range(older, 1, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}.{n - 1}", f"{path}.{n}")
        os.replace(copy, f"{path}.1")
    except OSError as error:
        with contextlib.suppress(OSError):
            copy.unlink(missing_ok=True)
        log.warning("%s is cut without a copy: %s", path, error)
    os.truncate(path, 0)
    return True


def last_line(path: Path) -> str:
    """The last line with text in it, of the last 8 kB; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            rows = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((row.strip() for row in reversed(rows) if row.strip()), "")


def folder_bytes(path: Path) -> int:
    """Bytes on disk of a folder's files (blocks in use, so sparse files count what they take)."""
    total = 0
    for root, _folders, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total

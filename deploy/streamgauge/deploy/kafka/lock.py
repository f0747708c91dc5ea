"""The checked-in list of jars: `jgo.lock.toml`, every jar with version and sha256.

Pure reading and comparing of files. The lock holds no repository address: where jars come from is
jgo's configuration on the user's machine.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar of the lock. sha256: lower-case hex of the file's bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name in the libs folder, the same as in a Maven repository."""
        return f"{self.artifact}-{self.version}.jar"


def read_lock(text: str | None = None) -> tuple[LockedJar, ...]:
    """The jars of a lock file's text; of the one in this package if none is given."""
    if text is None:
        text = (files(__package__ or "") / "jgo.lock.toml").read_text(encoding="utf-8")
    return tuple(
        LockedJar(d["groupId"], d["artifactId"], d["version"], d["sha256"])
        for d in tomllib.loads(text)["dependencies"]
    )


def lock_digest(jars: tuple[LockedJar, ...]) -> str:
    """12 hex digits that change when any jar of the lock changes: the name of its folder."""
    text = "\n".join(sorted(f"{j.file_name} {j.sha256}" for j in jars))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class JarCheck:
    """What differs between a folder and the lock, by file name."""

    missing: tuple[str, ...]
    differing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True if the folder holds the lock's jars and no other."""
        return not (self.missing or self.differing or self.unknown)


def check_folder(libs: Path, jars: tuple[LockedJar, ...]) -> JarCheck:
    """Compare every jar's bytes with the lock (45 MB: about 0.1 s). A missing folder is empty."""
    wanted = {jar.file_name: jar for jar in jars}
    present = {path.name for path in libs.glob("*.jar")} if libs.is_dir() else set()
    differing = [
        name
        for name in sorted(present & wanted.keys())
        if sha256_of(libs / name) != wanted[name].sha256
    ]
    return JarCheck(
        missing=tuple(sorted(wanted.keys() - present)),
        differing=tuple(differing),
        unknown=tuple(sorted(present - wanted.keys())),
    )

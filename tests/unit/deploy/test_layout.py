"""The data folder: made, migrated, refused, locked, purged; nothing of others is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamgauge.contracts.errors import Misconfigured
from streamgauge.deploy.stack.layout import (
    LAYOUT,
    hmac_key_file,
    is_locked,
    prepare_home,
    purge,
    take_lock,
)


def test_a_new_folder_gets_this_layout(tmp_path: Path) -> None:
    home = tmp_path / "new"
    assert prepare_home(home) == []
    assert json.loads((home / "layout.json").read_text()) == {"layout": LAYOUT}
    assert {p.name for p in home.iterdir()} == {"layout.json", "kafka", "store", "keys", "logs"}
    assert (home / "keys").stat().st_mode & 0o077 == 0
    assert prepare_home(home) == []


def test_an_older_folder_is_migrated_step_by_step_and_once(tmp_path: Path) -> None:
    prepare_home(tmp_path, layout=1)
    (tmp_path / "kafka" / "data").write_text("kept")
    calls: list[int] = []

    def one(home: Path) -> None:
        calls.append(1)
        (home / "kafka" / "data").rename(home / "kafka" / "moved")

    migrations = {1: one, 2: lambda _home: calls.append(2)}
    assert prepare_home(tmp_path, layout=3, migrations=migrations) == [1, 2]
    assert calls == [1, 2]
    assert (tmp_path / "kafka" / "moved").read_text() == "kept"
    assert prepare_home(tmp_path, layout=3, migrations=migrations) == []


def test_a_migration_that_failed_is_repeated_from_its_step(tmp_path: Path) -> None:
    prepare_home(tmp_path, layout=1)
    tries: list[int] = []

    def breaks_once(_home: Path) -> None:
        tries.append(2)
        if len(tries) == 1:
            raise OSError("disk full")

    migrations = {1: lambda _home: tries.clear(), 2: breaks_once}
    with pytest.raises(OSError, match="disk full"):
        prepare_home(tmp_path, layout=3, migrations=migrations)
    assert prepare_home(tmp_path, layout=3, migrations=migrations) == [2]


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    (tmp_path / "layout.json").write_text('{"layout": 99}')
    with pytest.raises(Misconfigured, match="newer streamgauge"):
        prepare_home(tmp_path)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(Misconfigured, match=r"it holds 'thesis\.tex'"):
        prepare_home(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misconfigured, match="is no folder"):
        prepare_home(tmp_path / "file")


def test_an_unreadable_stamp_is_one_clear_line(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    (tmp_path / "layout.json").write_text("{")
    with pytest.raises(Misconfigured, match=r"layout\.json cannot be read"):
        prepare_home(tmp_path)


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    path = hmac_key_file(tmp_path)
    key = path.read_text()
    assert len(key.strip()) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert hmac_key_file(tmp_path).read_text() == key


def test_one_stack_at_a_time_holds_the_folder(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    held = take_lock(tmp_path)
    assert held is not None
    assert take_lock(tmp_path) is None
    assert is_locked(tmp_path)
    held.close()
    assert not is_locked(tmp_path)


def test_purge_removes_what_is_ours_only(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    purge(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]

    home = tmp_path / "alone"
    prepare_home(home)
    purge(home)
    assert not home.exists()


def test_folders_are_for_their_owner_alone_also_where_they_were_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(home)
    home.chmod(0o755)
    (home / "store").chmod(0o755)
    prepare_home(home)
    for folder in (home, *(home / name for name in ("kafka", "store", "keys", "logs"))):
        assert folder.stat().st_mode & 0o777 == 0o700

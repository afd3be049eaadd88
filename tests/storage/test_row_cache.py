"""A cache loses rows rather than fail, and never returns a wrong one."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from muslin.storage import row_cache
from muslin.storage.row_cache import RowCache, rows_folder, shrink

KEYS = [sha256(bytes([i])).digest() for i in range(7)]
ROWS = {key: bytes([i]) * 10 * i for i, key in enumerate(KEYS)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return rows_folder()


def filled(name: str = "model") -> RowCache:
    cache = RowCache(name)
    for key, row in ROWS.items():
        cache.add(key, row)
    cache.flush()
    return cache


def found(name: str = "model") -> dict[bytes, bytes]:
    cache = RowCache(name)
    return {key: row for key in KEYS if (row := cache.get(key)) is not None}


def test_rows_are_found_at_once_and_in_the_next_process():
    cache = filled()
    assert {key: cache.get(key) for key in KEYS} == ROWS == found()
    assert cache.get(sha256(b"another").digest()) is None
    assert found("another model") == {}


def test_rows_are_found_before_they_are_written(folder):
    cache = RowCache("model")
    cache.add(KEYS[3], b"row")
    assert cache.get(KEYS[3]) == b"row"
    assert not folder.exists()


def test_rows_of_many_files_are_found(monkeypatch):
    monkeypatch.setattr(row_cache, "FILE_ROWS", 2)
    cache = filled()
    assert len(list(cache.folder.iterdir())) == 4
    assert {key: cache.get(key) for key in KEYS} == ROWS == found()


def test_no_changed_byte_returns_a_wrong_row():
    [path] = filled().folder.iterdir()
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        after = found()
        assert after.items() <= ROWS.items(), place


def test_a_file_cut_off_anywhere_returns_no_wrong_row():
    [path] = filled().folder.iterdir()
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert found().items() < ROWS.items(), size


def test_a_file_that_goes_while_a_cache_is_open_is_missed():
    cache = filled()
    for path in cache.folder.iterdir():
        path.unlink()
    assert cache.get(KEYS[1]) is None


def test_rows_of_another_cache_are_not_taken(folder):
    filled("model")
    (folder / "model").rename(folder / "another")
    assert found("another") == {}


def test_unwritable_cache_loses_rows_without_an_error(folder):
    folder.parent.mkdir()
    folder.write_bytes(b"a file where the folder should be")
    cache = filled()
    assert cache.get(KEYS[1]) is None
    shrink()


def test_a_nearly_full_disk_gets_no_rows(monkeypatch):
    monkeypatch.setattr(row_cache, "MIN_FREE_BYTES", 2**62)
    filled()
    assert found() == {}


def test_a_folder_that_others_can_write_to_is_not_used():
    folder = filled().folder
    folder.chmod(0o777)
    assert found() == {}
    filled()
    assert len(list(folder.iterdir())) == 1, "nothing was added"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, which can give files away")
def test_a_folder_of_another_user_is_not_used():
    os.chown(filled().folder, 12345, 12345)
    assert found() == {}


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: (_ for _ in ()).throw(RuntimeError("no home"))))
    assert filled().get(KEYS[1]) is None
    shrink()


def test_least_recently_used_files_go_first():
    names = ["a", "b", "c"]
    for age, name in enumerate(names):
        [path] = filled(name).folder.iterdir()
        os.utime(path, (10**9 - age, 10**9 - age))  # c is the oldest
    assert RowCache("c").get(KEYS[1]) is not None
    shrink(max_files=2)
    assert [bool(found(name)) for name in names] == [True, False, True]
    size = path.stat().st_size
    shrink(max_bytes=size)
    assert [bool(found(name)) for name in names] in ([True, False, False], [False, False, True])


def test_shrinking_is_due_after_several_files_or_some_of_many():
    cache = filled()
    assert not cache.flush(), "nothing was added"
    single = []
    for i in range(40):
        once = RowCache(f"{i}")
        once.add(KEYS[1], b"row")
        single.append(once.flush())
    assert 0 < sum(single) < 10
    due = []
    for key in KEYS[:2]:
        once.add(key, b"row")
        due.append(once.flush())
    assert due == [True, True]


def test_shrinking_removes_what_killed_processes_left():
    folder = filled().folder
    (folder / ".a.rows.0123456789abcdef.part").write_bytes(b"half")
    shrink()
    assert len(list(folder.iterdir())) == 1
    assert found() == ROWS

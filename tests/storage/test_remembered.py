"""Remembered results: found in later calls, only for equal inputs, never where an entry is damaged."""

import os
from pathlib import Path

import pytest

from muslin.storage import remembered as remembered_module
from muslin.storage.remembered import code_of, remembered, remembered_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return remembered_folder()


def test_a_result_is_made_once_per_input():
    made = [remembered(lambda new=new: new, *parts) for new, parts in [
        (b"1", (b"ab", b"c")), (b"2", (b"ab", b"c")), (b"3", (b"a", b"bc")), (b"4", (b"abc",)), (b"5", (b"abc", b"")),
    ]]  # fmt: skip
    assert made == [b"1", b"1", b"3", b"4", b"5"]


def test_an_error_is_not_remembered(folder):
    with pytest.raises(ZeroDivisionError):
        remembered(lambda: bytes(1 // 0), b"key")
    assert remembered(lambda: b"made", b"key") == b"made"


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other", "folder"])
def test_a_damaged_entry_counts_as_absent(folder, damage):
    remembered(lambda: b"content", b"key")
    remembered(lambda: b"other", b"other")
    path = next(path for path in folder.iterdir() if path.read_bytes().endswith(b"content"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    other = next(path for path in folder.iterdir() if path.read_bytes().endswith(b"other"))
    changed = {"flip": bytes(content), "cut": path.read_bytes()[:-1], "empty": b"", "other": other.read_bytes()}
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(changed[damage])
    assert remembered(lambda: b"again", b"key") == b"again"


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_others_can_write_to_is_not_used(folder):
    remembered(lambda: b"content", b"key")
    folder.chmod(0o777)
    assert remembered(lambda: b"again", b"key") == b"again"


def test_no_place_for_a_cache_fails_nothing(folder):
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")
    assert remembered(lambda: b"content", b"key") == b"content"


def test_the_least_recently_used_entries_go(folder, monkeypatch):
    monkeypatch.setattr(remembered_module, "MAX_ENTRIES", 2)
    for number, name in enumerate([b"a", b"b"]):
        remembered(lambda name=name: name, name)
        for path in folder.iterdir():
            if path.read_bytes().endswith(name):
                os.utime(path, (number, number))
    remembered(lambda: b"again", b"a")
    remembered(lambda: b"c", b"c")
    assert remembered(lambda: b"again", b"a") == b"a"
    assert len(list(folder.iterdir())) == 2
    assert remembered(lambda: b"again", b"b") == b"again"


def test_a_large_result_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(remembered_module, "MAX_ENTRY_BYTES", 3)
    remembered(lambda: b"four", b"key")
    assert not folder.exists()


def test_the_code_of_a_package_changes_with_its_file(tmp_path, monkeypatch):
    package = tmp_path / "never_imported_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "version.py").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = code_of({package.name: "version.py"})
    (package / "version.py").write_text("2")
    assert code_of({package.name: "version.py"}) != first

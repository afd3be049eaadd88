"""Atomic writes: files are complete or absent, whatever happens during a write."""

import errno
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from muslin.errors import StorageError
from muslin.storage import atomic
from muslin.storage.atomic import atomic_file, remove_partial_files, storage_errors, write_atomically


def test_a_file_and_its_folder_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_atomically(path, "Größe\r\n42 µm\n")
    assert path.read_bytes() == "Größe\r\n42 µm\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["c.txt"]


def test_an_exception_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")
    with suppress(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"half of the new")
        file.flush()
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_a_file_is_flushed_before_and_after_its_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would show: the order in which the system is asked."""
    asked: list[str] = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: (asked.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    monkeypatch.setattr(os, "replace", lambda old, new: (asked.append(f"rename to {new}"), rename(old, new)))
    write_atomically(tmp_path / "a.txt", "x" * 100_000)
    beside, renamed, folder = asked
    assert beside.endswith(".part")
    assert renamed == f"rename to {tmp_path / 'a.txt'}"
    assert folder == str(tmp_path)


WRITER = """
import itertools, sys
from muslin.storage.atomic import write_atomically
for number in itertools.count():
    write_atomically(sys.argv[1], str(number % 10) * 3_000_000)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    cut = 0
    for attempt in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout
        writer.stdout.readline()  # the first one is written
        time.sleep(0.003 * attempt)
        writer.kill()
        acknowledged = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        content = path.read_text()
        assert len(content) == 3_000_000
        assert len(set(content)) == 1
        last = int(acknowledged[-1]) if acknowledged else 0
        assert int(content[0]) in (last % 10, (last + 1) % 10)
        cut += len(list(tmp_path.iterdir())) - 1
        remove_partial_files(tmp_path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.txt"]
    assert cut > 0, "no writer was ever killed in the middle of a file, so this showed nothing"


def test_partial_files_of_a_live_process_are_kept(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.txt") as file:
        file.write(b"begun")
        remove_partial_files(tmp_path)
        file.write(b" and ended")
    assert (tmp_path / "a.txt").read_bytes() == b"begun and ended"


def test_partial_files_of_a_process_elsewhere_are_kept(tmp_path: Path) -> None:
    """In another container a process has a number that means nothing here; so only a lock tells."""
    code = f"""
import os, sys
os.getpid = lambda: 2**30
from muslin.storage.atomic import atomic_file
with atomic_file({str(tmp_path / "a.txt")!r}) as file:
    print("begun", flush=True)
    sys.stdin.readline()
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout
    writer.stdout.readline()
    remove_partial_files(tmp_path)
    writer.communicate(b"\n")
    assert writer.returncode == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_only_partial_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    digits = "0123456789abcdef"
    names = [".part", "a.part", f"a.txt.{digits}.part", ".a.txt.part", f".a.txt.{digits}.part.txt"]
    for name in [*names, f".a.txt.{digits}.part"]:
        (tmp_path / name).write_text("mine")
    remove_partial_files(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)


def test_next_write_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    for name in (".a.txt.0123456789abcdef.part", ".b.txt.0123456789abcdef.part"):
        (tmp_path / name).write_text("begun")
    write_atomically(tmp_path / "a.txt", "whole")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".b.txt.0123456789abcdef.part", "a.txt"]


def test_two_threads_do_not_write_into_the_same_file(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "a.txt"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda digit: write_atomically(path, str(digit) * 200_000), list(range(10)) * 8))
    assert len(set(path.read_text())) == 1
    assert path.stat().st_size == 200_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError) as error:
            write_atomically(path, "x" * 100_000)
        assert error.value.code == "disk_full"
        assert error.value.params["path"] == str(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EROFS, "write_denied"),
        (errno.EACCES, "write_denied"),
        (errno.ENOTDIR, "path_occupied"),
        (errno.EIO, "write_failed"),
    ],
)
def test_each_refusal_of_the_system_has_a_code(number: int, code: str) -> None:
    with pytest.raises(StorageError) as error, storage_errors(Path("x.csv")):
        raise OSError(number, os.strerror(number))
    assert error.value.code == code
    assert error.value.params == {"path": "x.csv", "reason": os.strerror(number)}


@pytest.mark.parametrize("name", ["file/below.txt", "folder", "file/deep/below.txt"])
def test_an_existing_file_or_folder_is_reported(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError) as error:
        write_atomically(tmp_path / name, "new")
    assert error.value.code == "path_occupied"
    assert (tmp_path / "file").read_text() == "in the way"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failed_check_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def check(temporary: Path) -> None:
        assert temporary.read_bytes() == b"new"
        raise ValueError

    with suppress(ValueError), atomic_file(path, check=check) as file:
        file.write(b"new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_the_cache_is_in_xdg_cache_home_or_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert atomic.cache_folder() == Path("/somewhere/muslin")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert atomic.cache_folder() == Path("/home/somebody/.cache/muslin")

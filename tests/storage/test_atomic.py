"""Files that are whole or not there, whatever happens while they are written."""

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


def test_a_folder_is_made_for_the_file_and_its_content_is_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    write_atomically(path, "Größe\r\n42 µm\n")
    assert path.read_bytes() == "Größe\r\n42 µm\n".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["c.txt"]


def test_an_exception_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")
    with suppress(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"half of the new")
        file.flush()
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_then_its_name_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_writer_killed_at_any_moment_leaves_a_whole_file_and_nothing_written_is_lost(
    tmp_path: Path,
) -> None:
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


def test_what_a_living_process_is_writing_is_no_leftover(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.txt") as file:
        file.write(b"begun")
        remove_partial_files(tmp_path)
        file.write(b" and ended")
    assert (tmp_path / "a.txt").read_bytes() == b"begun and ended"


def test_only_leftovers_are_cleared(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [".part", "a.part", f"a.txt.{dead.pid}-1.part", ".a.txt.part", f".a.txt.{dead.pid}-1.part.txt"]
    for name in [*names, f".a.txt.{dead.pid}-1.part"]:
        (tmp_path / name).write_text("mine")
    remove_partial_files(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(names)


def test_two_threads_of_one_process_do_not_write_into_each_others_file(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = tmp_path / "a.txt"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda digit: write_atomically(path, str(digit) * 200_000), list(range(10)) * 8))
    assert len(set(path.read_text())) == 1
    assert path.stat().st_size == 200_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_said_and_the_old_file_is_untouched(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"run\.json: cannot be written .*The disk is full: free some"):
            write_atomically(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "The disk is full: free some space or choose another place."),
        (errno.EDQUOT, "The disk is full: free some space or choose another place."),
        (errno.EROFS, "This place is not writable: choose another, or change its permissions."),
        (errno.EACCES, "This place is not writable: choose another, or change its permissions."),
        (errno.ENOTDIR, "A file or folder of that name is in the way: choose another place."),
        (errno.EIO, "Check that the folder exists and can be written."),
    ],
)
def test_each_refusal_of_the_system_comes_with_what_to_do(number: int, advice: str) -> None:
    with pytest.raises(StorageError) as refused, storage_errors(Path("x.csv")):
        raise OSError(number, os.strerror(number))
    assert str(refused.value) == f"x.csv: cannot be written ({os.strerror(number)}). {advice}"


@pytest.mark.parametrize("name", ["file/below.txt", "folder", "file/deep/below.txt"])
def test_a_file_or_folder_in_the_way_is_said(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="is in the way: choose another place"):
        write_atomically(tmp_path / name, "new")
    assert (tmp_path / "file").read_text() == "in the way"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_the_cache_is_where_xdg_says_or_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert atomic.cache_folder() == Path("/somewhere/muslin")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert atomic.cache_folder() == Path("/home/somebody/.cache/muslin")

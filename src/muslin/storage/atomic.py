"""Files that are either whole or not there, whatever happens while they are written."""

import errno
import glob
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from muslin.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            advice = "The disk is full: free some space or choose another place."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "This place is not writable: choose another, or change its permissions."
        elif error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            advice = "A file or folder of that name is in the way: choose another place."
        else:
            advice = "Check that the folder exists and can be written."
        raise StorageError(f"{path}: cannot be written ({error.strerror or error}). {advice}") from error


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write to that becomes `path`, flushed to the disk, when the block ends well.

    Creates the parent folder. When the block ends with an exception, what was at `path` is untouched.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.parent / f".{path.name}.{os.getpid()}-{threading.get_ident()}.part"
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to fill that becomes `path`, flushed to the disk, when the block ends well.

    What an earlier process had begun for the same `path` when it was killed is removed.

    Raises:
        StorageError: something is at `path`, the disk is full, or the place cannot be written.
    """
    path = Path(path)
    with storage_errors(path):
        if os.path.lexists(path):
            raise StorageError(f"{path}: is there already, and is not overwritten. Choose another place.")
        path.parent.mkdir(parents=True, exist_ok=True)
        for entry in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            match = LEFTOVER.fullmatch(entry.name)
            if match and os.name == "posix" and entry.is_dir() and not _lives(int(match["process"])):
                shutil.rmtree(entry, ignore_errors=True)
        beside = path.parent / f".{path.name}.{os.getpid()}-{threading.get_ident()}.part"
        beside.mkdir()
        try:
            yield beside
            if os.name == "posix":
                os.sync()  # once, where flushing a hundred thousand photos one by one would take minutes
            if os.path.lexists(path):
                raise StorageError(
                    f"{path}: came to be meanwhile, and is not overwritten. Choose another place."
                )
            os.rename(beside, path)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        _sync_folder(path.parent)


LEFTOVER = re.compile(r"\..+\.(?P<process>\d+)-\d+\.part")


def remove_partial_files(folder: Path) -> None:
    """Remove what `writing` had begun in `folder` when its process was killed. Others' work in progress stays.

    Raises:
        StorageError: the folder cannot be changed.
    """
    if os.name != "posix":  # elsewhere there is no harmless way to ask whether a process lives
        return
    with storage_errors(folder):
        for entry in folder.iterdir():
            match = LEFTOVER.fullmatch(entry.name)
            if match and not _lives(int(match["process"])):
                entry.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write `content` beside `path`, flush it to the disk, then rename: readers see the old or the new file.

    Creates the parent folder. Text is written as UTF-8 without newline translation.

    Raises:
        StorageError: the disk is full or the place cannot be written; what was at `path` is untouched.
    """
    with atomic_file(path) as file:
        # a file's name need not be UTF-8; what is not is written as JSON and Python escape it
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system lets a folder be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cache_folder() -> Path:
    """Where muslin keeps what it can obtain or measure again: `$XDG_CACHE_HOME/muslin` or `~/.cache/muslin`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muslin"

"""Atomic writes: after a crash, a kill or a full disk, a file is complete or absent, never half written."""

import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from muslin.errors import StorageError
from muslin.library_errors import reason_of


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        code = _ERROR_CODES.get(error.errno or 0, "write_failed")
        raise StorageError(code, path=str(path), reason=reason_of(error)) from error


_ERROR_CODES = {
    number: code
    for code, numbers in {
        "disk_full": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        "write_denied": (errno.EACCES, errno.EPERM, errno.EROFS),
        "path_occupied": (errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    }.items()
    for number in numbers
}


def reserve(handle: int, size: int) -> None:
    """Fill an empty file with `size` zeros, so that a full disk is known before anything else is written.

    Raises:
        OSError: the disk is full, for example.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    while size > 0:
        size -= os.write(handle, bytes(min(size, 1_000_000)))


NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
"""Flag with which the system opens no symbolic link; 0 where it has none."""


@contextmanager
def atomic_file(
    path: str | Path, check: Callable[[Path], object] | None = None, *, replace: bool = True
) -> Iterator[BinaryIO]:
    """A file to write to that becomes `path`, flushed to the disk, when the block ends without an exception.

    Creates the parent folder and removes what killed processes left of earlier attempts at the same `path`. After an
    exception, the file at `path` is unchanged. For a file that a user named, use `muslin.storage.outputs.Output`.

    Args:
        check: called with the complete temporary file before it becomes `path`; an exception keeps `path` unchanged.
        replace: whether a file that is there is replaced; otherwise it stays, and an error is raised.

    Raises:
        StorageError: the disk is full, the place cannot be written, or the file exists and is not to be replaced.
    """
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers_of(path)
        with _temporary(path, _create_file) as temporary:
            with os.fdopen(os.open(temporary, os.O_WRONLY | NO_LINKS), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if check:
                check(temporary)
            if replace:
                os.replace(temporary, path)
            else:
                _rename_to_new(temporary, path)
        sync_folder(path.parent)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Rename a file unless something is at `path`, even if it came there a moment ago."""
    try:
        os.link(temporary, path)
    except OSError:  # `path` exists, or the file system has no hard links
        check_absent(path)
        os.rename(temporary, path)
    else:
        temporary.unlink()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A new folder to fill that becomes `path`, flushed to the disk, when the block ends without an exception.

    Removes what killed processes left of earlier attempts at the same `path`.

    Raises:
        StorageError: `path` exists, the disk is full, or the place cannot be written.
    """
    path = Path(path)
    with storage_errors(path):
        check_absent(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers_of(path)
        with _temporary(path, Path.mkdir) as temporary:
            yield temporary
            if os.name == "posix":
                os.sync()  # once: flushing a hundred thousand photos one by one would take minutes
            check_absent(path)
            os.rename(temporary, path)
        sync_folder(path.parent)


def check_absent(path: Path) -> None:
    """Refuse a place that is taken.

    Raises:
        StorageError: `path` exists.
    """
    if os.path.lexists(path):
        raise StorageError("already_exists", path=str(path))


def remove_partial_files(folder: Path) -> None:
    """Remove what `atomic_file` had begun in `folder` in processes that were killed; keep files of live processes.

    Raises:
        StorageError: the folder cannot be changed.
    """
    with storage_errors(folder):
        for entry in folder.iterdir():
            if not entry.is_dir():  # `atomic_folder` removes folders
                _remove_leftover(entry)


PARTIAL_NAME = re.compile(r"\..+\.[0-9a-f]{16}\.part")


@contextmanager
def _temporary(path: Path, create: Callable[[Path], object]) -> Iterator[Path]:
    """A new temporary file or folder beside `path`, which is removed after an exception.

    It is locked, so that no other process takes it for the leftover of a killed one. A process's number would not tell:
    containers that share a folder do not see each other's processes, and their first process always is number 1.
    """
    handle = None
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
        create(temporary)
        handle = _open_locked(temporary, wait=True)
        if temporary.exists():
            break
        _close(handle)  # another process removed it as a leftover before it was locked
    try:
        yield temporary
    except BaseException:
        _remove(temporary)
        raise
    finally:
        _close(handle)


def _create_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINKS, 0o666))


def is_partial_file(entry: Path) -> bool:
    """Whether `atomic_file` or `atomic_folder` began this in a process that no longer runs."""
    with _leftover(entry) as is_leftover:
        return is_leftover


def _remove_leftovers_of(path: Path) -> None:
    for entry in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        with suppress(OSError):  # another user's, for example
            _remove_leftover(entry)


def _remove_leftover(entry: Path) -> None:
    with _leftover(entry) as is_leftover:
        if is_leftover:
            _remove(entry)


@contextmanager
def _leftover(entry: Path) -> Iterator[bool]:
    """Whether a temporary file or folder has no process that writes it, as long as the block lasts."""
    handle = None
    if PARTIAL_NAME.fullmatch(entry.name) and os.name == "posix":
        with suppress(OSError):  # a process holds the lock, or the file system has no locks
            handle = _open_locked(entry, wait=False)
    try:
        yield handle is not None
    finally:
        _close(handle)


def _open_locked(path: Path, wait: bool) -> int | None:
    """A handle that locks a file or a folder; None where the system has no such locks.

    Raises:
        OSError: without `wait`, another process holds the lock, or the file system has none.
    """
    try:
        import fcntl
    except ImportError:
        return None
    handle = None
    try:
        handle = os.open(path, os.O_RDONLY | NO_LINKS | os.O_NONBLOCK)
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if not wait:
            _close(handle)
            raise
    return handle


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write `content` to a temporary file, flush it to the disk, then rename it: readers see the old or the new file.

    Creates the parent folder. Text is written as UTF-8 without newline translation.

    Raises:
        StorageError: the disk is full or the place cannot be written; the file at `path` is unchanged.
    """
    with atomic_file(path) as file:
        # names of files need not be UTF-8; other bytes are escaped as in JSON and Python
        file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can open folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def cache_folder() -> Path:
    """The folder of files that muslin can obtain or measure again: `$XDG_CACHE_HOME/muslin` or `~/.cache/muslin`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "muslin"

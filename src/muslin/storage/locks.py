"""Locks that keep two processes from writing the same thing; the system frees them when a process ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muslin.errors import StorageError


def lock(handle: int, path: Path, code: str) -> None:
    """Lock an open file or folder for this process; `code` is the error's.

    Raises:
        StorageError: another process holds the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows locks open files itself
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StorageError(code, path=str(path)) from error


@contextmanager
def locked_folder(folder: Path, code: str) -> Iterator[None]:
    """Hold the lock of a folder during the block; nothing is written into it.

    Raises:
        StorageError: another process holds it.
    """
    if os.name == "nt":  # it cannot open folders
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, folder, code)
        yield
    finally:
        os.close(handle)

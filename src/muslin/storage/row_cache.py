"""A cache on the disk: short rows of bytes by a digest, which muslin can compute again at any time.

Rows lie some hundred in a file, in a folder for everything that they depend on. A file is whole or absent and never
changes, so several processes can use a cache at once, and a kill loses only what was not yet written. What is
damaged, cut off or another user's counts as absent, and no error of the disk reaches the caller.
"""

import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.errors import StorageError
from muslin.storage.atomic import cache_folder, remove_partial_files, write_atomically

KEY_BYTES = 32
"""Of a digest by which a row is found: SHA-256."""

CHECK_BYTES = 16
"""Of the digest before each row, by which damage is seen."""

FILE_ROWS = 500
"""Rows that are written together: the most that a kill loses."""

MAX_BYTES = 2 * 10**9
"""Of all caches of rows together; the least recently used files go first. A photo takes 5 kB for a training, 3 kB
for an audit, 0.1 kB for predictions."""

MAX_FILES = 4_000
"""As MAX_BYTES. It bounds the time and the memory in which a cache is opened."""

MIN_FREE_BYTES = 200_000_000
"""Nothing is cached on a disk with less room, which other files need."""

SUFFIX = ".rows"


def name_of_parts(*parts: object) -> str:
    """The name of a RowCache whose rows depend on `parts`, of which `repr` tells different ones apart."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class RowCache:
    """Cached rows, in files in `folder`. Thread-safe.

    A file holds the number of its rows, their keys, the offset of each row's end, then the rows, each after its check;
    numbers are little-endian uint64.

    Args:
        name: a digest, in hexadecimal, of all that a row depends on beside its key.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = rows_folder() / name
        self._unwritten: dict[bytes, bytes] = {}
        self._files: list[Path] = []
        self._used: set[Path] = set()
        self._new_files = 0
        self._prefixes = np.zeros(0, np.uint64)  # of all keys in files, rising
        self._places = np.zeros((0, 2), np.uint32)  # per prefix the file and the row in it
        self._lock = threading.Lock()
        if is_own_folder(self.folder):
            self._index(sorted(self.folder.glob(f"*{SUFFIX}")))

    def get(self, key: bytes) -> bytes | None:
        """The row with this key, or None where there is none."""
        if (row := self._unwritten.get(key)) is not None:
            return row
        prefix = _prefixes(key)[0]
        with self._lock:
            files, prefixes, places = self._files, self._prefixes, self._places
        first, last = np.searchsorted(prefixes, prefix), np.searchsorted(prefixes, prefix, side="right")
        for file, row_number in places[first:last].tolist():
            if (row := self._read(files[file], row_number, key)) is not None:
                return row
        return None

    def add(self, key: bytes, row: bytes) -> None:
        """Cache `row`, which is written to the disk with those after it, or by `flush`."""
        with self._lock:
            self._unwritten[key] = row
            is_file = len(self._unwritten) >= FILE_ROWS
        if is_file:
            self.flush()

    def flush(self) -> bool:
        """Write what was added. It is lost where the disk is full or not writable.

        Returns:
            Whether to `shrink` the caches, which looks at each of their files: after several new files, and after
            every sixteenth on average where a process writes only one, as `muslin predict` does.
        """
        with self._lock:
            if not self._unwritten:
                return False
            path = self._write(self._unwritten)
            self._unwritten = {}
            if path is None:
                return False
            self._index([path])
            self._new_files += 1
            return self._new_files > 1 or path.name.startswith("0")  # a hexadecimal digit

    def _write(self, rows: dict[bytes, bytes]) -> Path | None:
        content = self._file_content(rows)
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}{SUFFIX}"
        with suppress(OSError, StorageError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if is_own_folder(self.folder) and shutil.disk_usage(self.folder).free > MIN_FREE_BYTES + len(content):
                write_atomically(path, content)
                return path
        return None

    def _file_content(self, rows: dict[bytes, bytes]) -> bytes:
        payloads = [self._check(key, row) + row for key, row in rows.items()]
        ends = np.cumsum([len(payload) for payload in payloads], dtype="<u8")
        return b"".join([np.array(len(rows), "<u8").tobytes(), *rows, ends.tobytes(), *payloads])

    def _check(self, key: bytes, row: bytes) -> bytes:
        return hashlib.blake2b(key + row, digest_size=CHECK_BYTES, key=self.name.encode()).digest()

    def _index(self, paths: list[Path]) -> None:
        """Find the rows of these files too."""
        prefixes, places = [self._prefixes], [self._places]
        for path in paths:
            with suppress(OSError, ValueError), path.open("rb") as file:
                found = _prefixes(file.read(_row_count(file) * KEY_BYTES))
                number = np.full(len(found), len(self._files), np.uint32)
                places.append(np.stack([number, np.arange(len(found), dtype=np.uint32)], axis=1))
                prefixes.append(found)
                self._files.append(path)
        all_prefixes = np.concatenate(prefixes)
        order = np.argsort(all_prefixes, kind="stable")
        self._prefixes, self._places = all_prefixes[order], np.concatenate(places)[order]

    def _read(self, path: Path, row_number: int, key: bytes) -> bytes | None:
        """The row in its place in a file; None where the file is gone or damaged, or the key is another one."""
        with suppress(OSError, ValueError), path.open("rb") as file:
            keys_end = 8 + _row_count(file) * KEY_BYTES
            rows_start = keys_end + (keys_end - 8) // KEY_BYTES * 8
            file.seek(keys_end + max(row_number - 1, 0) * 8)
            ends = np.frombuffer(file.read(16 if row_number else 8), "<u8").tolist()
            start, end = (0, *ends)[-2:]
            if not start <= end <= os.fstat(file.fileno()).st_size - rows_start:
                return None
            file.seek(rows_start + start)
            payload = file.read(end - start)
            check, row = payload[:CHECK_BYTES], payload[CHECK_BYTES:]
            if check == self._check(key, row):
                self._touch(path)
                return row
        return None

    def _touch(self, path: Path) -> None:
        """Note on the disk that a file was used, once in this process."""
        if path not in self._used:
            self._used.add(path)
            with suppress(OSError):
                os.utime(path)


def rows_folder() -> Path:
    """The folder of all caches of rows, in muslin's cache folder; it can be removed at any time."""
    with suppress(RuntimeError):  # the user has no home
        return cache_folder() / "features"
    return Path(os.devnull) / "features"  # where nothing can be


def shrink(max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
    """Remove the least recently used files of all caches of rows until they keep these limits."""
    with suppress(OSError, StorageError):
        for folder in rows_folder().glob("*/"):
            with suppress(OSError, StorageError):
                remove_partial_files(folder)
        files = sorted(_files_by_use(), reverse=True)
        total = 0
        for number, (_, size, path) in enumerate(files):
            total += size
            if total > max_bytes or number >= max_files:
                path.unlink(missing_ok=True)


def _files_by_use() -> Iterator[tuple[float, int, Path]]:
    """Of each file the time when it was last used, its size and its path."""
    for path in rows_folder().glob("*/[!.]*"):
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                yield status.st_mtime, status.st_size, path


def _row_count(file: BinaryIO) -> int:
    """The number of rows that a file says it has; ValueError where it is too short for their keys."""
    count = int.from_bytes(file.read(8), "little")
    if not 0 < count <= os.fstat(file.fileno()).st_size // KEY_BYTES:
        raise ValueError("no file of rows")
    return count


def _prefixes(keys: bytes) -> NDArray[np.uint64]:
    """The first 8 bytes of each key, (keys,)."""
    return np.frombuffer(keys, "<u8").reshape(-1, KEY_BYTES // 8)[:, 0]


def is_own_folder(folder: Path) -> bool:
    """Whether the folder is this user's, and no other can write to it: what it holds becomes predictions."""
    with suppress(OSError):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return False
        return os.name != "posix" or (status.st_uid == os.geteuid() and not status.st_mode & stat.S_IWOTH)
    return False

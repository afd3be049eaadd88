"""Data files, plain or gzipped, with a limit on what a small gzip file can unpack to."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

from muslin.data import expansion
from muslin.data.open_cache import is_refused, refuse_again
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.storage.boundary import is_outside_data

GZIP_MAGIC = b"\x1f\x8b"

BEGINNING_BYTES = 2**20
"""Content by which a file is recognised."""


def is_gzipped(path: Path) -> bool:
    """Whether the content is gzip, by its first two bytes, not by the name."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def max_unpacked_bytes(path: Path) -> int:
    """The size of a plain file; the maximum size of the content of a gzipped one."""
    size = path.stat().st_size
    return expansion.max_content_bytes(size) if is_gzipped(path) else size


def max_lines(path: Path) -> int:
    """How many lines the content of a file may have: a plain file as many as bytes, a gzipped one fewer."""
    size = path.stat().st_size
    return expansion.max_items(size) if is_gzipped(path) else size


def open_data_file(path: Path) -> io.BufferedReader:
    """The content of `path` as a binary file, unpacked if it is gzip.

    Reading it raises DataError when the gzip data are cut off or damaged, or unpack to more than
    `max_unpacked_bytes`.

    Raises:
        DataError: the file cannot be opened, or is a link that leads out of the data set's folder.
    """
    if is_outside_data(path):
        raise DataError("data_file_outside", path=str(path))
    try:
        if not is_gzipped(path):
            return path.open("rb")
        return io.BufferedReader(_Gunzipped(path), buffer_size=2**16)
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=reason_of(error)) from error


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of the content, or fewer where it ends or is damaged before."""
    start = b""
    try:
        with open_data_file(path) as file:
            while len(start) < size and (block := file.read1(min(size - len(start), 2**16))):
                start += block
    except (DataError, OSError):
        pass  # reading the file raises it again
    return start


class _Gunzipped(io.RawIOBase):
    """gzip.GzipFile with errors a user can act on, and a limit on the content.

    What was refused once is not unpacked again: beyond its beginning, it is refused at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._max_bytes = max_unpacked_bytes(path)
        self._limit = min(self._max_bytes, BEGINNING_BYTES) if is_refused(path) else self._max_bytes
        self._read_bytes = 0
        self._file = gzip.open(path, "rb")  # noqa: SIM115 — closed by close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # read1, unlike readinto, returns the bytes before a damaged place.
            content = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            code = "gzip_cut_off" if isinstance(error, EOFError) else "gzip_damaged"
            raise DataError(code, path=str(self._path), bytes=self._read_bytes) from error
        count = len(content)
        buffer[:count] = content
        self._read_bytes += count
        if self._read_bytes > self._limit:
            refuse_again(self._path)
            raise DataError("content_too_large", path=str(self._path), max_bytes=self._max_bytes)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

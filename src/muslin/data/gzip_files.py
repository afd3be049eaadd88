"""Opening a data file that may be gzipped, without letting a small file fill the memory."""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

from muslin.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"

MAX_EXPANSION = 200
"""Times a gzip file may grow once past FREE_BYTES. Pixels grow twofold, CSVs of pixels six- to twentyfold."""

FREE_BYTES = 256 * 2**20
"""What any gzip file may grow to, however small it is."""


def is_gzipped(path: Path) -> bool:
    """Whether the content is gzip: the first two bytes say so, whatever the name says."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def expansion_limit(packed_bytes: int, free_bytes: int | None = None) -> int:
    """The most bytes that `packed_bytes` may grow to when unpacked: MAX_EXPANSION times, or `free_bytes` if more."""
    return max(FREE_BYTES if free_bytes is None else free_bytes, MAX_EXPANSION * packed_bytes)


def max_content_bytes(path: Path) -> int:
    """The size of the content if the file is plain; the most it may grow to if it is gzipped."""
    size = path.stat().st_size
    return expansion_limit(size) if is_gzipped(path) else size


def open_data_file(path: Path) -> io.BufferedReader:
    """The content of `path` as a readable binary file, gunzipped where the first two bytes ask for it.

    Reading it raises DataError when the gzip data are cut off or damaged, or grow beyond `max_bytes`.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        if not is_gzipped(path):
            return path.open("rb")
        return io.BufferedReader(_Gunzipped(path), buffer_size=2**16)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror or error}). Check the path.") from error


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of the content, or as many as can be read before the end or any damage."""
    start = b""
    try:
        with open_data_file(path) as file:
            while len(start) < size and (block := file.read1(min(size - len(start), 2**16))):
                start += block
    except (DataError, OSError):
        pass  # whoever reads on will meet it, and say so
    return start


class _Gunzipped(io.RawIOBase):
    """gzip.GzipFile with errors a user can act on and a limit on what comes out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limit = max_content_bytes(path)
        self._given = 0
        self._file = gzip.open(path, "rb")  # noqa: SIM115 — closed by close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            # read1, unlike readinto, gives what there is before it fails on what is not.
            content = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            what = "is cut off" if isinstance(error, EOFError) else "is damaged"
            raise DataError(
                f"{self._path}: the gzip file {what} after {self._given:,} bytes of content. "
                "Fetch or copy it again."
            ) from error
        count = len(content)
        buffer[:count] = content
        self._given += count
        if self._given > self._limit:
            raise DataError(
                f"{self._path}: grows beyond {self._limit:,} bytes when unpacked, which no data set of "
                f"pixels does. If it is sound, gunzip it first."
            )
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

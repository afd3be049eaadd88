"""Data files, plain or gzipped, with a limit on what a small gzip file can unpack to."""

import io
import zlib
from pathlib import Path
from typing import Any

from muslin.data import expansion
from muslin.data.open_cache import is_refused, kept_content, refuse_again
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.storage.boundary import is_outside_data

GZIP_MAGIC = b"\x1f\x8b"

BEGINNING_BYTES = 2**20
"""Content by which a file is recognised."""

PACKED_BYTES = 2**16
"""Of a gzip file, read at once."""


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
    """The content of `path` as a binary file, unpacked if it is gzip; what was kept of it is not unpacked again.

    Reading it raises DataError when the gzip data are cut off or damaged, or unpack to more than
    `max_unpacked_bytes`.

    Raises:
        DataError: the file cannot be opened, or is a link that leads out of the data set's folder.
    """
    if is_outside_data(path):
        raise DataError("data_file_outside", path=str(path))
    if (kept := kept_content(path)) is not None:
        return io.BufferedReader(io.BytesIO(kept))
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
    """The content of a gzip file, member after member, with errors a user can act on and limits on both.

    What was refused once is not unpacked again: beyond its beginning, it is refused at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._max_bytes = max_unpacked_bytes(path)
        self._limit = min(self._max_bytes, BEGINNING_BYTES) if is_refused(path) else self._max_bytes
        self._read_bytes = self._members = 0
        self._max_members = expansion.max_gzip_members(path.stat().st_size)
        self._file = path.open("rb")
        self._packed = b""
        self._member: Any = None  # a zlib decompressor within a member

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content and (self._member or self._starts_member()):
            content = self._unpack(len(buffer))
        count = len(content)
        buffer[:count] = content
        self._read_bytes += count
        if self._read_bytes > self._limit:
            refuse_again(self._path)
            raise DataError("content_too_large", path=str(self._path), max_bytes=self._max_bytes)
        return count

    def _starts_member(self) -> bool:
        """Whether another member follows; some programs write zeros behind the last one."""
        while True:
            self._packed = self._packed.lstrip(b"\0") if self._members else self._packed
            if self._packed or not (block := self._file.read(PACKED_BYTES)):
                break
            self._packed = block
        if not self._packed:
            return False
        self._members += 1
        if self._members > self._max_members:
            raise DataError("gzip_members", path=str(self._path), max_members=self._max_members)
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return True

    def _unpack(self, size: int) -> bytes:
        """At most `size` bytes of the member's content; none where more of the file is needed, or it ends."""
        if not self._packed:
            self._packed = self._file.read(PACKED_BYTES)
            if not self._packed:
                raise DataError("gzip_cut_off", path=str(self._path), bytes=self._read_bytes)
        try:
            content: bytes = self._member.decompress(self._packed, size)
        except zlib.error as error:
            raise DataError("gzip_damaged", path=str(self._path), bytes=self._read_bytes) from error
        self._packed = self._member.unconsumed_tail or self._member.unused_data
        if self._member.eof:
            self._member = None
        return content

    def close(self) -> None:
        self._file.close()
        super().close()

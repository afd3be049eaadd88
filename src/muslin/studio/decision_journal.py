"""An append-only file of what people decided: one line of JSON each, with its checksum, on the disk before it is told.

Several processes can append: each holds the file's lock and has read what the others wrote.
"""

import errno
import io
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from muslin.errors import StorageError
from muslin.storage.atomic import storage_errors, sync_folder
from muslin.storage.locks import lock
from muslin.storage.outputs import open_side_file, read_side_file
from muslin.strict_json import json_text

MAX_WAIT_S = 10.0
"""For another studio that writes; an append takes some milliseconds."""

MAX_LINE_BYTES = 64_000_000
"""Of one record. 5,000 decisions with names of 500 characters take 30 MB."""


class DecisionJournal:
    """The records of one file. Safe to use from several processes; within one, a caller's lock is needed.

    Args:
        is_record: whether what a line holds, any JSON value, is a record. Another version, or anybody, may have written
            the file.

    Attributes:
        path: the file, which need not be there.
        records: what was read or appended so far.
        damaged: how many lines before the last one cannot be read. They are passed over and stay in the file.
    """

    def __init__(self, path: Path, is_record: Callable[[Any], bool]) -> None:
        self.path = path
        self._is_record = is_record
        self.records: list[dict[str, Any]] = []
        self.damaged = 0
        self._end = 0
        self._inode = 0

    def refresh(self) -> bool:
        """Read what was appended since; whether the file is another one than before, so that all was read anew.

        Raises:
            StorageError: the file cannot be read, or is a link, a device or the like.
        """
        file = read_side_file(self.path)
        if file is None:
            return self._forget()
        with file, storage_errors(self.path):
            return self._read(file)

    @contextmanager
    def appending(self) -> Iterator["Appender"]:
        """Hold the file's lock during the block, with all records read; the file is made where there is none.

        Raises:
            StorageError: it cannot be written, is no file of this user's, or another process holds the lock too long.
        """
        is_new = not self.path.exists()
        with open_side_file(self.path) as file, storage_errors(self.path):
            self._wait_for_lock(file)
            self._read(file)
            if is_new:
                sync_folder(self.path.parent)
            yield Appender(self, file)

    def _wait_for_lock(self, file: BinaryIO) -> None:
        until = time.monotonic() + MAX_WAIT_S
        while True:
            try:
                return lock(file.fileno(), self.path, "corrections_locked")
            except StorageError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _forget(self) -> bool:
        was_read = bool(self._end)
        self.records, self.damaged, self._end, self._inode = [], 0, 0, 0
        return was_read

    def _read(self, file: BinaryIO) -> bool:
        status = os.fstat(file.fileno())
        is_other = (status.st_ino != self._inode or status.st_size < self._end) and self._forget()
        self._inode = status.st_ino
        with io.FileIO(file.fileno(), closefd=False) as raw:  # the file to append to has no buffer
            buffered = io.BufferedReader(raw)
            buffered.seek(self._end)
            for line in _whole_lines(buffered):
                record = _value_of(line)
                if self._is_record(record):
                    self.records.append(record)
                else:
                    self.damaged += 1
                self._end = buffered.tell()
        return is_other

    @property
    def size(self) -> int:
        """Of what was read or appended so far, in bytes."""
        return self._end

    def append(self, file: BinaryIO, record: dict[str, Any]) -> None:
        """Write `record` to the locked file and flush it to the disk."""
        content = json_text(record).encode(errors="backslashreplace")
        line = b"%08x %s\n" % (zlib.crc32(content), content)
        if len(line) > MAX_LINE_BYTES:  # which nobody could read again
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        try:
            file.truncate(self._end)
            file.seek(self._end)
            done = 0
            while done < len(line):
                done += file.write(line[done:])
            os.fsync(file.fileno())
        except OSError:
            file.truncate(self._end)
            raise
        self.records.append(record)
        self._end += len(line)


class Appender:
    """A journal whose lock is held."""

    def __init__(self, journal: DecisionJournal, file: BinaryIO) -> None:
        self._journal, self._file = journal, file

    def append(self, record: dict[str, Any]) -> None:
        """Write a record, JSON values; it is on the disk when this returns.

        Raises:
            OSError: the disk is full, for example; the file ends with the record before.
        """
        self._journal.append(self._file, record)


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that end; of one longer than any record its end. A last line without an end was torn by a kill or a
    full disk, and never acknowledged: the next append replaces it.
    """
    while line := file.readline(MAX_LINE_BYTES):
        if line.endswith(b"\n"):
            yield line


def _value_of(line: bytes) -> Any:
    """What a line holds; None where its checksum is another, or it is no JSON."""
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
        return None
    try:
        return json.loads(line[9:])
    except (ValueError, RecursionError):
        return None

"""An append-only file of what people decided: one line of JSON each, with its checksum, on the disk before it is told.

Several processes can append: each holds the file's lock and has read what the others wrote.
"""

import json
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from muslin.errors import StorageError
from muslin.storage.atomic import storage_errors, sync_folder
from muslin.storage.locks import lock
from muslin.storage.outputs import open_side_file
from muslin.strict_json import json_text

MAX_WAIT_S = 10.0
"""For another studio that writes; an append takes some milliseconds."""

MAX_LINE_BYTES = 10_000_000


class DecisionJournal:
    """The records of one file. Safe to use from several processes; within one, a caller's lock is needed.

    Attributes:
        path: the file, which need not be there.
        records: what was read or appended so far.
        damaged: how many lines before the last one cannot be read. They are passed over and stay in the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.damaged = 0
        self._end = 0
        self._inode = 0

    def refresh(self) -> bool:
        """Read what was appended since; whether the file is another one than before, so that all was read anew.

        Raises:
            StorageError: the file cannot be read.
        """
        with storage_errors(self.path):
            try:
                file = open(self.path, "rb")  # noqa: SIM115 — closed below
            except FileNotFoundError:
                return self._forget()
            with file:
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
        file.seek(self._end)
        for line in _whole_lines(file):
            record = _record_of(line)
            if record is None:
                self.damaged += 1
            else:
                self.records.append(record)
            self._end = file.tell()
        return is_other

    @property
    def size(self) -> int:
        """Of what was read or appended so far, in bytes."""
        return self._end

    def append(self, file: BinaryIO, record: dict[str, Any]) -> None:
        """Write `record` to the locked file and flush it to the disk."""
        content = json_text(record).encode(errors="backslashreplace")
        line = b"%08x %s\n" % (zlib.crc32(content), content)
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


def _record_of(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
        return None
    value = json.loads(line[9:])
    return value if isinstance(value, dict) else None

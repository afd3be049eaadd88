"""The journal of a tagging job: the rows so far, in a file beside the output."""

import io
import json
import os
import re
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from muslin.data.tables.cells import Row
from muslin.errors import DataError, StorageError
from muslin.storage.atomic import NO_LINKS, storage_errors
from muslin.storage.locks import lock
from muslin.storage.outputs import open_side_file

SYNC_S = 1.0
"""Seconds between two flushes to the disk: a power cut loses at most this much work, a killed process none."""

FIRST_LINE_BYTES = 2**16
TORN_FIRST_LINE = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (\{.*)?", re.DOTALL)


class Journal:
    """Blocks of rows, one line each with its checksum, so that a torn end is detected and dropped.

    Attributes:
        path: the file.
        count: rows in it.
        inputs: everything that its rows depend on, also what a resumed job may have otherwise.
    """

    def __init__(self, path: Path, inputs: Mapping[str, Any], *, resume: bool, unchecked: Collection[str] = ()) -> None:
        """Continue the journal at `path`, or start it.

        Args:
            inputs: everything that the rows depend on, by name, as JSON values.
            resume: whether to continue an existing journal.
            unchecked: names of inputs that can be others when it is continued.

        Raises:
            DataError: a journal exists, and `resume` is false or its inputs were others.
            StorageError: it cannot be written, is no file of this user's, or another process uses it.
        """
        self.path = path
        self._file = _open_journal(path)
        try:
            self.count, end, old_inputs = _read_valid_lines(self._file, path)
            if old_inputs is not None and self.count:
                if not resume:
                    raise DataError("job_not_resumed", path=str(path), count=self.count)
                names = [name for name in {**inputs, **old_inputs} if name not in unchecked]
                if changed := [name for name in names if old_inputs.get(name) != inputs.get(name)]:
                    raise DataError("job_inputs_changed", path=str(path), names=changed)
            self.inputs = old_inputs if self.count else dict(inputs)
            if old_inputs != self.inputs:
                self.count = end = 0
            self._file.truncate(end)
            self._file.seek(end)
            self._synced = 0.0
            if not end:
                self._write_line(dict(inputs))
        except BaseException:
            self._file.close()
            raise

    def add(self, rows: Sequence[Row]) -> None:
        """Append a block of rows.

        Raises:
            StorageError: the disk is full. Earlier rows stay valid.
        """
        self._write_line(rows)
        self.count += len(rows)

    def rows(self) -> Iterator[Row]:
        """All rows so far, from the first."""
        with storage_errors(self.path), os.fdopen(os.open(self.path, os.O_RDONLY | NO_LINKS), "rb") as file:
            file.readline()
            for line in file:
                yield from json.loads(line[9:])

    def remove(self) -> None:
        """Delete the file."""
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with storage_errors(self.path), self._file:
            if error is None or isinstance(error, Exception):
                os.fsync(self._file.fileno())

    def _write_line(self, value: Any) -> None:
        content = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(content), content)
        with storage_errors(self.path):
            done = 0
            while done < len(line):
                done += self._file.write(line[done:])
            if time.monotonic() - self._synced > SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()


def _open_journal(path: Path) -> BinaryIO:
    """The file at `path`, locked; opened again where another job removed it between the opening and the lock."""
    while True:
        file = open_side_file(path)
        try:
            lock(file.fileno(), path, "journal_locked")
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _read_valid_lines(file: Any, path: Path) -> tuple[int, int, Any]:
    """The number of valid rows, the byte at which they end, and the inputs (None without a valid first line)."""
    count = end = 0
    inputs: Any = None
    lines = io.BufferedReader(file)  # the file itself would be read byte by byte
    for line in lines:
        if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
            break
        value = json.loads(line[9:])
        if inputs is None:
            inputs = value
        else:
            count += len(value)
        end += len(line)
    lines.detach()
    if inputs is None:  # empty, or torn in its first line, or not a journal
        file.seek(0)
        start = file.read(FIRST_LINE_BYTES)
        if b"\n" in start or not TORN_FIRST_LINE.fullmatch(start):
            raise StorageError("not_a_journal", path=str(path))
    return count, end, inputs

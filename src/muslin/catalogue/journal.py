"""How far a tagging is: the answers so far, in a file beside the output that is to be."""

import json
import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from muslin.data.tables.cells import Row
from muslin.errors import DataError, StorageError
from muslin.storage.atomic import storage_errors

SYNC_S = 1.0
"""Seconds between two flushes to the disk. A killed process loses nothing; a power cut loses as much as this."""

FIRST_LINE_BYTES = 2**16
TORN = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} (\{.*)?", re.DOTALL)
"""The beginning of a first line."""


class Journal:
    """Blocks of rows, each a line with its checksum, so that a torn end is known as one and left out.

    Attributes:
        path: the file.
        count: rows in it.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, resume: bool) -> None:
        """Go on with what is at `path`, or begin.

        Args:
            about: everything that the answers depend on, under names that a person understands, as JSON values.
            resume: whether what was begun may be gone on with.

        Raises:
            DataError: something was begun, and `resume` is false or it was about something else.
            StorageError: it cannot be written, or another process is at it.
        """
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        try:
            _lock(self._file.fileno(), path)
            self.count, self._end, begun = _sound(self._file, path)
            if begun is not None and self.count:
                _check(path, self.count, begun, about, resume)
            if begun != about:
                self.count = self._end = 0
            self._file.truncate(self._end)
            self._file.seek(self._end)
            self._synced = 0.0
            if not self._end:
                self._write(dict(about))
        except BaseException:
            self._file.close()
            raise

    def add(self, rows: Sequence[Row]) -> None:
        """Keep a block of rows.

        Raises:
            StorageError: the disk is full. What was kept before is sound.
        """
        self._write(rows)
        self.count += len(rows)

    def rows(self) -> Iterator[Row]:
        """All rows kept so far, from the first."""
        with storage_errors(self.path), self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield from json.loads(line[9:])

    def remove(self) -> None:
        """The journal has served its purpose."""
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

    def _write(self, value: Any) -> None:
        content = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(content), content)
        with storage_errors(self.path):
            done = 0
            while done < len(line):
                done += self._file.write(line[done:])
            if time.monotonic() - self._synced > SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()


def _lock(handle: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where a second process would find the file in use in any case
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StorageError(
            f"{path}: another muslin is at work on it. Wait for it, or choose another output."
        ) from error


def _sound(file: Any, path: Path) -> tuple[int, int, Any]:
    """How many rows are sound, at which byte they end, and what they are about (None where nothing is).

    Raises:
        StorageError: the file is something else.
    """
    count = end = 0
    about: Any = None
    for line in file:
        if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(line[9:-1]):
            break
        value = json.loads(line[9:])
        if about is None:
            about = value
        else:
            count += len(value)
        end += len(line)
    if about is None:  # empty, or torn while its first line was written, or no journal
        file.seek(0)
        start = file.read(FIRST_LINE_BYTES)
        if b"\n" in start or not TORN.fullmatch(start):
            raise StorageError(
                f"{path}: is in the way and no work of muslin's. Move it, or choose another output."
            )
    return count, end, about


def _check(path: Path, count: int, begun: Any, about: Mapping[str, Any], resume: bool) -> None:
    if not resume:
        raise DataError(
            f"{path}: an interrupted job left {count:,} products tagged. Go on with --resume, or delete this file."
        )
    other = [name for name in about if begun.get(name) != about[name]]
    if other:
        raise DataError(
            f"{path}: was begun with {'another ' if len(other) == 1 else 'other '}{' and '.join(other)}. "
            "Resume with the same, or delete this file and start anew."
        )

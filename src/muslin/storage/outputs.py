"""Files that a user names to be written: new, or with `overwrite` in place of a regular file; never an input."""

import errno
import filecmp
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from muslin.errors import StorageError
from muslin.storage.atomic import NO_LINKS, atomic_file, storage_errors

NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Flag with which opening a named pipe does not wait for its other end; 0 where the system has none."""


@dataclass(frozen=True)
class Output:
    """A file to write, as a user named it.

    Attributes:
        path: where.
        overwrite: whether a regular file that is there may be replaced.
    """

    path: Path
    overwrite: bool = False

    @classmethod
    def of(cls, out: "str | Path | Output") -> "Output":
        """`out`; a path means a new file."""
        return out if isinstance(out, Output) else cls(Path(out))

    def beside(self, name: str) -> Self:
        """The file called `name` in the same folder, with the same `overwrite`."""
        return type(self)(self.path.with_name(name), self.overwrite)

    def check(self, inputs: Iterable[str | Path] = ()) -> None:
        """Refuse an output before the work starts; `open` and `write` check the place once more.

        Args:
            inputs: the files and folders that the work reads. No such file is replaced, under whatever name, and
                nothing is written into such a folder. Paths that do not exist are ignored.

        Raises:
            StorageError: the output is or lies in an input, is a folder, a link or a device, exists and is not to be
                replaced, or its folder cannot be searched or written in.
        """
        for source in inputs:
            if os.path.isdir(source):
                if self.path.parent.resolve().is_relative_to(Path(source).resolve()):
                    raise StorageError("output_in_data", path=str(self.path), name=str(source))
            elif os.path.exists(self.path) and os.path.exists(source) and os.path.samefile(self.path, source):
                raise StorageError("output_is_input", path=str(self.path), name=str(source))
        with storage_errors(self.path):
            with suppress(FileNotFoundError):
                self._check_replaceable(self.path.lstat().st_mode)
            _check_writable(next(folder for folder in self.path.absolute().parents if os.path.lexists(folder)))

    def _check_replaceable(self, mode: int) -> None:
        if stat.S_ISDIR(mode):
            raise StorageError("output_is_folder", path=str(self.path))
        if not stat.S_ISREG(mode):
            raise StorageError("output_not_regular", path=str(self.path))
        if not self.overwrite:
            raise StorageError("output_exists", path=str(self.path))

    @contextmanager
    def open(self, *, unless_same: bool = False) -> Iterator[BinaryIO]:
        """A file to write to, which gets its name when the block ends without an exception.

        Args:
            unless_same: a file that is there already with the same content is no error.

        Raises:
            StorageError: as `check`; or the disk is full, or the place cannot be written.
        """
        unless_same = unless_same and self.path.is_file()

        def check(temporary: Path) -> None:
            if not (unless_same and filecmp.cmp(temporary, self.path, shallow=False)):
                self.check()

        if not unless_same:
            self.check()
        with atomic_file(self.path, check, replace=self.overwrite or unless_same) as file:
            yield file

    def write(self, content: bytes | str) -> None:
        """Write `content`, text as UTF-8 without newline translation.

        Raises:
            StorageError: as `open`.
        """
        with self.open() as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def open_side_file(path: Path) -> BinaryIO:
    """A file of muslin's own beside an output, new or to be continued, for reading and writing without a buffer.

    Raises:
        StorageError: it is a link, a device or the like, has a second name, or belongs to another user; or the place
            cannot be written.
    """
    flags = os.O_RDWR | NO_LINKS
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _check_own_file(os.lstat(path), path)
            handle = os.open(path, flags)
            _check_own_file(os.fstat(handle), path)
        return os.fdopen(handle, "r+b", buffering=0)


def read_side_file(path: Path) -> BinaryIO | None:
    """A file that `open_side_file` made, for reading, whoever owns it; None where there is none.

    Raises:
        StorageError: it is a folder, a link, a device or the like, or cannot be read.
    """
    with storage_errors(path):
        try:
            _check_regular(os.lstat(path), path)
            handle = os.open(path, os.O_RDONLY | NO_LINKS | NO_WAIT | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            return None
        file = os.fdopen(handle, "rb")
        try:
            _check_regular(os.fstat(handle), path)
        except StorageError:
            file.close()
            raise
        return file


def _check_writable(folder: Path) -> None:
    """
    Raises:
        OSError: no file can be made in a folder that is there.
    """
    if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY
        code = errno.EROFS if is_read_only else errno.EACCES
        raise OSError(code, os.strerror(code))


def _check_regular(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise StorageError("side_file_foreign", path=str(path))


def _check_own_file(found: os.stat_result, path: Path) -> None:
    is_own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    if not (stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and is_own):
        raise StorageError("side_file_foreign", path=str(path))

"""The folder that a data set may not leave: links are resolved before one of its files is opened.

What a cell, a list or a link in a folder names can come from a stranger, so it is opened only below the folder that the
user named. A `data_boundary` block can lift that.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


class OutsideError(Exception):
    """A path leads outside its boundary."""


@dataclass(frozen=True)
class Boundary:
    """A folder, as a path without links, below which files are opened; None for no bounds."""

    folder: str | None = None

    def excludes(self, path: str | Path) -> bool:
        """Whether a path leads outside, once its links are resolved."""
        return self.folder is not None and not is_below(os.path.realpath(path), self.folder)

    def open(self, path: str | Path) -> BinaryIO:
        """Open a regular file to read.

        The path that was checked is the one that is opened, and its last part is not followed where it has become a
        link meanwhile.

        Raises:
            OutsideError: it leads outside.
            OSError: it cannot be opened, or is not a regular file.
        """
        real, flags = path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        if self.folder is not None:
            real, flags = os.path.realpath(path), flags | getattr(os, "O_NOFOLLOW", 0)
            if not is_below(real, self.folder):
                raise OutsideError(path)
        file = os.fdopen(os.open(real, flags), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a FIFO would wait, and a device not end
            file.close()
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file


UNBOUNDED = Boundary()


@dataclass(frozen=True)
class _Bounds:
    folder: Path | None = None
    allow_outside: bool = False


_NO_BOUNDS = _Bounds()

_BOUNDS: ContextVar[_Bounds] = ContextVar("bounds", default=_NO_BOUNDS)


@contextmanager
def data_boundary(path: Path, *, allow_outside: bool = False) -> Iterator[None]:
    """Keep what is read during the block below the folder `path`; a `path` to a file sets no bounds of its own.

    Args:
        path: the data that are read.
        allow_outside: lift these bounds, and those of `boundary_of`.
    """
    token = _BOUNDS.set(_Bounds(path.absolute() if path.is_dir() else None, allow_outside))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


def boundary_of(folder: Path) -> Boundary:
    """The bounds of files that are named in the data in `folder`."""
    return UNBOUNDED if _BOUNDS.get().allow_outside else Boundary(os.path.realpath(folder))


def is_outside_data(path: Path) -> bool:
    """Whether a path below the folder that is being read is a link that leads outside of it."""
    folder = _BOUNDS.get().folder
    is_named_below = folder is not None and path.absolute().is_relative_to(folder)
    return folder is not None and is_named_below and boundary_of(folder).excludes(path)


def is_below(path: str, folder: str) -> bool:
    """Whether a path begins with all of another one's parts; both are absolute."""
    return f"{path}{os.sep}".startswith(f"{folder.rstrip(os.sep)}{os.sep}")

"""Arrays on the disk that exist only as long as the process that uses them."""

import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from muslin.storage.atomic import storage_errors


class ScratchArray:
    """Rows of one shape and type in an unnamed temporary file, which is freed with the last reference. Thread-safe.

    Args:
        count: number of rows; rows never written read as zeros.
        shape: shape of a row.

    Raises:
        StorageError: the disk is full, here or in `write`.
    """

    def __init__(self, count: int, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> None:
        self.count, self.shape, self.dtype = count, shape, np.dtype(dtype)
        self._row_bytes = math.prod(shape) * self.dtype.itemsize
        with storage_errors(_FOLDER), tempfile.TemporaryFile() as file:
            self._handle = os.dup(file.fileno())
            os.truncate(self._handle, count * self._row_bytes)

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Write one row or several, from row `first` on."""
        content = np.ascontiguousarray(rows, dtype=self.dtype).tobytes()
        with storage_errors(_FOLDER):
            offset = first * self._row_bytes
            while content:  # the system can write less than asked for, for example on a nearly full disk
                written = os.pwrite(self._handle, content, offset)
                content, offset = content[written:], offset + written

    def read(self, first: int, count: int) -> NDArray[Any]:
        """A new array (count, *shape) of the rows from `first` on."""
        content = bytearray(os.pread(self._handle, count * self._row_bytes, first * self._row_bytes))
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape)

    def memmap(self) -> NDArray[Any]:
        """All rows as one array (count, *shape) on the file, for reading and writing.

        Raises:
            StorageError: the disk has no room for all rows; a write to the array cannot report it.
        """
        with storage_errors(_FOLDER):
            if hasattr(os, "posix_fallocate") and self.count:
                os.posix_fallocate(self._handle, 0, self.count * self._row_bytes)
        with open(self._handle, "r+b", closefd=False) as file:
            return np.memmap(file, dtype=self.dtype, mode="r+", shape=(self.count, *self.shape))

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)


_FOLDER = Path(tempfile.gettempdir())

"""Scratch arrays: rows on the disk, gone with the last reference."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from muslin.errors import StorageError
from muslin.storage.scratch import ScratchArray


def test_rows_are_read_back_and_others_are_zero() -> None:
    scratch = ScratchArray(5, (2, 3), np.float32)
    rows = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    scratch.write(2, rows)
    assert np.array_equal(scratch.read(2, 2), rows)
    assert not scratch.read(0, 2).any()
    row = scratch.read(3, 1)[0]
    row += 1  # a new array, not the file
    assert np.array_equal(scratch.read(3, 1)[0], rows[1])


def test_a_memmap_outlives_the_scratch_array() -> None:
    array = ScratchArray(4, (3,)).memmap()
    array[1] = 7
    assert array.tolist() == [[0] * 3, [7] * 3, [0] * 3, [0] * 3]


def test_no_file_and_no_handle_stays_behind() -> None:
    before = os.listdir("/proc/self/fd")
    scratch = ScratchArray(10, (1000,))
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    assert "deleted" in os.readlink(f"/proc/self/fd/{scratch._handle}")
    del scratch
    assert os.listdir("/proc/self/fd") == before


def test_a_full_disk_is_a_storage_error() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError) as error:
            ScratchArray(10, (1000,))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.code == "disk_full"
    assert Path(error.value.params["path"]).is_dir()

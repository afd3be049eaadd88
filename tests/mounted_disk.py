"""A small file system of a test's own, so that a full disk is a real one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def make_read_only(disk: Path) -> None:
    """Let nobody write to a mounted disk any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[Path]:
    """A new folder on a file system in memory of `size`, such as `4m`. Skips the test where nothing can be mounted."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this system lets us mount nothing: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def unwritable_folder(folder: Path) -> Iterator[Path]:
    """A new folder in which this user cannot write; for root, who may write everywhere, on a read-only disk."""
    if os.geteuid():
        folder.mkdir(mode=0o555)
        yield folder
    else:
        with mounted_disk(folder, "1m") as disk:
            make_read_only(disk)
            yield disk


@contextmanager
def disk_that_ignores_case(folder: Path) -> Iterator[Path]:
    """A new folder on an NTFS on which FOO and foo are one file. It needs `lowntfs-3g` (Debian: ntfs-3g)."""
    folder.mkdir()
    image = folder.with_suffix(".ntfs")
    with image.open("wb") as file:
        file.truncate(300_000_000)
    subprocess.run(["mkntfs", "-q", "-F", "-f", image], check=True, capture_output=True)
    mounted = subprocess.run(["lowntfs-3g", "-o", "ignore_case", image, folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this system lets us mount nothing: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)

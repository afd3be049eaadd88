"""A disk that is nearly full: a real file system where the system mounts one, else a limit on the size of files."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SIZE_MB = 64


@dataclass(frozen=True)
class SmallDisk:
    """A folder on it. `limits` are the resource limits for commands while so many bytes are free."""

    folder: Path
    mounted: bool

    def leave(self, size_bytes: int) -> Mapping[str, int]:
        """Leave only so many bytes free, or allow no larger file; the limits for commands."""
        if not self.mounted:
            return {"RLIMIT_FSIZE": size_bytes}
        self.make_room()
        space = os.statvfs(self.folder)
        (self.folder / "ballast").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - size_bytes)))
        return {}

    def make_room(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A disk mounted at `folder`, in memory. Where nothing can be mounted, the block runs without one, and the test is
    skipped after it.
    """
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(folder)]
    mounted = os.name == "posix" and subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield SmallDisk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)
    if not mounted:
        pytest.skip("passed, but without a full disk: this system lets us mount nothing")

"""A few results on the disk that take long to compute again: each in a file of its own, by a digest of its inputs.

An entry is whole or absent and never changes, so several processes can use it at once. What is damaged, cut off or
another user's counts as absent, and no error of the disk reaches the caller. For many short rows see `row_cache`.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from muslin.errors import StorageError
from muslin.storage.atomic import cache_folder, remove_partial_files, write_atomically
from muslin.storage.row_cache import MIN_FREE_BYTES, is_own_folder

MAX_ENTRIES = 50
"""The least recently used ones go first."""

MAX_ENTRY_BYTES = 16_000_000
"""Nothing larger is kept."""

_DIGEST_BYTES = 32  # SHA-256, before each entry's content


def remembered(make: Callable[[], bytes], *parts: bytes) -> bytes:
    """What `make` gives; in a later process the same bytes, without calling it.

    Args:
        make: its result depends on nothing but `parts`. An error that it raises is not remembered.
    """
    key = _digest(*parts)
    if (known := _read(key)) is not None:
        return known
    made = make()
    if len(made) <= MAX_ENTRY_BYTES:
        _write(key, made)
    return made


def code_of(files: Mapping[str, str | None]) -> bytes:
    """Digest of one file of each of several modules, none of which is imported; it tells versions apart.

    Args:
        files: by the module's name, a file beside it that has its version; None for its own.
    """
    contents = []
    for module, file in files.items():
        with suppress(OSError, ImportError):
            if (spec := find_spec(module)) and spec.origin:
                path = Path(spec.origin)
                contents.append((path.with_name(file) if file else path).read_bytes())
    return _digest(*contents)


def remembered_folder() -> Path:
    """The folder of the entries, in muslin's cache folder; it can be removed at any time."""
    with suppress(RuntimeError):  # the user has no home
        return cache_folder() / "remembered"
    return Path(os.devnull) / "remembered"  # where nothing can be


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _read(key: bytes) -> bytes | None:
    path = remembered_folder() / key.hex()
    with suppress(OSError):
        if not is_own_folder(path.parent) or path.stat().st_size > _DIGEST_BYTES + MAX_ENTRY_BYTES:
            return None
        entry = path.read_bytes()
        content = entry[_DIGEST_BYTES:]
        if entry[:_DIGEST_BYTES] == _digest(key, content):
            os.utime(path)
            return content
    return None


def _write(key: bytes, content: bytes) -> None:
    folder = remembered_folder()
    with suppress(OSError, StorageError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_own_folder(folder) and shutil.disk_usage(folder).free > MIN_FREE_BYTES + len(content):
            write_atomically(folder / key.hex(), _digest(key, content) + content)
            _shrink(folder)


def _shrink(folder: Path) -> None:
    remove_partial_files(folder)
    by_use = sorted(folder.glob("[!.]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_use[MAX_ENTRIES:]:
        path.unlink(missing_ok=True)

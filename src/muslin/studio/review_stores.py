"""The review stores that the studio serves: those in its folder, and the one that it was started with.

One `Store` is open for each, whatever the number of pages and of people.
"""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from muslin.extras import require_extra
from muslin.storage.local_path import url_of
from muslin.studio.made_once import MadeOnce
from muslin.studio.model_files import file_within, files_below

if TYPE_CHECKING:
    from muslin.review.store import Store

STORE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
TABLES = {"info", "models", "decisions"}
LISTING_S = 1.0  # seconds to wait for a store that another process writes
MAX_STORES = 100  # of a listing


@dataclass(frozen=True)
class OpenStore:
    """A store with what the studio keeps of it.

    Attributes:
        name: what the page calls it: a path below the folder, or the database without its password.
        place: a path or a URL, as `Store.open` takes it.
        is_named: whether the user named it, and not only its folder: then its photos may be anywhere.
        log_number: the number of the file of SQLite's write-ahead log; 0 where there is none.
    """

    name: str
    place: str
    store: "Store"
    is_named: bool
    log_number: int = 0


Key = tuple[str, int]
"""A store's place, and the number of its file: another file in its place is another store."""


class ReviewStores:
    """The stores of one studio. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
        served: a path or a URL of a store that the user named.
    """

    def __init__(self, root: Path, served: str | None = None) -> None:
        self._root = root
        self._served = {} if served is None else dict([_named(served, root)])
        self._open: MadeOnce[Key, OpenStore] = MadeOnce()

    def rows(self) -> dict[str, Any]:
        """What the page lists: the store that the studio was started with, and those of the folder, newest first."""
        paths = [path for path in files_below(self._root) if path.suffix.lower() in STORE_SUFFIXES and _is_store(path)]
        paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        names = [path.relative_to(self._root).as_posix() for path in paths[:MAX_STORES]]
        return {"stores": list(dict.fromkeys([*self._served, *names])), "served": next(iter(self._served), None)}

    def open_served(self) -> str:
        """Open the store that the studio was started with; its name.

        Raises:
            DataError, MissingPartError, StorageError: as `get`.
        """
        (name,) = self._served
        self.get(name)
        return name

    def get(self, name: str) -> OpenStore:
        """The store called `name`, opened once.

        Raises:
            DataError: there is no such store.
            MissingPartError: the packages for it are not installed.
            StorageError: it cannot be opened.
        """
        place = self._served.get(name) or str(file_within(self._root, name, STORE_SUFFIXES))
        is_named = place in self._served.values()
        key = place, _number(place)  # 0 of a database on a server
        for outdated in self._open.take(lambda other: other[0] == place and other != key):
            outdated.store.close()
            _remove_log(outdated)
        return self._open.get(key, lambda: _open(name, place, is_named))

    def close(self) -> None:
        """Close all stores, at the studio's end."""
        for opened in self._open.take():
            opened.store.close()


def _open(name: str, place: str, is_named: bool) -> OpenStore:
    require_extra("review")
    from muslin.review.store import Store

    store = Store.open(place)
    return OpenStore(name, place, store, is_named, _number(f"{place}-wal"))


def _remove_log(outdated: OpenStore) -> None:
    """Remove the write-ahead log of a store whose file is gone: SQLite would take it for that of the new file."""
    if outdated.log_number and outdated.log_number == _number(f"{outdated.place}-wal"):
        for end in ("-wal", "-shm"):
            Path(f"{outdated.place}{end}").unlink(missing_ok=True)


def _number(path: str) -> int:
    """The number of a file; 0 where there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _named(served: str, root: Path) -> tuple[str, str]:
    """What the page calls a store that the user named, and its place."""
    if url_of(served):
        return _without_password(served), served
    path = Path(served).resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name, str(path)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _is_store(path: Path) -> bool:
    """Whether the file is an SQLite database with the tables of a store; nothing is written."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=LISTING_S)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {name for (name,) in tables} >= TABLES
    except sqlite3.Error:
        return False

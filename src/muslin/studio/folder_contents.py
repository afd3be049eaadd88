"""What lies in the studio's folder: data sets, runs and models, newest first, without opening an image or a model.

A folder is listed again only where it has changed, so that a page can ask often.
"""

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from muslin.data.dataset_cache import local_copies
from muslin.data.part_names import is_part_name
from muslin.data.photos import PHOTO_SUFFIXES, is_hidden
from muslin.data.registry import DATASETS
from muslin.errors import DataError
from muslin.messages import Message
from muslin.models.predictor import MODEL_FILE
from muslin.studio.model_files import MAX_DEPTH, MODEL_SUFFIXES, is_utf_8

IMPORTS = "imports"
INCOMPLETE = ".incomplete"
"""What the name of a folder ends with while files are being imported into it."""

OWN_FOLDERS = frozenset({"runs", "corrections", "tagged", "audits", "reviews"})
"""Folders that the studio writes itself, directly below its own: no data of anybody's."""

IMAGE_SUFFIXES = PHOTO_SUFFIXES | {".heic", ".heif"}
"""Of images as a person sees them; the data page says which cannot be read."""

TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".parquet", ".pq", ".jsonl", ".ndjson")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
OFFERED = ("fashion-mnist", "clothing-small")

MAX_ENTRIES = 300_000  # of all folders together, which takes half a second
MAX_FOLDERS = 5_000
MAX_FILES = 2_000  # of one folder, other than images
MAX_ROWS = 200
SETTLED_S = 2.0  # a folder that changed this lately may change again within the same tick of the clock


class Folder(NamedTuple):
    """One folder: when it changed, how many images lie in it, its other files and its folders, by name."""

    modified: float
    images: int
    files: tuple[str, ...]
    folders: tuple[str, ...]


Tree = Mapping[str, Folder]
"""Folders by their path below the root, with /; the root is ""."""


class FolderContents:
    """The contents of one folder. Safe to use from several threads at once.

    Args:
        root: the studio's folder, absolute, with links resolved.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, Folder]] = {}
        self._runs: dict[str, tuple[int, dict[str, Any]]] = {}

    def rows(self) -> dict[str, Any]:
        """`data`, `runs` and `models`, each newest first and at most MAX_ROWS; `offers`: registered data sets, and
        whether they are on this computer; `is_writable`; `is_data_set`: whether the folders look like classes or
        parts of one data set; `loose_images`: how many lie directly in the folder, where no data set has them.
        """
        with self._lock:
            tree = self._tree()
            runs = [self._run_row(path) for path, folder in tree.items() if path and "run.json" in folder.files]
        data = sorted(data_rows(self._root, tree), key=lambda row: -row["modified"])
        models = [row for path, folder in tree.items() if not _in_run(tree, path) for row in self._models(path, folder)]
        return {
            "data": data[:MAX_ROWS],
            "runs": sorted(runs, key=lambda row: -row["modified"])[:MAX_ROWS],
            "models": sorted(models, key=lambda row: -row["modified"])[:MAX_ROWS],
            "offers": [_offer(name) for name in OFFERED],
            "is_writable": os.access(self._root, os.W_OK),
            "is_data_set": _is_one_data_set(tree),
            "loose_images": tree[""].images if "" in tree else 0,
        }

    def _tree(self) -> dict[str, Folder]:
        tree: dict[str, Folder] = {}
        known, level, count = self._known, [""], 0
        self._known = {}
        for _ in range(MAX_DEPTH + 1):
            below: list[str] = []
            for path in level:
                if count > MAX_ENTRIES or len(tree) >= MAX_FOLDERS:
                    return tree
                try:
                    changed = os.stat(self._root / path).st_mtime_ns
                    found = known.get(path)
                    folder = found[1] if found and found[0] == changed else _listed(self._root / path, changed)
                except OSError:
                    continue  # an unreadable folder is no reason to show nothing
                if time.time() - changed / 1e9 > SETTLED_S:
                    self._known[path] = changed, folder
                tree[path] = folder
                count += folder.images + len(folder.files)
                below += [f"{path}/{name}" if path else name for name in folder.folders]
            level = below
        return tree

    def _run_row(self, path: str) -> dict[str, Any]:
        file = self._root / path / "run.json"
        try:
            changed = file.stat().st_mtime_ns
        except OSError:
            changed = 0
        found = self._runs.get(path)
        if found is None or found[0] != changed:
            found = self._runs[path] = changed, _run_row(self._root / path, path, changed / 1e9)
        return found[1]

    def _models(self, path: str, folder: Folder) -> Iterator[dict[str, Any]]:
        for name in folder.files:
            if name.lower().endswith(MODEL_SUFFIXES):
                rows = _file_row(self._root, f"{path}/{name}" if path else name, "model")
                is_named_by_folder = path and name == MODEL_FILE
                yield from (row | {"name": path.rsplit("/", 1)[-1]} if is_named_by_folder else row for row in rows)


def _listed(path: Path, changed: int) -> Folder:
    images = 0
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if is_hidden(name) or not is_utf_8(name):
                continue
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:
                images += 1
            elif entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif len(files) < MAX_FILES and entry.is_file(follow_symlinks=False):
                files.append(name)
    return Folder(changed / 1e9, images, tuple(sorted(files)), tuple(sorted(folders)))


# ── Data sets ────────────────────────────────────────────────────────────────────────────────────────────


def data_rows(root: Path, tree: Tree) -> Iterator[dict[str, Any]]:
    """The data sets of a folder: folders of images, tables, archives and files of pixels.

    A folder is a data set where it holds images, folders that look like classes or parts, a table beside images, or
    files in MNIST's format; what lies in it is not listed again.
    """
    waiting = [""]
    while waiting:
        path = waiting.pop()
        folder = tree.get(path)
        if folder is None or "run.json" in folder.files or path.endswith(INCOMPLETE):
            continue
        if path not in ("", IMPORTS) and _is_data_set(tree, path):
            yield _row(path, "folder", folder.modified, images=_images_below(tree, path))
            continue
        for name in folder.files:
            kind = _kind_of(name)
            if kind:
                yield from _file_row(root, f"{path}/{name}" if path else name, kind)
        waiting += [child for child in _children(tree, path) if path or child not in OWN_FOLDERS]


def _is_data_set(tree: Tree, path: str) -> bool:
    folder, children = tree[path], _children(tree, path)
    if path.rpartition("/")[0] == IMPORTS and _images_below(tree, path):
        return True  # what a person dropped together is one data set
    if folder.images or any(_is_pixel_file(name) for name in folder.files) or _has_class_folders(tree, path):
        return True
    has_table, has_parts = any(map(_kind_of, folder.files)), any(is_part_name(name) for name in folder.folders)
    return (has_table or has_parts) and any(_images_below(tree, child) for child in children)


def _has_class_folders(tree: Tree, path: str) -> bool:
    return sum(bool(tree[child].images) for child in _children(tree, path) if child in tree) > 1


def _is_one_data_set(tree: Tree) -> bool:
    """Whether the studio was started in a data set: all folders hold images, as those of classes do, or are parts."""
    children = [child for child in _children(tree, "") if child in tree and child not in {*OWN_FOLDERS, IMPORTS}]
    if len(children) < 2 or not all(_images_below(tree, child) for child in children):
        return False
    return all(tree[child].images for child in children) or all(map(is_part_name, children))


def _children(tree: Tree, path: str) -> list[str]:
    return [f"{path}/{name}" if path else name for name in tree[path].folders]


def _images_below(tree: Tree, path: str) -> int:
    folder = tree.get(path)
    return folder.images + sum(_images_below(tree, child) for child in _children(tree, path)) if folder else 0


def _kind_of(name: str) -> str | None:
    lower = name.lower()
    if lower.endswith(ARCHIVE_SUFFIXES):
        return "archive"
    return "table" if lower.removesuffix(".gz").endswith(TABLE_SUFFIXES) else None


def _is_pixel_file(name: str) -> bool:
    return name.removesuffix(".gz").endswith(("-ubyte", ".idx"))


def _file_row(root: Path, path: str, kind: str) -> Iterator[dict[str, Any]]:
    """The row of a file; none where it has just been removed."""
    try:
        status = (root / path).stat()
    except OSError:
        return
    yield _row(path, kind, status.st_mtime, size=status.st_size)


def _row(
    path: str, kind: str, modified: float, *, images: int | None = None, size: int | None = None
) -> dict[str, Any]:
    return {
        "path": path,
        "name": path.rsplit("/", 1)[-1],
        "kind": kind,
        "modified": modified,
        "images": images,
        "bytes": size,
    }


def _offer(name: str) -> dict[str, Any]:
    row = DATASETS[name]
    size = re.search(r"(\d+) MB", row.size or "")
    return {"data": name, "mb": int(size[1]) if size else None, "is_at_hand": bool(local_copies(name))}


# ── Runs and models ──────────────────────────────────────────────────────────────────────────────────────


def _in_run(tree: Tree, path: str) -> bool:
    """Whether a folder is that of a run, or lies in one."""
    pieces = path.split("/")
    tops = ("/".join(pieces[:n]) for n in range(1, len(pieces) + 1))
    return any("run.json" in tree[top].files for top in tops if top in tree)


def _run_row(folder: Path, path: str, modified: float) -> dict[str, Any]:
    """What a run's record says; of one that cannot be read, the reason."""
    from muslin.workflows.run_folder import Run

    row: dict[str, Any] = {
        "path": path,
        "name": path.rsplit("/", 1)[-1],
        "modified": modified,
        "model": f"{path}/model.muslin" if (folder / "model.muslin").is_file() else None,
        "status": "unreadable",
        "recipe": None,
        "data": None,
        "test": None,
        "error": None,
    }
    try:
        record = Run(folder).record
    except DataError as error:
        return row | {"error": Message(error.code, error.hint_code, **error.params | {"path": path})}
    test = next(({"target": name, **found} for name, found in (record.get("test") or {}).items()), None)
    return row | {
        "status": record["status"],
        "recipe": record["recipe"]["name"],
        "data": record["data"]["name"],
        "test": test and {name: test.get(name) for name in ("target", "accuracy", "interval", "n")},
    }

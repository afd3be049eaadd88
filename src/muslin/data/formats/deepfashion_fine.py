"""DeepFashion's fine-grained lists: `Anno_fine/` has one file for each part and kind, joined by row number."""

from collections.abc import Iterator
from pathlib import Path

from muslin.data.dataset import Dataset
from muslin.data.formats.deepfashion import ATTRIBUTE_NAMES, CATEGORY_NAMES, Lists, read_lists, read_names
from muslin.data.formats.photo_lists import ListRow, dataset_root, list_rows
from muslin.data.formats.read_options import ReadOptions
from muslin.errors import DataError
from muslin.messages import Log, no_log

PARTS = ("train", "val", "test")
"""How the names of the parts' files begin."""

FILE_KINDS = {"category": "cate", "attributes": "attr", "boxes": "bbox"}

MAX_CATEGORIES = 50
"""Without the list of their names, categories are called 1 to 50."""


def detect(path: Path) -> str | None:
    """Why `path` is the fine-grained DeepFashion, or None: the list of a part's photos beside that of their labels."""
    folder = _annotation_folder(path)
    for part in PARTS:
        for kind in ("cate", "attr"):
            if folder.is_dir() and (folder / f"{part}.txt").is_file() and (folder / f"{part}_{kind}.txt").is_file():
                return f"DeepFashion's fine-grained lists, with {folder.name}/{part}_{kind}.txt"
    return None


def _annotation_folder(path: Path) -> Path:
    inner = path / "Anno_fine"
    return inner if inner.is_dir() else path


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The targets `category` and `attributes` and the parts, as far as their lists exist.

    Where a part has no list of a target that another part has, its labels are UNKNOWN.

    Raises:
        DataError: lists of one part differ in length, or a row is not valid.
    """
    folder = _annotation_folder(path)
    parts = [part for part in PARTS if (folder / f"{part}.txt").is_file()]
    if not parts:
        raise DataError("annotation_lists_missing", path=str(path), names=[f"Anno_fine/{part}.txt" for part in PARTS])
    photos = {part: list(list_rows(folder / f"{part}.txt", 1, header=False)) for part in parts}

    def classes(target: str) -> tuple[str, ...]:
        if target == "category" and not (folder / CATEGORY_NAMES).is_file():
            return tuple(map(str, range(1, MAX_CATEGORIES + 1)))
        return read_names(folder / (CATEGORY_NAMES if target == "category" else ATTRIBUTE_NAMES), header=False)

    def rows(kind: str, columns: int) -> Iterator[ListRow]:
        for part in parts:
            file = folder / (f"{part}.txt" if kind == "parts" else f"{part}_{FILE_KINDS[kind]}.txt")
            if kind == "parts":
                yield from (row._replace(rest=part.encode()) for row in photos[part])
            elif file.is_file():
                lines = list(list_rows(file, 1, header=False))
                if len(lines) != len(photos[part]):
                    counts = {"expected": len(photos[part]), "found": len(lines)}
                    raise DataError("list_lengths", path=str(folder / f"{part}.txt"), other=file.name, **counts)
                for photo, row in zip(photos[part], lines, strict=True):
                    yield row._replace(name=photo.name, rest=b" " + row.name.encode())
            elif kind == "boxes":
                raise DataError("box_list_missing", path=str(folder), name=file.name)

    exist = [
        t for t in ("category", "attributes") if any((folder / f"{p}_{FILE_KINDS[t]}.txt").is_file() for p in parts)
    ]
    names = [row.name for part in parts for row in photos[part]]
    lists = Lists("deepfashion-fine", dataset_root(folder), exist, classes, rows, {0: 0, 1: 1}, names)
    return read_lists(lists, options, log)

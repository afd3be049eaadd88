"""DeepFashion's Category and Attribute Prediction set: lists in `Anno/` and `Eval/`, photos in `img/`.

Each list begins with its number of rows and its columns' names. Photos have spaces in their names, so rows are split
from the right. The photos of one product share a folder, which is the group.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.formats import photo_lists
from muslin.data.formats.photo_lists import ListRow, dataset_root, list_rows
from muslin.data.formats.read_options import ReadOptions
from muslin.data.part_names import PART_NAMES
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, no_log

ANNOTATION_FOLDERS = ("Anno", "Anno_coarse", "")
"""Folders of the lists: of the first release, of the later one beside `Anno_fine`, and all in one folder."""

CATEGORY_NAMES = "list_category_cloth.txt"
ATTRIBUTE_NAMES = "list_attr_cloth.txt"
LISTS = {"category": "list_category_img.txt", "attributes": "list_attr_img.txt",
         "parts": "list_eval_partition.txt", "boxes": "list_bbox.txt"}  # fmt: skip
"""By what they give for each photo."""


@dataclass(frozen=True)
class Lists:
    """The lists of a release, for the targets `category` and `attributes` as far as they exist.

    `rows` gives the rows for a target, `parts` or `boxes`, each with the given number of cells; `flags` gives the label
    of each attribute's value. Without `photos`, those of the first target are all.
    """

    format: str
    root: Path
    targets: Sequence[str]
    classes: Callable[[str], tuple[str, ...]]
    rows: Callable[[str, int], Iterator[ListRow]]
    flags: dict[int, int]
    photos: Sequence[str] = ()


def find_list(path: Path, name: str) -> Path | None:
    """The list called `name` of the set in the folder `path`, which can also be its folder of lists; None for none."""
    if not path.is_dir() or path.name == "Anno_fine":  # which holds the fine-grained lists
        return None
    folders = ("Eval", *ANNOTATION_FOLDERS) if name == LISTS["parts"] else ANNOTATION_FOLDERS
    files = (dataset_root(path) / folder / name for folder in folders)
    return next((file for file in files if file.is_file()), None)


def detect(path: Path) -> str | None:
    """Why `path` is DeepFashion, or None: a folder with a list of labels in its place."""
    file = find_list(path, LISTS["category"]) or find_list(path, LISTS["attributes"])
    return f"DeepFashion's lists, with {file.relative_to(dataset_root(path)).as_posix()}" if file else None


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The targets `category` and `attributes` (1 yes, 0 no, UNKNOWN), as far as their lists exist.

    Classes are in the order of `list_category_cloth.txt` and `list_attr_cloth.txt`, whichever occur. The list of a
    target that is not chosen is not read: that of the attributes has a gigabyte.

    Raises:
        DataError: a list is cut off, or a row is not valid.
    """
    targets = [target for target in ("category", "attributes") if find_list(path, LISTS[target])]
    if not targets:
        names = [f"Anno/{LISTS[target]}" for target in ("category", "attributes")]
        raise DataError("annotation_lists_missing", path=str(path), names=names)

    def classes(target: str) -> tuple[str, ...]:
        name = CATEGORY_NAMES if target == "category" else ATTRIBUTE_NAMES
        return read_names(find_list(path, name) or path / name)

    def rows(kind: str, columns: int) -> Iterator[ListRow]:
        file = find_list(path, LISTS[kind])
        return list_rows(file, columns) if file else iter(())

    return read_lists(
        Lists("deepfashion", dataset_root(path), targets, classes, rows, {1: 1, -1: 0, 0: UNKNOWN}), options, log
    )


def read_lists(lists: Lists, options: ReadOptions, log: Log) -> Dataset:
    """The data set of any release.

    Raises:
        DataError: a list is missing or cut off, or a row is not valid.
    """
    photos = list(lists.photos)
    targets: list[Target] = []
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    values: NDArray[np.integer[Any]]
    fixes: list[str] = []
    for target in photo_lists.select_targets(lists.root, lists.targets, options):
        classes = lists.classes(target)
        if target == "category":
            rows = list(lists.rows(target, 2))
            names = [row.name for row in rows]
            values = np.array([_category_index(row, len(classes)) for row in rows], dtype=np.int64)
        else:
            names, values = photo_lists.read_flags(lists.rows(target, len(classes) + 1), len(classes), lists.flags, log)
        photos = photos or names
        if names != photos:
            values = _align(photos, names, values, LISTS[target], fixes)
        targets.append(Target(target, classes, "multiclass" if target == "category" else "multilabel"))
        labels[target] = values
    groups = [str(PurePosixPath(name).parent) for name in photos]
    parts = _read_parts(lists.rows("parts", 2), photos)
    boxes = list(lists.rows("boxes", 5)) if options.crop_to_boxes else None
    if boxes == []:
        raise DataError("box_list_missing", path=str(lists.root), name=LISTS["boxes"])
    listed = photo_lists.PhotoList(lists.format, lists.root, photos, tuple(targets), labels, parts, groups, boxes)
    return photo_lists.build_dataset(listed, options, fixes)


def read_names(path: Path, header: bool = True) -> tuple[str, ...]:
    """The names in a list of categories or attributes, in order; their numbers begin at 1.

    Args:
        header: whether the list must have a header; otherwise it can.

    Raises:
        DataError: there is no such list, a row is not valid, or a name is there twice.
    """
    if not path.is_file():
        raise DataError("class_list_missing", path=str(path.parent), name=path.name)
    header = header or any(row.name.isdigit() for row in islice(list_rows(path, 1, header=False), 1))
    names = tuple(row.name for row in list_rows(path, 2, header=header))
    if len(set(names)) < len(names):
        raise DataError("name_listed_twice", path=str(path), name=max(names, key=names.count))
    return names


def _category_index(row: ListRow, count: int) -> int:
    """The index of the category whose number, from 1, is the row's last cell."""
    text = row.cells[-1]
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= count):
        raise DataError("category_number", path=str(row.path), line=row.line, found=text, count=count)
    return int(text) - 1


def _align(
    photos: Sequence[str], names: Sequence[str], values: NDArray[np.integer[Any]], list_name: str, fixes: list[str]
) -> NDArray[np.integer[Any]]:
    """`values`, which are in the order of `names`, in the order of `photos`; UNKNOWN where `names` lacks one."""
    row_of = {name: i for i, name in enumerate(names)}
    rows = np.array([row_of.get(name, -1) for name in photos], dtype=np.int64)
    aligned = values[rows]
    aligned[rows < 0] = UNKNOWN
    if count := int((rows < 0).sum()):
        fixes.append(Message("photos_not_in_list", name=list_name, count=count))
    if count := len(set(names) - set(photos)):
        fixes.append(Message("list_rows_skipped", name=list_name, count=count))
    return aligned


def part_of(row: ListRow) -> str:
    """The part in a row's last cell; `query` and `gallery`, between which photos are searched, are the test part."""
    known = PART_NAMES | {"query": "test", "gallery": "test"}
    word = row.cells[-1]
    if word not in known:
        raise DataError("split_value_unknown", path=str(row.path), row=row.line, **unknown(word, known))
    return known[word]


def _read_parts(rows: Iterator[ListRow], photos: Sequence[str]) -> list[str] | None:
    path = ""
    parts = {}
    for row in rows:
        path, parts[row.name] = str(row.path), part_of(row)
    if not parts:
        return None
    if missing := sum(name not in parts for name in photos):
        raise DataError("photos_without_part", path=path, missing=missing, count=len(photos))
    return [parts[name] for name in photos]

"""DeepFashion's Category and Attribute Prediction set: lists in `Anno/` and `Eval/`, photos in `img/`.

Each list begins with its number of rows and its columns' names. Photos have spaces in their names, so rows are split
from the right. The photos of one product share a folder, which is the group.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.formats.photo_lists import Box, PhotoList, build_dataset, dataset_root, parse_flags, select_targets
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file
from muslin.data.part_names import PART_NAMES
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, no_log

ANNOTATION_FOLDERS = ("Anno", "Anno_coarse", "")
"""Folders of the lists: of the first release, of the later one beside `Anno_fine`, and all in one folder."""

CATEGORY_NAMES = "list_category_cloth.txt"
CATEGORY_LABELS = "list_category_img.txt"
ATTRIBUTE_NAMES = "list_attr_cloth.txt"
ATTRIBUTE_LABELS = "list_attr_img.txt"
BOXES = "list_bbox.txt"
PARTS_LIST = "list_eval_partition.txt"

LISTS_OF_TARGET = {"category": (CATEGORY_LABELS, CATEGORY_NAMES), "attributes": (ATTRIBUTE_LABELS, ATTRIBUTE_NAMES)}

BLOCK_ROWS = 2048
LOG_EVERY_ROWS = 20_000


def detect(path: Path) -> str | None:
    """Why `path` is DeepFashion, or None: a folder with a list of labels in its place."""
    lists = _find_lists(path)
    for name in (CATEGORY_LABELS, ATTRIBUTE_LABELS):
        if name in lists:
            return f"DeepFashion's lists, with {lists[name].relative_to(dataset_root(path)).as_posix()}"
    return None


def _find_lists(path: Path) -> dict[str, Path]:
    """The lists that exist, by name, for the set's folder or its `Anno`."""
    if not path.is_dir() or path.name == "Anno_fine":  # which holds the fine-grained lists
        return {}
    root = dataset_root(path)
    lists = {}
    for name in (CATEGORY_NAMES, CATEGORY_LABELS, ATTRIBUTE_NAMES, ATTRIBUTE_LABELS, BOXES, PARTS_LIST):
        for folder in ("Eval", *ANNOTATION_FOLDERS) if name == PARTS_LIST else ANNOTATION_FOLDERS:
            if name not in lists and (root / folder / name).is_file():
                lists[name] = root / folder / name
    return lists


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The targets `category` and `attributes` (1 yes, 0 no, UNKNOWN), as far as their lists exist.

    Classes are in the order of `list_category_cloth.txt` and `list_attr_cloth.txt`, whichever occur. The list of a
    target that is not chosen is not read: that of the attributes has a gigabyte.

    Raises:
        DataError: a list is cut off, or a row is not valid.
    """
    lists = _find_lists(path)
    available = [target for target, (labels_list, _) in LISTS_OF_TARGET.items() if labels_list in lists]
    if not available:
        names = [f"Anno/{CATEGORY_LABELS}", f"Anno/{ATTRIBUTE_LABELS}"]
        raise DataError("annotation_lists_missing", path=str(path), names=names)
    targets: list[Target] = []
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    values: NDArray[np.integer[Any]]
    photos: list[str] = []
    fixes: list[str] = []
    for target in select_targets(path, available, options):
        labels_list, names_list = (lists.get(name) for name in LISTS_OF_TARGET[target])
        if labels_list is None or names_list is None:
            missing = LISTS_OF_TARGET[target][1]
            raise DataError("class_list_missing", path=str(labels_list), name=missing)
        classes = read_names(names_list)
        if target == "category":
            rows = list(read_list(labels_list, 2))
            names = [name for _, (name, _) in rows]
            numbers = (category_index(labels_list, line, number, len(classes)) for line, (_, number) in rows)
            values = np.fromiter(numbers, dtype=np.int64, count=len(rows))
        else:
            names, values = _read_attributes(labels_list, len(classes), log)
        photos = photos or names
        if names != photos:
            values = _align(photos, names, values, labels_list, fixes)
        targets.append(new_target(target, classes))
        labels[target] = values
    parts = _read_parts(lists[PARTS_LIST], photos) if PARTS_LIST in lists else None
    boxes = None
    if options.crop_to_boxes:
        if BOXES not in lists:
            raise DataError("box_list_missing", path=str(path), name=BOXES)
        box_of = {
            name: parse_box(lists[BOXES], number, corners) for number, (name, *corners) in read_list(lists[BOXES], 5)
        }
        boxes = [box_of.get(name) for name in photos]
    listed = PhotoList("deepfashion", dataset_root(path), photos, tuple(targets), labels, parts, boxes)
    return build_dataset(listed, options, fixes)


def read_list(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Per row of a list its line's number and its cells, the first of which can hold spaces.

    Raises:
        DataError: the first line is not the number of rows, or a row has too few cells.
    """
    for number, cells, _ in _split_rows(path, columns):
        yield number, cells


def _row_count(path: Path) -> int:
    with open_data_file(path) as file:
        line = file.readline()
    if not line.strip().isdigit():
        raise DataError("list_row_count_missing", path=str(path))
    return int(line)


def _split_rows(path: Path, columns: int, raw: bool = False) -> Iterator[tuple[int, list[str], bytes]]:
    """As `read_list`, each row also with its bytes after the first cell; `raw` leaves out the other cells."""
    expected, found = _row_count(path), 0
    with open_data_file(path) as file:
        for number, line in islice(enumerate(file, 1), 2, None):
            if not line.strip():
                continue
            cells = line.rsplit(None, columns - 1)
            if len(cells) < columns:
                raise DataError("row_length", path=str(path), line=number, found=len(cells), expected=columns)
            found += 1
            try:
                texts = [cell.decode("utf-8-sig").strip() for cell in (cells[:1] if raw else cells)]
            except UnicodeDecodeError as error:
                raise DataError("line_not_utf_8", path=str(path), line=number, byte=error.start) from error
            yield number, texts, line[len(cells[0]) :]
    if expected != found:
        raise DataError("list_row_count", path=str(path), found=found, expected=expected)


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a list of categories or attributes, in order; the number of a name is its place, from 1."""
    names = tuple(cells[0] for _, cells in read_list(path, 2))
    if len(set(names)) < len(names):
        raise DataError("name_listed_twice", path=str(path), name=max(names, key=names.count))
    return names


def category_index(path: Path, line: int, text: str, count: int) -> int:
    """The index of the category whose number, from 1, is `text`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= count):
        raise DataError("category_number", path=str(path), line=line, found=text, count=count)
    return int(text) - 1


def new_target(name: str, classes: tuple[str, ...]) -> Target:
    """The target `category` or `attributes`."""
    return Target(name, classes, "multiclass" if name == "category" else "multilabel")


def _read_attributes(path: Path, columns: int, log: Log) -> tuple[list[str], NDArray[np.int8]]:
    """The names and, int8 (rows, columns), 1 yes, 0 no, UNKNOWN; the list is read in blocks, never held as text."""
    names: list[str] = []
    count = _row_count(path)
    # a gzipped list is larger than its file, but by less than the digits saved here
    if count * columns > max(200 * path.stat().st_size, 2**28):
        raise DataError("list_row_count_too_large", path=str(path), expected=count)
    values = np.empty((count, columns), dtype=np.int8)
    lines = _split_rows(path, columns + 1, raw=True)
    while block := list(islice(lines, BLOCK_ROWS)):
        start = len(names)
        names += [name for _, (name,), _ in block]
        rows = [row for _, _, row in block]
        flags = parse_flags(rows, columns)
        if flags is None:
            _, (name,), _ = next(item for item in block if parse_flags([item[2]], columns) is None)
            raise DataError("attribute_values", path=str(path), name=name, count=columns, values=[1, -1, 0])
        # 1 yes, −1 no, 0 unknown becomes 1, 0, UNKNOWN; rows beyond `count` make `lines` raise at its end
        values[start : len(names)] = np.array([UNKNOWN, 1, 0], dtype=np.int8)[flags][: max(0, count - start)]
        if len(names) // LOG_EVERY_ROWS > start // LOG_EVERY_ROWS:
            log(f"{len(names):,} of {count:,} rows read")
    return names, values


def _align(
    photos: Sequence[str], names: Sequence[str], values: NDArray[np.integer[Any]], path: Path, fixes: list[str]
) -> NDArray[np.integer[Any]]:
    """`values`, which are in the order of `names`, in the order of `photos`; UNKNOWN where `names` lacks one."""
    row_of = {name: i for i, name in enumerate(names)}
    rows = np.array([row_of.get(name, -1) for name in photos], dtype=np.int64)
    aligned = values[rows]
    aligned[rows < 0] = UNKNOWN
    if count := int((rows < 0).sum()):
        fixes.append(Message("photos_not_in_list", name=path.name, count=count))
    if count := len(set(names) - set(photos)):
        fixes.append(Message("list_rows_skipped", name=path.name, count=count))
    return aligned


def _read_parts(path: Path, photos: Sequence[str]) -> NDArray[np.object_]:
    part_of = {}
    for number, (name, word) in read_list(path, 2):
        if word not in PART_NAMES:
            raise DataError("split_value_unknown", path=str(path), row=number, **unknown(word, PART_NAMES))
        part_of[name] = PART_NAMES[word]
    if missing := sum(name not in part_of for name in photos):
        raise DataError("photos_without_part", path=str(path), missing=missing, count=len(photos))
    return np.array([part_of[name] for name in photos], dtype=object)


def parse_box(path: Path, line: int, corners: Sequence[str]) -> Box:
    """(left, top, right, bottom) in pixels from four cells of a list."""
    try:
        left, top, right, bottom = (int(float(corner)) for corner in corners)
    except (ValueError, OverflowError) as error:
        raise DataError("box_values", path=str(path), line=line, found=" ".join(corners)) from error
    return left, top, right, bottom

"""DeepFashion's Category and Attribute Prediction set: lists in `Anno/` and `Eval/`, photos in `img/`.

Every list begins with its number of rows and its columns' names. Photos have spaces in their names, so a row is split
from the right. The photos of one product share a folder, which is the group.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.formats.folders import PART_NAMES
from muslin.data.formats.gzip_files import open_data_file
from muslin.data.formats.photo_lists import Box, Listed, assembled, base_of, digits_in, wanted_targets
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.errors import DataError, nearest

TAKES = frozenset({"target", "targets", "images", "crop"})

ANNOTATIONS = ("Anno", "Anno_coarse", "")
"""Folders that hold the lists: of the first release, of the later one beside `Anno_fine`, and all in one place."""

CATEGORIES, CATEGORY, ATTRIBUTES, ATTRIBUTE, BOXES, PARTS_LIST = (
    "list_category_cloth.txt",
    "list_category_img.txt",
    "list_attr_cloth.txt",
    "list_attr_img.txt",
    "list_bbox.txt",
    "list_eval_partition.txt",
)

BLOCK_BYTES = 2**22
TOLD_EVERY = 20_000


def detect(path: Path) -> str | None:
    """Why `path` is DeepFashion, or None: a folder in which one of the two lists of photos lies in its place."""
    found = _lists(path)
    for name in (CATEGORY, ATTRIBUTE):
        if name in found:
            return f"DeepFashion's lists, with {found[name].relative_to(base_of(path)).as_posix()}"
    return None


def _lists(path: Path) -> dict[str, Path]:
    """The lists that are there, by name, for the set's folder or its `Anno`."""
    if not path.is_dir() or path.name == "Anno_fine":  # which holds the later lists
        return {}
    root = base_of(path)
    found = {}
    for name in (CATEGORIES, CATEGORY, ATTRIBUTES, ATTRIBUTE, BOXES, PARTS_LIST):
        for folder in ("Eval", *ANNOTATIONS) if name == PARTS_LIST else ANNOTATIONS:
            if name not in found and (root / folder / name).is_file():
                found[name] = root / folder / name
    return found


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """The targets `category` and `attributes` (1 yes, 0 no, UNKNOWN), as far as their lists are there.

    Classes are in the order of `list_category_cloth.txt` and `list_attr_cloth.txt`, whichever occur. A target that
    is not wanted is not read: the attributes are a gigabyte of text.

    Raises:
        DataError: a list is cut off, or a row is not what its list should hold; the message names file and row.
    """
    found = _lists(path)
    possible = {"category": (CATEGORY, CATEGORIES), "attributes": (ATTRIBUTE, ATTRIBUTES)}
    there = [name for name, (list_, _) in possible.items() if list_ in found]
    if not there:
        raise DataError(f"{path}: has no Anno/{CATEGORY} and no Anno/{ATTRIBUTE}. Name the set's own folder.")
    wanted = wanted_targets(path, there, options)
    targets: list[Target] = []
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    values: NDArray[np.integer[Any]]
    names: list[str] = []
    fixes: list[str] = []
    for target in wanted:
        rows, classes_list = possible[target]
        if classes_list not in found:
            raise DataError(
                f"{found[rows]}: has no {classes_list} beside it, which names its classes. Copy it."
            )
        classes = read_names(found[classes_list])
        if target == "category":
            theirs, values = _categories(found[rows], classes)
        else:
            theirs, values = _attributes(found[rows], len(classes), log)
        names = names or theirs
        if theirs != names:
            values = _aligned(names, theirs, values, found[rows], fixes)
        targets.append(Target(target, classes, "multiclass" if target == "category" else "multilabel"))
        labels[target] = values
    parts = _parts(found[PARTS_LIST], names, fixes) if PARTS_LIST in found else None
    boxes = None
    if options.crop:
        if BOXES not in found:
            raise DataError(f"{path}: has no {BOXES}, so there is no box to crop to. Leave out --crop.")
        boxes = _boxes(found[BOXES], names)
    listed = Listed("deepfashion", base_of(path), names, tuple(targets), labels, parts, boxes)
    return assembled(listed, options, fixes)


def rows_of(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Per row of a list its line's number and its cells, the first of which may hold spaces.

    Raises:
        DataError: the first line is no number, or not that of the rows; or a row has fewer cells.
    """
    with open_data_file(path) as file:
        count, number, found = _count(path, file.readline()), 2, 0
        file.readline()
        for line in file:
            number += 1
            text = _text(path, line, number).strip()
            if not text:
                continue
            cells = text.rsplit(None, columns - 1)
            if len(cells) < columns:
                raise DataError(
                    f"{path}: line {number:,} has {len(cells)} cells where {columns} are expected. Mend it."
                )
            found += 1
            yield number, cells
    _check_count(path, count, found)


def _count(path: Path, line: bytes) -> int:
    if not line.strip().isdigit():
        raise DataError(f"{path}: line 1 is not the number of rows, which DeepFashion's lists begin with.")
    return int(line)


def _check_count(path: Path, count: int, found: int) -> None:
    if count != found:
        raise DataError(
            f"{path}: says that it has {count:,} rows, but has {found:,}. Check that it was not cut off."
        )


def _text(path: Path, line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {number:,}, byte {error.start} is not UTF-8. Save it as UTF-8."
        ) from error


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a list of categories or attributes, in order; a name's place, from 1, is its number."""
    names = tuple(cells[0] for _, cells in rows_of(path, 2))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: {twice!r} is listed twice. Rename one.")
    return names


def category_index(path: Path, number: int, text: str, count: int) -> int:
    """The index of the category whose number, from 1, is `text`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= count):
        raise DataError(f"{path}: line {number:,} has the category {text!r}; they are 1 to {count}. Mend it.")
    return int(text) - 1


def _categories(path: Path, classes: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    names, labels = [], []
    for number, (name, label) in rows_of(path, 2):
        names.append(name)
        labels.append(category_index(path, number, label, len(classes)))
    return names, np.array(labels, dtype=np.int64)


def _attributes(path: Path, columns: int, log: Log) -> tuple[list[str], NDArray[np.int8]]:
    """The names and, int8 (rows, columns), 1 yes, 0 no, UNKNOWN, read in blocks and never held as text."""
    names: list[str] = []
    with open_data_file(path) as file:
        count = _count(path, file.readline())
        file.readline()
        most = path.stat().st_size  # gzipped lists are larger, but then by less than the digits saved here
        if count * columns > max(200 * most, 2**28):
            raise DataError(
                f"{path}: says that it has {count:,} rows, far more than its size allows. Copy it again."
            )
        values = np.empty((count, columns), dtype=np.int8)
        rest, number = b"", 3
        while block := file.read(BLOCK_BYTES):
            text, newline, rest_of_it = (rest + block).rpartition(b"\n")
            rest = rest_of_it
            if not newline:
                continue
            number = _attribute_block(path, text, number, names, values, log)
        _attribute_block(path, rest, number, names, values, log)
    _check_count(path, count, len(names))
    return names, values


def _attribute_block(
    path: Path, text: bytes, number: int, names: list[str], values: NDArray[np.int8], log: Log
) -> int:
    """Adds what whole lines say; gives the next line's number."""
    columns = values.shape[1]
    lines = text.split(b"\n")
    kept: list[bytes] = []
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        name, flags = _divided(line, columns)
        if name is None:
            raise DataError(
                f"{path}: line {number + place:,} has not a name and {columns:,} values. Check that it was not cut off."
            )
        names.append(_text(path, name, number + place).strip())
        kept.append(flags)
    if not kept:
        return number + len(lines)
    start = len(names) - len(kept)
    if len(names) > len(values):
        raise DataError(f"{path}: has more rows than the {len(values):,} it says. Check its first line.")
    found = digits_in(kept, columns)
    if found is None:
        wrong = next(place for place, flags in enumerate(kept) if digits_in([flags], columns) is None)
        raise DataError(
            f"{path}: the row of {names[start + wrong]!r} has not {columns:,} values of 1, -1 and 0. Mend it."
        )
    # 1 yes, −1 no, 0 unknown becomes 1, 0, UNKNOWN.
    values[start : len(names)] = np.array([UNKNOWN, 1, 0], dtype=np.int8)[found]
    if len(names) // TOLD_EVERY > start // TOLD_EVERY:
        log(f"{len(names):,} of {len(values):,} rows read")
    return number + len(lines)


def _divided(line: bytes, columns: int) -> tuple[bytes | None, bytes]:
    """A row's name and its values; None where there are fewer values."""
    cells = line.rsplit(None, columns)
    if len(cells) <= columns:
        return None, b""
    return cells[0], line[len(cells[0]) :]


def _aligned(
    names: Sequence[str],
    theirs: Sequence[str],
    values: NDArray[np.integer[Any]],
    path: Path,
    fixes: list[str],
) -> NDArray[np.integer[Any]]:
    """`values` in the order of `names`; UNKNOWN where `theirs` lacks one."""
    place = {name: i for i, name in enumerate(theirs)}
    rows = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    with_thresholds = values[rows]
    with_thresholds[rows < 0] = UNKNOWN
    if lacking := int((rows < 0).sum()):
        fixes.append(f"photos that {path.name} lacks, taken as unknown there: {lacking:,}")
    if others := len(set(theirs) - set(names)):
        fixes.append(f"rows of {path.name} whose photo no other list has passed over: {others:,}")
    return with_thresholds


def _parts(path: Path, names: Sequence[str], fixes: list[str]) -> NDArray[np.object_]:
    part_of = {}
    for number, (name, word) in rows_of(path, 2):
        if word not in PART_NAMES:
            raise DataError(f"{path}: line {number:,} has the part {word!r}. {nearest(word, PART_NAMES)}")
        part_of[name] = PART_NAMES[word]
    if lacking := sum(name not in part_of for name in names):
        raise DataError(f"{path}: lacks {lacking:,} of {len(names):,} photos. Check that it was not cut off.")
    return np.array([part_of[name] for name in names], dtype=object)


def _boxes(path: Path, names: Sequence[str]) -> list[Box | None]:
    box_of: dict[str, Box] = {}
    for number, (name, *corners) in rows_of(path, 5):
        box_of[name] = box_from(path, number, corners)
    return [box_of.get(name) for name in names]


def box_from(path: Path, number: int, corners: Sequence[str]) -> Box:
    """(left, top, right, bottom) in pixels from four cells of a list."""
    try:
        left, top, right, bottom = (int(float(corner)) for corner in corners)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: line {number:,} is no box of four numbers. Mend it.") from error
    return left, top, right, bottom

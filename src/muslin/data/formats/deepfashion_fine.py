"""DeepFashion's later, fine-grained lists: `Anno_fine/`, a file a part and a kind, joined by row number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target
from muslin.data.formats.deepfashion import ATTRIBUTES, CATEGORIES, box_from, category_index, read_names
from muslin.data.formats.gzip_files import open_data_file
from muslin.data.formats.photo_lists import Box, Listed, assembled, base_of, digits_in, wanted_targets
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.errors import DataError

TAKES = frozenset({"target", "targets", "images", "crop"})

FILES = {"train": "train", "validation": "val", "test": "test"}
"""Per part, how its files' names begin."""

MOST_CATEGORIES = 50
"""Without the list of their names, categories are called 1 to 50."""


def detect(path: Path) -> str | None:
    """Why `path` is the fine-grained DeepFashion, or None: a part's photos and labels, listed side by side."""
    folder = _folder(path)
    for part in FILES.values():
        for kind in ("cate", "attr"):
            if folder and (folder / f"{part}.txt").is_file() and (folder / f"{part}_{kind}.txt").is_file():
                return f"DeepFashion's fine-grained lists, with {folder.name}/{part}_{kind}.txt"
    return None


def _folder(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    inner = path / "Anno_fine"
    return inner if inner.is_dir() else path


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """The targets `category` and `attributes`, as far as their lists are there, and the parts that are.

    Where a part has no list of a target that another has, its labels are UNKNOWN.

    Raises:
        DataError: lists of one part differ in length, or a row is not what it should be; the message names both.
    """
    folder = _folder(path)
    names: list[str] = []
    parts: list[str] = []
    boxes: list[Box | None] = []
    columns: dict[str, list[Any]] = {"category": [], "attributes": []}
    there = [part for part in PARTS if folder and (folder / f"{FILES[part]}.txt").is_file()]
    if folder is None or not there:
        raise DataError(
            f"{path}: has no Anno_fine/train.txt, val.txt or test.txt. Name the set's own folder."
        )
    kinds = {"category": "cate", "attributes": "attr"}
    possible = [
        target for target, kind in kinds.items()
        if any((folder / f"{FILES[part]}_{kind}.txt").is_file() for part in there)
    ]  # fmt: skip
    wanted = wanted_targets(path, possible, options)
    classes = {
        "category": _names(folder / CATEGORIES, tuple(str(i) for i in range(1, MOST_CATEGORIES + 1))),
        "attributes": _names(folder / ATTRIBUTES, None) if "attributes" in wanted else (),
    }
    for part in there:
        log(f"reading the {part} lists")
        photos = [line for _, line in _lines(folder / f"{FILES[part]}.txt")]
        names += photos
        parts += [part] * len(photos)
        for target in wanted:
            width = len(classes[target])
            list_ = folder / f"{FILES[part]}_{kinds[target]}.txt"
            unknown: NDArray[np.integer[Any]] = np.full(
                (len(photos), width) if target == "attributes" else len(photos), UNKNOWN, dtype=np.int8
            )
            reader: Callable[[Path, int], NDArray[np.integer[Any]]] = (
                _attributes if target == "attributes" else _categories
            )
            values = reader(list_, width) if list_.is_file() else unknown
            _check_lengths(folder / f"{FILES[part]}.txt", len(photos), list_, len(values))
            columns[target].append(values)
        if options.crop:
            list_ = folder / f"{FILES[part]}_bbox.txt"
            if not list_.is_file():
                raise DataError(f"{list_}: is not there, so there is no box to crop to. Leave out --crop.")
            found = [box_from(list_, number, line.split()) for number, line in _lines(list_)]
            _check_lengths(folder / f"{FILES[part]}.txt", len(photos), list_, len(found))
            boxes += found
    labels: dict[str, NDArray[np.integer[Any]]] = {
        target: np.concatenate(columns[target], dtype=np.int64 if target == "category" else np.int8)
        for target in wanted
    }
    targets = tuple(
        Target(target, classes[target], "multiclass" if target == "category" else "multilabel")
        for target in wanted
    )
    listed = Listed(
        "deepfashion-fine", base_of(folder), names, targets, labels, np.array(parts, dtype=object),
        boxes if options.crop else None,
    )  # fmt: skip
    return assembled(listed, options, ())


def _names(path: Path, usual: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names in a list with or without a header; `usual` where it is not there."""
    if not path.is_file():
        if usual is None:
            raise DataError(f"{path}: is not there, though it names the attributes. Copy it.")
        return usual
    lines = _lines(path)
    if lines and lines[0][1].isdigit():
        return read_names(path)
    return tuple(line.rsplit(None, 1)[0] for _, line in lines)


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, each with its number."""
    with open_data_file(path) as file:
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: byte {error.start:,} is not UTF-8. Save it as UTF-8.") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _categories(path: Path, count: int) -> NDArray[np.int64]:
    return np.array([category_index(path, n, line, count) for n, line in _lines(path)], dtype=np.int64)


def _attributes(path: Path, columns: int) -> NDArray[np.int8]:
    lines = _lines(path)
    for number, line in lines:
        values = digits_in([b" " + line.encode()], columns)
        if values is None or values.min() < 0:
            raise DataError(f"{path}: line {number:,} has not {columns} values of 0 and 1. Mend it.")
    found = digits_in([b" " + line.encode() for _, line in lines], columns)
    return found if found is not None else np.empty((0, columns), dtype=np.int8)


def _check_lengths(first: Path, count: int, second: Path, found: int) -> None:
    if count != found:
        raise DataError(
            f"{first} has {count:,} rows, but {second.name} has {found:,}. They belong together row by row."
        )

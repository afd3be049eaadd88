"""DeepFashion's fine-grained lists: `Anno_fine/` has one file for each part and kind, joined by row number."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset
from muslin.data.formats.deepfashion import (
    ATTRIBUTE_NAMES,
    CATEGORY_NAMES,
    category_index,
    new_target,
    parse_box,
    read_names,
)
from muslin.data.formats.photo_lists import Box, PhotoList, build_dataset, dataset_root, parse_flags, select_targets
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file
from muslin.errors import DataError
from muslin.messages import Log, no_log

FILE_PREFIXES = {"train": "train", "validation": "val", "test": "test"}
"""Per part, how the names of its files begin."""

FILE_KINDS = {"category": "cate", "attributes": "attr"}

MAX_CATEGORIES = 50
"""Without the list of their names, categories are called 1 to 50."""


def detect(path: Path) -> str | None:
    """Why `path` is the fine-grained DeepFashion, or None: the list of a part's photos beside that of their labels."""
    folder = _annotation_folder(path)
    for part in FILE_PREFIXES.values():
        for kind in FILE_KINDS.values():
            if folder and (folder / f"{part}.txt").is_file() and (folder / f"{part}_{kind}.txt").is_file():
                return f"DeepFashion's fine-grained lists, with {folder.name}/{part}_{kind}.txt"
    return None


def _annotation_folder(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    inner = path / "Anno_fine"
    return inner if inner.is_dir() else path


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The targets `category` and `attributes` and the parts, as far as their lists exist.

    Where a part has no list of a target that another part has, its labels are UNKNOWN.

    Raises:
        DataError: lists of one part differ in length, or a row is not valid.
    """
    folder = _annotation_folder(path) or path
    available_parts = [part for part in PARTS if (folder / f"{FILE_PREFIXES[part]}.txt").is_file()]
    if not available_parts:
        names = [f"Anno_fine/{prefix}.txt" for prefix in FILE_PREFIXES.values()]
        raise DataError("annotation_lists_missing", path=str(path), names=names)
    available = [
        target for target, kind in FILE_KINDS.items()
        if any((folder / f"{FILE_PREFIXES[part]}_{kind}.txt").is_file() for part in available_parts)
    ]  # fmt: skip
    chosen = select_targets(path, available, options)
    classes = {"category": tuple(map(str, range(1, MAX_CATEGORIES + 1))), "attributes": ()}
    if (folder / CATEGORY_NAMES).is_file():
        classes["category"] = _read_class_names(folder / CATEGORY_NAMES)
    if "attributes" in chosen:
        classes["attributes"] = _read_class_names(folder / ATTRIBUTE_NAMES)
    photos: list[str] = []
    parts: list[str] = []
    boxes: list[Box | None] = []
    blocks: dict[str, list[NDArray[np.integer[Any]]]] = {target: [] for target in chosen}
    for part in available_parts:
        log(f"reading the {part} lists")
        list_path = folder / f"{FILE_PREFIXES[part]}.txt"
        names = [line for _, line in _filled_lines(list_path)]
        photos += names
        parts += [part] * len(names)
        for target in chosen:
            file = folder / f"{FILE_PREFIXES[part]}_{FILE_KINDS[target]}.txt"
            blocks[target].append(_read_labels(file, target, len(classes[target]), len(names)))
            _check_lengths(list_path, len(names), file, len(blocks[target][-1]))
        if options.crop_to_boxes:
            file = folder / f"{FILE_PREFIXES[part]}_bbox.txt"
            if not file.is_file():
                raise DataError("box_list_missing", path=str(folder), name=file.name)
            part_boxes = [parse_box(file, line, text.split()) for line, text in _filled_lines(file)]
            _check_lengths(list_path, len(names), file, len(part_boxes))
            boxes += part_boxes
    listed = PhotoList(
        "deepfashion-fine",
        dataset_root(folder),
        photos,
        tuple(new_target(target, classes[target]) for target in chosen),
        {
            target: np.concatenate(arrays, dtype=np.int64 if target == "category" else np.int8)
            for target, arrays in blocks.items()
        },
        np.array(parts, dtype=object),
        boxes if options.crop_to_boxes else None,
    )
    return build_dataset(listed, options, ())


def _read_class_names(path: Path) -> tuple[str, ...]:
    """The names in a list with or without a header."""
    if not path.is_file():
        raise DataError("class_list_missing", path=str(path.parent), name=path.name)
    lines = _filled_lines(path)
    if lines and lines[0][1].isdigit():
        return read_names(path)
    return tuple(line.rsplit(None, 1)[0] for _, line in lines)


def _filled_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, each with its number."""
    with open_data_file(path) as file:
        try:
            text = file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError("text_encoding", path=str(path), byte=error.start, tried=["UTF-8"]) from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _read_labels(path: Path, target: str, count: int, rows: int) -> NDArray[np.integer[Any]]:
    """The labels of a part, of `count` classes; UNKNOWN for all its `rows` where there is no list."""
    multilabel = target == "attributes"
    if not path.is_file():
        return np.full((rows, count) if multilabel else rows, UNKNOWN, dtype=np.int8)
    lines = _filled_lines(path)
    if not multilabel:
        return np.array([category_index(path, number, line, count) for number, line in lines], dtype=np.int64)
    labels = [np.empty((0, count), dtype=np.int8)]
    for number, line in lines:
        flags = parse_flags([b" " + line.encode()], count)
        if flags is None or flags.min() < 0:
            raise DataError("attribute_values", path=str(path), line=number, count=count, values=[0, 1])
        labels.append(flags)
    return np.concatenate(labels)


def _check_lengths(first: Path, count: int, second: Path, found: int) -> None:
    if count != found:
        raise DataError("list_lengths", path=str(first), other=second.name, expected=count, found=found)

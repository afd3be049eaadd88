"""iMaterialist (Fashion) 2018: `train.json` with images and their labels' ids, photos `<imageId>.jpg` beside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target, sorted_classes
from muslin.data.formats.folders import PART_NAMES
from muslin.data.formats.gzip_files import open_data_file, read_head
from muslin.data.formats.photo_lists import Listed, assembled
from muslin.data.formats.read_options import Log, ReadOptions, silent
from muslin.errors import DataError

TAKES = frozenset({"images"})

CLASSES = tuple(str(number) for number in range(1, 229))
"""The competition's label ids; all of them are classes, whichever a file happens to have."""


def detect(path: Path) -> str | None:
    """Why `path` is iMaterialist's, or None: a JSON file of images with an imageId, or a folder with train.json."""
    for file in _files(path).values():
        start = read_head(file, 2**16).lstrip(b"\xef\xbb\xbf \t\r\n")
        lists = (
            b'"images"' in start or b'"annotations"' in start
        )  # a row of JSON Lines may have an imageId too
        if start.startswith(b"{") and lists and b'"imageId"' in start:
            return (
                f"iMaterialist's {file.name}"
                if path.is_dir()
                else "images and labels as iMaterialist has them"
            )
    return None


def _files(path: Path) -> dict[str, Path]:
    """Per part its file; the part of a single file is as it is called, or empty."""
    if path.is_file():
        return {PART_NAMES.get(path.stem.lower(), ""): path}
    if not path.is_dir():
        return {}
    found = {PART_NAMES.get(file.stem.lower(), ""): file for file in sorted(path.glob("*.json"))}
    return {part: found[part] for part in PARTS if part in found}


def read(path: Path, options: ReadOptions, log: Log = silent) -> Dataset:
    """The multilabel target `label`; an image without an annotation is UNKNOWN. URLs are never fetched.

    Raises:
        DataError: a file is no such JSON, or an annotation is of an image that is not listed.
    """
    files = _files(path)
    if not files:
        raise DataError(f"{path}: has no train.json, validation.json or test.json. Name the file.")
    names: list[str] = []
    parts: list[str] = []
    tags: list[frozenset[str] | None] = []
    fixes: list[str] = []
    for part, file in files.items():
        log(f"reading {file.name}")
        found = _parsed(file, fixes)
        names += [f"{part}/{name}" for name in found] if path.is_dir() else list(found)
        parts += [part] * len(found)
        tags += found.values()
    seen = {label for labels in tags if labels for label in labels}
    classes = CLASSES if seen <= set(CLASSES) else sorted_classes(seen | set(CLASSES))
    targets: tuple[Target, ...] = ()
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    if any(labels_ is not None for labels_ in tags):
        index = {label: i for i, label in enumerate(classes)}
        values = np.zeros((len(tags), len(classes)), dtype=np.int8)
        for row, theirs in enumerate(tags):
            if theirs is None:
                values[row] = UNKNOWN
            else:
                values[row, [index[label] for label in theirs]] = 1
        targets, labels = (Target("label", classes, "multilabel"),), {"label": values}
    root = path if path.is_dir() else path.parent
    listed = Listed(
        "imaterialist", root, names, targets, labels,
        np.array(parts, dtype=object) if path.is_dir() else None,
        beside=("", "images", *(() if path.is_dir() else (path.stem, f"{path.stem}_images"))), grouped=False,
    )  # fmt: skip
    return assembled(listed, options, fixes)


def _parsed(path: Path, fixes: list[str]) -> dict[str, frozenset[str] | None]:
    """Per image's id the ids of its labels, None where nobody said any."""

    def lean(row: dict[str, Any]) -> Any:
        """An entry without its URL, so that a million of them fit in memory."""
        if "labelId" in row and "imageId" in row:
            labels = row["labelId"]
            several = labels if isinstance(labels, list) else [labels]
            return str(row["imageId"]), frozenset(map(str, several))
        return str(row["imageId"]) if "imageId" in row else row

    with open_data_file(path) as file:
        try:
            content = json.loads(file.read(), object_hook=lean)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: is no JSON ({error}). Copy it again.") from error
    images = content.get("images") if isinstance(content, dict) else None
    annotations = content.get("annotations", []) if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise DataError(f'{path}: has no list "images" whose entries have an "imageId". Check the file.')
    if not isinstance(annotations, list) or not all(isinstance(a, tuple) for a in annotations):
        raise DataError(
            f'{path}: "annotations" is no list whose entries have an "imageId" and a "labelId". Check the file.'
        )
    found: dict[str, frozenset[str] | None] = dict.fromkeys(images)
    if twice := len(images) - len(found):
        fixes.append(f"{path.name}: images listed twice, taken once: {twice:,}")
    strangers = 0
    for image, labels in annotations:
        if image in found:
            found[image] = labels | (found[image] or frozenset())
        else:
            strangers += 1
    if strangers:
        fixes.append(f"{path.name}: annotations of images that are not listed passed over: {strangers:,}")
    return found

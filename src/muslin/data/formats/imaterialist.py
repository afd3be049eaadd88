"""iMaterialist (Fashion) 2018: `train.json` with images and label ids, beside photos `<imageId>.jpg`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, Target, sorted_classes
from muslin.data.formats.multilabel_cells import encode_lists
from muslin.data.formats.photo_lists import PhotoList, build_dataset
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file, read_head
from muslin.data.part_names import PART_NAMES
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.messages import Log, Message, no_log

CLASSES = tuple(str(number) for number in range(1, 229))
"""The competition's label ids; all of them are classes, whichever occur in a file."""


def detect(path: Path) -> str | None:
    """Why `path` is iMaterialist's, or None: a JSON file of images with an imageId, or a folder with train.json."""
    for file in _json_by_part(path).values():
        start = read_head(file, 2**16).lstrip(b"\xef\xbb\xbf \t\r\n")
        has_list = b'"images"' in start or b'"annotations"' in start  # a row of JSON Lines can have an imageId too
        if start.startswith(b"{") and has_list and b'"imageId"' in start:
            return f"iMaterialist's {file.name}" if path.is_dir() else "images and labels as in iMaterialist"
    return None


def _json_by_part(path: Path) -> dict[str, Path]:
    """The JSON files by part; the part of a single file is in its name, or empty."""
    if path.is_file():
        return {PART_NAMES.get(path.stem.lower(), ""): path}
    if not path.is_dir():
        return {}
    files = {PART_NAMES.get(file.stem.lower(), ""): file for file in sorted(path.glob("*.json"))}
    return {part: files[part] for part in PARTS if part in files}


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The multilabel target `label`; an image without an annotation is UNKNOWN. URLs are never fetched.

    Raises:
        DataError: a file is not such JSON.
    """
    files = _json_by_part(path)
    if not files:
        raise DataError("annotation_lists_missing", path=str(path), names=[f"{part}.json" for part in PARTS])
    names: list[str] = []
    parts: list[str] = []
    tags: list[frozenset[str] | None] = []
    fixes: list[str] = []
    for part, file in files.items():
        log(Message("file_reading", name=file.name))
        tags_of = _read_json(file, fixes)
        names += [f"{part}/{name}" for name in tags_of] if path.is_dir() else list(tags_of)
        parts += [part] * len(tags_of)
        tags += tags_of.values()
    used = {label for labels in tags if labels for label in labels}
    classes = CLASSES if used <= set(CLASSES) else sorted_classes(used | set(CLASSES))
    targets: tuple[Target, ...] = ()
    labels: dict[str, NDArray[np.integer[Any]]] = {}
    if any(labels_ is not None for labels_ in tags):
        target, values = encode_lists("label", classes, tags)
        targets, labels = (target,), {"label": values}
    root = path if path.is_dir() else path.parent
    beside = () if path.is_dir() else (path.stem, f"{path.stem}_images")
    listed = PhotoList(
        "imaterialist", root, names, targets, labels, parts if path.is_dir() else None, folders=("", "images", *beside)
    )
    return build_dataset(listed, options, fixes)


def _read_json(path: Path, fixes: list[str]) -> dict[str, frozenset[str] | None]:
    """The ids of each image's labels, None where it has no annotation."""

    def shorten(entry: dict[str, Any]) -> Any:
        """An entry without its URL, so that a million of them fit in memory."""
        if "labelId" in entry and "imageId" in entry:
            labels = entry["labelId"]
            return str(entry["imageId"]), frozenset(map(str, labels if isinstance(labels, list) else [labels]))
        return str(entry["imageId"]) if "imageId" in entry else entry

    with open_data_file(path) as file:
        try:
            content = json.loads(file.read(), object_hook=shorten)
        except (ValueError, RecursionError) as error:
            raise DataError("json_file", path=str(path), reason=reason_of(error)) from error
    lists = content if isinstance(content, dict) else {}
    images: Any = lists.get("images")
    annotations: Any = lists.get("annotations", [])
    for name, entries, kind in (("images", images, str), ("annotations", annotations, tuple)):
        if not isinstance(entries, list) or not all(isinstance(entry, kind) for entry in entries):
            keys = ["imageId"] if kind is str else ["imageId", "labelId"]
            raise DataError("json_list_missing", path=str(path), name=name, keys=keys)
    tags_of: dict[str, frozenset[str] | None] = dict.fromkeys(images)
    if count := len(images) - len(tags_of):
        fixes.append(Message("images_listed_twice", name=path.name, count=count))
    listed = [(image, labels) for image, labels in annotations if image in tags_of]
    for image, labels in listed:
        tags_of[image] = labels | (tags_of[image] or frozenset())
    if unlisted := len(annotations) - len(listed):
        fixes.append(Message("annotations_skipped", name=path.name, count=unlisted))
    return tags_of

"""One data set, read in a process with limits, because anybody may have written its files: what it holds, its images.

A process keeps the data set that it read. Photos are sent as their files' bytes, which `thumbnail_worker` decodes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from muslin.data import read
from muslin.data.dataset import PARTS, Dataset, PixelImages
from muslin.data.dataset_cache import read_registered
from muslin.data.photos import PhotoImages
from muslin.errors import ImageError

_READ: dict[str, Dataset] = {}
"""The data set of this process, by what was asked for."""


def work(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    """`params`: `name` or `path` of the data, and `indices` of the images that are wanted; without, what it holds."""
    dataset = _dataset(params)
    if params.get("indices") is None:
        return _description(dataset)
    return _images(dataset, params["indices"])


def _dataset(params: dict[str, Any]) -> Dataset:
    key = repr((params["name"], params["path"], params["version"]))
    if key not in _READ:
        _READ.clear()
        if params["path"]:
            _READ[key] = read(Path(params["path"]), all_targets=True)
        else:
            _READ[key] = read_registered(params["name"], download=False)
    return _READ[key]


def _description(dataset: Dataset) -> tuple[dict[str, Any], bytes]:
    """Everything but the images.

    The bytes are the labels of each target, int64 or int8, then the parts, uint8, then as JSON the ids and the groups.
    """
    images, labels = dataset.images, [np.ascontiguousarray(dataset.labels[each.name]) for each in dataset.targets]
    parts = np.zeros(0, np.uint8)
    if dataset.parts is not None:
        parts = np.full(len(dataset), len(PARTS), np.uint8)
        for number, part in enumerate(PARTS):
            parts[dataset.parts == part] = number
    found = {
        "name": dataset.name,
        "format": dataset.format,
        "transform": dataset.transform,
        "origin": dataset.origin,
        "n": len(dataset),
        "shape": list(images.pixels.shape[1:]) if isinstance(images, PixelImages) else None,
        "targets": [
            {"name": each.name, "classes": each.classes, "kind": each.kind, "dtype": str(values.dtype)}
            for each, values in zip(dataset.targets, labels, strict=True)
        ],
        "has_parts": dataset.parts is not None,
        "fixes": list(dataset.fixes),
    }
    groups = None if dataset.groups is None else list(map(str, dataset.groups))
    names = json.dumps({"ids": list(map(str, dataset.ids)), "groups": groups}).encode()
    return found, b"".join([*(values.tobytes() for values in labels), parts.tobytes(), names])


def _images(dataset: Dataset, indices: list[int]) -> tuple[dict[str, Any], bytes]:
    """Per image its shape and the bytes of its pixels; or of a photo its number of bytes, its box and its file."""
    if isinstance(dataset.images, PixelImages):
        pixels = dataset.images.pixels[indices]
        return {"images": [{"shape": list(pixels.shape[1:])}] * len(indices)}, pixels.tobytes()
    assert isinstance(dataset.images, PhotoImages)
    rows: list[dict[str, Any]] = []
    contents = []
    for index in indices:
        photo = dataset.images.photos[index]
        try:
            contents.append(photo.content())
        except ImageError as error:
            rows.append({"error": error.message})
        else:
            rows.append({"bytes": len(contents[-1]), "name": photo.name, "box": photo.box})
    return {"images": rows}, b"".join(contents)

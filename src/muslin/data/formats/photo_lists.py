"""Shared by the formats that list their photos in text files: from names and labels to a Dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Target
from muslin.data.formats.photo_tables import unique_ids
from muslin.data.formats.read_options import ReadOptions
from muslin.data.photos import PhotoImages
from muslin.data.tables.photo_lookup import PhotoLookup
from muslin.errors import DataError, ImageError, unknown
from muslin.messages import Message

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels."""


@dataclass(frozen=True, eq=False)
class PhotoList:
    """Names and labels of photos, in order.

    Attributes:
        format: a row of `muslin.data.formats.FORMATS`.
        root: the set's folder.
        names: paths of the photos, or ids without the suffix.
        labels: per target as in Dataset.
        parts: object (count,), or None.
        boxes: what to crop photos to, None for the whole photo; or None for all whole.
        folders: folders and archives below `root` in which photos are searched.
        grouped: whether the photos of a folder are a group.
    """

    format: str
    root: Path
    names: Sequence[str]
    targets: tuple[Target, ...]
    labels: Mapping[str, NDArray[np.integer[Any]]]
    parts: NDArray[np.object_] | None = None
    boxes: Sequence[Box | None] | None = None
    folders: tuple[str, ...] = ("", "Img", "img.zip", "Img/img.zip")
    grouped: bool = True


def dataset_root(path: Path) -> Path:
    """The set's folder, for that folder or one of its `Anno` folders."""
    return path.resolve().parent if path.name.lower().startswith("anno") else path


def build_dataset(listed: PhotoList, options: ReadOptions, fixes: Sequence[str]) -> Dataset:
    """The data set of the photos that exist; the others are counted and named.

    Raises:
        DataError: none exists.
    """
    paths = [Path(options.images)] if options.images else [listed.root / name for name in listed.folders]
    lookup = PhotoLookup([path for path in paths if options.images or path.exists()])
    found = [lookup.find(name) for name in listed.names]
    photos = [None if isinstance(photo, ImageError) else photo for photo in found]
    if not any(photos):
        searched = lookup.searched(next(iter(listed.names), ""))
        raise DataError("no_photo_found", path=str(listed.root), count=len(photos), **searched)
    fixes = [*fixes, *lookup.fixes]
    if listed.boxes is not None:
        photos = [p and replace(p, box=box) for p, box in zip(photos, listed.boxes, strict=True)]
        if count := sum(box is None for box in listed.boxes):
            fixes.append(Message("photos_without_box", count=count))
    rows = np.flatnonzero([photo is not None for photo in photos])
    names = [listed.names[row] for row in rows.tolist()]
    groups = np.array([str(PurePosixPath(name).parent) for name in names], dtype=object)
    return Dataset(
        name=listed.root.resolve().name,
        format=listed.format,
        images=PhotoImages(tuple(photo for photo in photos if photo), lookup.keep_alive),
        targets=listed.targets,
        labels={name: values[rows] for name, values in listed.labels.items()},
        ids=unique_ids(names),
        parts=None if listed.parts is None else listed.parts[rows],
        groups=groups if listed.grouped else None,
        origin=f"{len(photos):,} rows" + ("; photos cropped to their boxes" if listed.boxes is not None else ""),
        fixes=tuple(fixes),
    )


def select_targets(path: Path, available: Sequence[str], options: ReadOptions) -> list[str]:
    """The available targets that the user chose; all without a choice."""
    for name in options.targets:
        if name not in available:
            raise DataError("target_unknown", dataset=str(path), **unknown(name, available))
    return [name for name in available if name in (options.targets or available)]


def parse_flags(rows: Sequence[bytes], columns: int) -> NDArray[np.int8] | None:
    """int8 (rows, columns) of rows of 1, 0 and -1 with whitespace before each; None where they are anything else."""
    characters = np.frombuffer(b"\n".join(rows) + b"\n", dtype=np.uint8)
    digit = (characters == ord("0")) | (characters == ord("1"))
    minus = characters == ord("-")
    space = characters <= ord(" ")
    ends = np.flatnonzero(digit)
    starts = np.flatnonzero(minus)
    if len(ends) != len(rows) * columns or not (digit | minus | space).all():
        return None
    if not space[ends + 1].all() or not digit[starts + 1].all():
        return None
    values = (characters[ends] == ord("1")).astype(np.int8)
    values[minus[ends - 1]] *= -1
    table: NDArray[np.int8] = values.reshape(len(rows), columns)
    return table

"""What formats that list their photos in files of their own have in common: from names and labels to a Dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Target
from muslin.data.formats.read_options import ReadOptions
from muslin.data.formats.tables import LISTED, Lookup, lookups, unique
from muslin.data.photos import Photo, PhotoImages
from muslin.errors import DataError, nearest

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels."""


@dataclass(frozen=True, eq=False)
class Listed:
    """What the lists say of each photo, in order.

    Attributes:
        format: a row of `muslin.data.formats.FORMATS`.
        root: the set's folder.
        names: paths of the photos, or ids that a suffix completes.
        labels: per target as in Dataset.
        parts: object (count,), or None.
        boxes: what to cut photos to, or None for none of them.
        beside: folders below `root` in which photos are looked for.
        grouped: whether the photos of a folder are a group.
    """

    format: str
    root: Path
    names: Sequence[str]
    targets: tuple[Target, ...]
    labels: Mapping[str, NDArray[np.integer[Any]]]
    parts: NDArray[np.object_] | None = None
    boxes: Sequence[Box | None] | None = None
    beside: tuple[str, ...] = ("", "Img", "img.zip", "Img/img.zip")
    grouped: bool = True


def base_of(path: Path) -> Path:
    """The set's folder, for that folder or one of its `Anno` folders."""
    return path.resolve().parent if path.name.lower().startswith("anno") else path


def assembled(listed: Listed, options: ReadOptions, fixes: Sequence[str]) -> Dataset:
    """The data set of the photos that are there; those missing are counted and named.

    Raises:
        DataError: there is none.
    """
    said = list(fixes)
    if options.images:
        finders, kept = lookups([Path(options.images)])
    else:
        finders, kept = [], []
        for name in listed.beside:
            if (place := listed.root / name).exists():
                some, keep = lookups([place])
                finders += some
                kept.append(keep)
    photos = [_found(name, finders) for name in listed.names]
    if not any(photos):
        raise DataError(
            f"{listed.root}: not one of {len(photos):,} photos is there, such as {next(iter(listed.names), '')!r}. "
            "Say where they are (--images)."
        )
    if missing := [name for name, photo in zip(listed.names, photos, strict=True) if photo is None]:
        more = ", …" if len(missing) > LISTED else ""
        said.append(
            f"rows left out because their photo is missing: {len(missing):,} ({', '.join(missing[:LISTED])}{more})"
        )
    if listed.boxes is not None:
        photos = [p and replace(p, box=box) for p, box in zip(photos, listed.boxes, strict=True)]
        if without := sum(box is None for box in listed.boxes):
            said.append(f"photos without a box, left whole: {without:,}")
    groups = np.array([str(PurePosixPath(name).parent) for name in listed.names], dtype=object)
    data = {"labels": listed.labels, "parts": listed.parts, "groups": groups if listed.grouped else None}
    names = listed.names
    if missing:
        rows = np.flatnonzero([photo is not None for photo in photos])
        names = [names[row] for row in rows.tolist()]
        data = {
            "labels": {name: values[rows] for name, values in listed.labels.items()},
            "parts": None if listed.parts is None else listed.parts[rows],
            "groups": groups[rows] if listed.grouped else None,
        }
    return Dataset(
        name=listed.root.resolve().name,
        format=listed.format,
        images=PhotoImages(tuple(photo for photo in photos if photo), kept),
        targets=listed.targets,
        ids=unique(list(names)),
        origin=f"{len(photos):,} rows" + ("; photos cut to their boxes" if listed.boxes is not None else ""),
        fixes=tuple(said),
        **data,  # type: ignore[arg-type]
    )


def _found(name: str, finders: Sequence[Lookup]) -> Photo | None:
    """The photo called so, also where the folder that is given is the first of its path."""
    for finder in finders:
        if photo := finder(name) or finder(name.partition("/")[2] or name):
            return photo
    return None


def wanted_targets(path: Path, there: Sequence[str], options: ReadOptions) -> list[str]:
    """Those of the targets that are there which the user wants: all, if none was named."""
    for name in options.named_targets:
        if name not in there:
            raise DataError(f"{path}: no target is called {name!r}. {nearest(name, there)}")
    return [name for name in there if name in (options.named_targets or there)]


def digits_in(rows: Sequence[bytes], columns: int) -> NDArray[np.int8] | None:
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

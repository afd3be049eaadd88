"""Shared by the formats that list their photos in text files: rows of lists, and the Dataset of names and labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Target
from muslin.data.formats.dataset_from_tables import unique_ids
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file
from muslin.data.photo_lookup import PhotoLookup
from muslin.data.photo_roles import roles_of_names
from muslin.data.photos import PhotoImages
from muslin.errors import DataError, ImageError, unknown
from muslin.messages import Log, Message
from muslin.storage.boundary import boundary_of

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels."""

BLOCK_ROWS = 2048
LOG_EVERY_ROWS = 20_000


class ListRow(NamedTuple):
    """A row of a list: its first cell, and the bytes after that."""

    path: Path
    line: int
    name: str
    rest: bytes = b""

    @property
    def cells(self) -> list[str]:
        """The cells after the first."""
        return [cell.decode("utf-8", "replace") for cell in self.rest.split()]


@dataclass(frozen=True, eq=False)
class PhotoList:
    """Names and labels of photos, in order.

    Attributes:
        format: a row of `muslin.data.formats.FORMATS`.
        root: the set's folder.
        names: paths of the photos, or ids without the suffix.
        labels: per target as in Dataset.
        parts: the part of each photo, or None.
        groups: the group of each photo, or None.
        boxes: rows with a photo's name and, at their end, what to crop it to; None for whole photos.
        folders: folders and archives below `root` in which photos are searched.
        products: the product of each photo, or None; the end of a file's name can say what it shows of it.
    """

    format: str
    root: Path
    names: Sequence[str]
    targets: tuple[Target, ...]
    labels: Mapping[str, NDArray[np.integer[Any]]]
    parts: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    boxes: Iterable[ListRow] | None = None
    folders: tuple[str, ...] = ("", "Img", "img.zip", "Img/img.zip", "Img/img_highres.zip")
    products: Sequence[str] | None = None


def dataset_root(path: Path) -> Path:
    """The set's folder, for that folder or one of its `Anno` folders."""
    return path.resolve().parent if path.name.lower().startswith(("anno", "eval")) else path


def build_dataset(listed: PhotoList, options: ReadOptions, fixes: Sequence[str]) -> Dataset:
    """The data set of the photos that exist; the others are counted and named.

    Raises:
        DataError: none exists, or a box is not valid.
    """
    paths = [Path(options.images)] if options.images else [listed.root / name for name in listed.folders]
    boundary = None if options.images else boundary_of(listed.root)
    lookup = PhotoLookup([path for path in paths if options.images or path.exists()], boundary)
    found = [lookup.find(name) for name in listed.names]
    photos = [None if isinstance(photo, ImageError) else photo for photo in found]
    if not any(photos):
        searched = lookup.searched(next(iter(listed.names), ""))
        raise DataError("no_photo_found", path=str(listed.root), count=len(photos), **searched)
    fixes = [*fixes, *lookup.fixes]
    if listed.boxes is not None:
        box_of = {row.name: _parse_box(row) for row in listed.boxes}
        photos = [p and replace(p, box=box_of.get(name)) for p, name in zip(photos, listed.names, strict=True)]
        if count := sum(name not in box_of for name in listed.names):
            fixes.append(Message("photos_without_box", count=count))
    rows = np.flatnonzero([photo is not None for photo in photos])
    return Dataset(
        name=listed.root.resolve().name,
        format=listed.format,
        images=PhotoImages(tuple(photo for photo in photos if photo), lookup.keep_alive),
        targets=listed.targets,
        labels={name: values[rows] for name, values in listed.labels.items()},
        ids=unique_ids([listed.names[row] for row in rows.tolist()]),
        parts=None if listed.parts is None else np.array(listed.parts, dtype=object)[rows],
        groups=None if listed.groups is None else np.array(listed.groups, dtype=object)[rows],
        products=None if listed.products is None else np.array(listed.products, dtype=object)[rows],
        roles=None if listed.products is None else roles_of_names(listed.names[row] for row in rows.tolist()),
        origin=f"{len(photos):,} rows" + ("; photos cropped to their boxes" if listed.boxes is not None else ""),
        fixes=tuple(fixes),
    )


def select_targets(path: Path, available: Sequence[str], options: ReadOptions) -> list[str]:
    """The available targets that the user chose, or else those of the model, if there are any; or else all."""
    for name in options.targets:
        if name not in available:
            raise DataError("target_unknown", dataset=str(path), **unknown(name, available))
    of_model = [name for name in available if name in options.model_targets]
    return [name for name in available if name in (options.targets or of_model or available)]


def list_rows(path: Path, columns: int | None = None, *, header: bool = True) -> Iterator[ListRow]:
    """The rows of a list, whose first cell can hold spaces; empty ones are left out.

    Args:
        columns: number of cells; by default that of the header, at least 3.
        header: whether the first line is the number of rows and the second one the columns' names.

    Raises:
        DataError: the number of rows is missing or another, or a row has too few cells or is not UTF-8.
    """
    with open_data_file(path) as file:
        first, second = (file.readline(), file.readline()) if header else (b"0", b"")
        if not first.strip().isdigit():
            raise DataError("list_row_count_missing", path=str(path))
        columns, found = columns or max(len(second.split()), 3), 0
        for number, line in enumerate(file, 3 if header else 1):
            cells = line.rsplit(None, columns - 1)
            if not cells:
                continue
            if len(cells) < columns:
                raise DataError("row_length", path=str(path), line=number, found=len(cells), expected=columns)
            found += 1
            try:
                name = cells[0].decode("utf-8-sig").strip()
            except UnicodeDecodeError as error:
                raise DataError("line_not_utf_8", path=str(path), line=number, byte=error.start) from error
            yield ListRow(path, number, name, line[len(cells[0]) :])
    if header and int(first) != found:
        raise DataError("list_row_count", path=str(path), found=found, expected=int(first))


def read_flags(
    rows: Iterator[ListRow], columns: int, meanings: Mapping[int, int], log: Log
) -> tuple[list[str], NDArray[np.int8]]:
    """The names and, int8 (rows, columns), what the values after them mean; read in blocks, never held as text.

    Args:
        meanings: per value, of 1, 0 and -1, the label.

    Raises:
        DataError: a row has other values, or another number of them.
    """
    names: list[str] = []
    labels = bytearray()
    table = np.array([meanings.get(value, 0) for value in (0, 1, -1)], dtype=np.int8)
    while block := list(islice(rows, BLOCK_ROWS)):
        if (flags := _parse_flags(block, columns, meanings)) is None:
            row = next(row for row in block if _parse_flags([row], columns, meanings) is None)
            place = {"path": str(row.path), "line": row.line, "name": row.name}
            raise DataError("attribute_values", **place, count=columns, values=list(meanings))
        labels += table[flags].tobytes()
        names += (row.name for row in block)
        if len(names) // LOG_EVERY_ROWS > (len(names) - len(block)) // LOG_EVERY_ROWS:
            log(Message("rows_read", n=len(names)))
    return names, np.frombuffer(labels, dtype=np.int8).reshape(len(names), columns)


def _parse_flags(rows: Sequence[ListRow], columns: int, values: Iterable[int]) -> NDArray[np.int8] | None:
    """int8 (rows, columns) of rows whose cells after the first are some of `values`; None where they are not."""
    if not columns:
        return np.empty((len(rows), 0), dtype=np.int8)  # loadtxt would warn
    try:
        flags = np.loadtxt([row.rest for row in rows], dtype=np.int8, comments=None, ndmin=2)
    except ValueError:
        return None
    return flags if flags.shape == (len(rows), columns) and np.isin(flags, list(values)).all() else None


def _parse_box(row: ListRow) -> Box:
    """(left, top, right, bottom) in pixels, the last four cells of a row."""
    cells = row.cells[-4:]
    try:
        left, top, right, bottom = (int(float(cell)) for cell in cells)
    except (ValueError, OverflowError) as error:
        raise DataError("box_values", path=str(row.path), line=row.line, found=" ".join(cells)) from error
    return left, top, right, bottom

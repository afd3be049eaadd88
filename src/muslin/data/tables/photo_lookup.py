"""Which column of a catalogue names the photos, and where they are."""

import os
import unicodedata
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from muslin.data.formats.folders import files_of
from muslin.data.formats.tables import BESIDE, IMAGE_NAMES
from muslin.data.photos import PHOTO_SUFFIXES, Photo
from muslin.data.tables import Catalogue
from muslin.data.tables.folder import Folder
from muslin.errors import DataError, ImageError, nearest

LOOKED_AT = 100
"""Rows from which the photo's column is guessed."""

ENDS = ("", *sorted(PHOTO_SUFFIXES, key=lambda end: (end not in (".jpg", ".jpeg", ".png", ".webp"), end)))
"""What may be missing behind a bare id, in the order in which it is tried."""

Find = Callable[[str], Photo | ImageError]


def photo_column(
    catalogue: Catalogue, images: Path | None = None, column: str | None = None
) -> tuple[str, Find]:
    """The column whose cells name photos, and what finds the photo that a cell names.

    A cell is a path, from the catalogue's folder, from one beside it (`images/`, `photos/`, …) or from `images`,
    or a bare id that lacks the file's end. The same cell is always the same photo, whatever was asked before.

    Args:
        images: a folder, zip or tar.
        column: the column's name, where it is known.

    Raises:
        DataError: no such column, no such place, or no column that names a photo which is there.
    """
    places = _places(catalogue, images)
    if column is not None:
        if column not in catalogue.columns:
            raise DataError(
                f"{catalogue.path}: no column is called {column!r}. {nearest(column, catalogue.columns)}"
            )
        names: Sequence[str] = [column]
    else:
        names = [name for name in dict.fromkeys(catalogue.columns) if name]
    rows = list(islice(catalogue.values(names), LOOKED_AT))
    best: tuple[int, int] | None = None
    chosen, order = column, list(places)
    for i, name in enumerate(names):
        cells = [row[i] for row in rows if row[i]]
        rank = IMAGE_NAMES.index(name.lower()) if name.lower() in IMAGE_NAMES else len(IMAGE_NAMES)
        for place in places:
            found = sum(place(cell) is not None for cell in cells)
            if found and (best is None or (found, -rank) > best):
                best, chosen, order = (found, -rank), name, [place, *(p for p in places if p is not place)]
    if chosen is None:
        raise DataError(
            f"{catalogue.path}: no column names a photo that is there ({', '.join(names[:10])}). "
            "Say where the photos are (--images) and which column names them (--image-column)."
        )

    def find(cell: str) -> Photo | ImageError:
        if not cell:
            return ImageError("no photo is named")
        if cell.lower().startswith(("http://", "https://")):
            return ImageError(f"{cell}: is a web address; photos are read from files only")
        for place in order:
            if (photo := place(cell)) is not None:
                return photo
        return ImageError(f"{cell}: there is no such photo")

    return chosen, find


Place = Callable[[str], Photo | None]


def _places(catalogue: Catalogue, images: Path | None) -> list[Place]:
    if isinstance(catalogue, Folder):
        return [_in_folder(catalogue.path)]
    if images is None:
        beside = [catalogue.path.parent / name for name in BESIDE]
        return [_in_folder(folder) for folder in beside if folder.is_dir()]
    if images.is_dir():
        return [_in_folder(images)]
    if not images.exists():
        raise DataError(f"{images}: no such file or folder. Check --images.")
    files, kept = files_of(images)
    return [_in_archive(files, kept)]


def _in_folder(folder: Path) -> Place:
    """Asks the disk every time, so that memory does not grow with the number of photos."""

    def find(cell: str) -> Photo | None:
        path = cell.replace("\\", "/")
        ends = ("",) if os.path.splitext(path)[1].lower() in PHOTO_SUFFIXES else ENDS
        for form in dict.fromkeys(
            (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))
        ):
            for end in ends:
                for spelled in dict.fromkeys((end, end.upper())):
                    file = os.path.join(folder, form + spelled)
                    if os.path.isfile(file):
                        return Photo(cell, Path(file))
        return None

    return find


def _in_archive(files: dict[str, Photo], kept: object) -> Place:
    """Cells may name an entry from any folder within the archive on. `kept` lives as long as what is returned."""
    by_end: dict[str, Photo] = {}
    for name, photo in files.items():
        if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES:
            pieces = name.split("/")
            for i in range(len(pieces)):
                end = "/".join(pieces[i:])
                by_end.setdefault(end, photo)
                by_end.setdefault(end.rpartition(".")[0], photo)

    def find(cell: str, kept: object = kept) -> Photo | None:
        return by_end.get(cell.replace("\\", "/").removeprefix("./"))

    return find

"""Which column of a table names the photos, and where these are."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from muslin.data.archives import files_in
from muslin.data.photos import PHOTO_SUFFIXES, Photo
from muslin.data.tables import TableFile
from muslin.data.tables.columns import check_column
from muslin.data.tables.folder_table import Folder
from muslin.errors import DataError, ImageError

PHOTO_COLUMNS = ("image", "image_path", "filepath", "file_path", "path", "filename", "file_name", "file", "photo",
                 "picture", "img", "image_name", "image_id", "imageid", "id", "sku", "article_id")  # fmt: skip
"""Names of columns that name photos, the likeliest first."""

PHOTO_FOLDERS = ("", "images", "image", "img", "photos")
"""Folders beside a table in which its photos are searched."""

SAMPLE_ROWS = 100
"""Rows from which the photos' column is guessed."""

PREFERRED_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Tried first where a name lacks its suffix."""

CACHED_FOLDERS = 1024
"""Folders whose suffixes are remembered, a few bytes each."""

FindPhoto = Callable[[str], Photo | None]


def in_folder(folder: Path) -> FindPhoto:
    """A function that finds a photo in `folder` by its path from there or a bare id, without the suffix.

    Names in Unicode's composed and decomposed forms are the same, and a back-slash is a slash. The function asks the
    disk on each call and remembers no names, so that memory does not grow with the number of photos.
    """
    suffixes_in = lru_cache(CACHED_FOLDERS)(_photo_suffixes)

    def find(name: str) -> Photo | None:
        suffix = os.path.splitext(name)[1]
        for form in _unicode_forms(name):
            path = os.path.join(folder, form)
            is_complete = suffix.lower() in PHOTO_SUFFIXES
            for missing in ("",) if is_complete else suffixes_in(os.path.dirname(path)):
                if (missing or is_complete or not suffix) and os.path.isfile(path + missing):
                    return Photo(path + missing, Path(path + missing))
        return None

    return find


def _photo_suffixes(folder: str) -> list[str]:
    """The suffixes of photos in a folder, as they are spelled, in the order in which to try them; "" for none."""
    try:
        with os.scandir(folder) as entries:
            suffixes = {os.path.splitext(entry.name)[1] for entry in entries}
    except (OSError, ValueError):  # no folder, or a name that no folder can have
        return []
    photo_suffixes = [suffix for suffix in suffixes if suffix.lower() in PHOTO_SUFFIXES or not suffix]
    return sorted(photo_suffixes, key=lambda s: (not s, s.lower() not in PREFERRED_SUFFIXES, s.lower(), s))


def in_archive(files: dict[str, Photo], archive: object) -> FindPhoto:
    """As `in_folder`, for the files of an archive; a path can begin at any of its folders.

    `archive` lives as long as the function.
    """
    photo_by_path: dict[str, Photo] = {}
    for name, photo in files.items():
        if PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES:
            pieces = unicodedata.normalize("NFC", name).split("/")
            for i in range(len(pieces)):
                path = "/".join(pieces[i:])
                photo_by_path.setdefault(path, photo)
                photo_by_path.setdefault(path.rpartition(".")[0], photo)

    def find(name: str, archive: object = archive) -> Photo | None:
        return photo_by_path.get(unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./"))

    return find


def _unicode_forms(name: str) -> Iterable[str]:
    path = name.replace("\\", "/")
    if path.isascii():
        return (path,)
    return dict.fromkeys((path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)))


def in_path(path: Path) -> tuple[FindPhoto, Any]:
    """A function that finds photos in the folder or archive `path`, and what to keep while reading them.

    Raises:
        DataError: there is no such folder or archive.
    """
    if path.is_dir():
        return in_folder(path), None
    if not path.exists():
        raise DataError("images_path", path=str(path))
    files, archive = files_in(path)
    return in_archive(files, archive), archive


def photo_places(table: Path, images: str | Path | None) -> tuple[dict[Path, FindPhoto], Any]:
    """Where the photos of a table can be: `images`, or the folders beside it; and what to keep while reading them."""
    if images is not None:
        find, archive = in_path(Path(images))
        return {Path(images): find}, archive
    folders = [table.parent / name for name in PHOTO_FOLDERS]
    return {folder: in_folder(folder) for folder in folders if folder.is_dir()}, None


def best_column(
    sample: Iterable[tuple[str, Sequence[str]]], finders: Sequence[FindPhoto]
) -> tuple[str, FindPhoto] | None:
    """The column most of whose cells name photos, and where they are; the earlier in PHOTO_COLUMNS of equals.

    Args:
        sample: names of columns, each with some of its cells that are not empty.
    """
    candidates = []
    for name, cells in sample:
        lower = name.lower()
        rank = PHOTO_COLUMNS.index(lower) if lower in PHOTO_COLUMNS else len(PHOTO_COLUMNS)
        for find in finders:
            if count := sum(find(cell) is not None for cell in cells):
                candidates.append(((count, -rank), name, find))
    return max(candidates, key=lambda candidate: candidate[0])[1:] if candidates else None


def find_photo_column(
    table: TableFile, images: str | Path | None = None, column: str | None = None
) -> tuple[str, Callable[[str], Photo | ImageError]]:
    """The column whose cells name photos, and a function from a cell to its photo.

    A cell is a path, from the table's folder, one beside it (`images/`, `photos/`, …) or `images`, or a bare id
    without the suffix. The same cell is always the same photo, whatever cells came before.

    Args:
        images: a folder, zip or tar.
        column: the column's name; by default it is guessed.

    Raises:
        DataError: there is no such column, no such place, or no column that names a photo in one.
    """
    if isinstance(table, Folder):
        finders = [in_folder(table.path)]
    else:
        finders = list(photo_places(table.path, images)[0].values())
    if column is not None:
        check_column(table.path, column, table.columns)
        names: Sequence[str] = [column]
    else:
        names = [name for name in dict.fromkeys(table.columns) if name]
    rows = [row.cells for row in islice(table.rows(names), SAMPLE_ROWS)]
    sample = [(name, [str(row[i]) for row in rows if row[i]]) for i, name in enumerate(names)]
    best = best_column(sample, finders)
    if best is None and column is None:
        raise DataError("photo_column_not_found", path=str(table.path), columns=list(names[:10]))
    chosen, first = best or (column or "", None)
    ordered = sorted(finders, key=lambda find: find is not first)

    def find(cell: str) -> Photo | ImageError:
        if not cell:
            return ImageError("photo_not_named")
        if cell.lower().startswith(("http://", "https://")):
            return ImageError("photo_is_url", path=cell)
        photo = next((photo for finder in ordered if (photo := finder(cell)) is not None), None)
        return ImageError("no_such_photo", path=cell) if photo is None else replace(photo, name=cell)

    return chosen, find

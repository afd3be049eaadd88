"""Folders and archives in which photos are found by their paths."""

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from muslin.data.archives import check_content, files_in, walk
from muslin.data.photos import IMAGE_SUFFIXES, PHOTO_SUFFIXES, Photo, is_hidden, link_error
from muslin.errors import DataError, ImageError
from muslin.images.decoder import SIGNATURES
from muslin.images.file_kinds import MAX_POINTER_BYTES, kind_of_name, pointer_hint

PREFERRED_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""Tried first where a name lacks its suffix."""

CACHED_FOLDERS = 1024
"""Folders whose suffixes are remembered, a few bytes each."""


class FolderPlace:
    """A folder; it is asked on each call, and no names are remembered."""

    keep_alive: Any = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._suffixes = lru_cache(CACHED_FOLDERS)(_folder_suffixes)

    def photo(self, name: str) -> Photo | None:
        """The file at this path, also where it is a link to nothing."""
        path = os.path.join(self.path, name)
        try:
            is_there = os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))
        except ValueError:  # a name that no file can have
            return None
        return Photo(path, Path(path)) if is_there else None

    def suffixes(self, folder: str) -> list[str]:
        """The suffixes of images in a folder, as they are spelled, in the order in which to try them; "" for none."""
        return self._suffixes(os.path.join(self.path, folder))

    def photo_names(self) -> Iterable[str]:
        """The paths of all files that can be photos."""
        return (name for name, _ in walk(self.path) if _can_be_photo(name))


class ArchivePlace:
    """A zip or tar, or a folder in one, whose entries are in memory."""

    def __init__(self, path: Path, files: Mapping[str, Photo] | None = None) -> None:
        """`files` are the entries by their paths, where these are known already."""
        self.path = path
        self.keep_alive: Any = None
        if files is None:
            files, self.keep_alive = files_in(path)
        self._files = files
        self._suffixes = _image_suffixes(self._files)

    def photo(self, name: str) -> Photo | None:
        """The entry of this path."""
        return self._files.get(name)

    def suffixes(self, folder: str) -> list[str]:
        """As of a FolderPlace, but of all entries."""
        return self._suffixes

    def photo_names(self) -> Iterable[str]:
        """The paths of all entries that can be photos."""
        return filter(_can_be_photo, self._files)


Place = FolderPlace | ArchivePlace


def open_place(path: Path) -> Place:
    """Raises DataError where nothing is there, or an archive is damaged."""
    check_content(path)
    if not path.exists():
        raise DataError("images_path", path=str(path))
    return FolderPlace(path) if path.is_dir() else ArchivePlace(path)


def why_unreadable(photo: Photo, name: str) -> ImageError | None:
    """Why a file is no image that can be decoded, if its suffix or its size gives reason to look into it."""
    kind = kind_of_name(photo.path.name if photo.size is None else photo.name)
    try:
        size = photo.path.stat().st_size if photo.size is None else photo.size
        start = photo.content(4096) if kind or size <= MAX_POINTER_BYTES else b""
    except (ImageError, OSError):
        return link_error(photo.path, name)
    if kind and not any(pattern.match(start) for name, pattern in SIGNATURES if name != "TIFF"):
        return ImageError("image_format", kind.hint, name=name, kind=kind.name)
    hint = pointer_hint(start)
    return ImageError("git_pointer", hint, path=name) if hint else None


def are_copies(photos: Iterable[Photo]) -> bool:
    """Whether all files have the same content."""
    try:
        return len({photo.content() for photo in photos}) == 1
    except ImageError:
        return False


def _folder_suffixes(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return _image_suffixes(entry.name for entry in entries)
    except (OSError, ValueError):  # no folder, or a name that no folder can have
        return []


def _image_suffixes(names: Iterable[str]) -> list[str]:
    suffixes = {os.path.splitext(name)[1] for name in names}
    known = [suffix for suffix in suffixes if suffix.lower() in IMAGE_SUFFIXES or not suffix]
    return sorted(known, key=lambda s: (not s, s not in PHOTO_SUFFIXES, s.lower() not in PREFERRED_SUFFIXES, s))


def _can_be_photo(name: str) -> bool:
    """Whether the file is not hidden, and its suffix is that of an image, or it has none."""
    suffix = os.path.splitext(name)[1].lower()
    return (not suffix or suffix in IMAGE_SUFFIXES) and not is_hidden(name)

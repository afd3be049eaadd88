"""Photos by the content of their files: how what is computed of them is found again in a RowCache."""

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from muslin.data.photos import MAX_PHOTO_BYTES, StoredImage
from muslin.errors import ImageError
from muslin.machine import processor
from muslin.storage.row_cache import name_of_parts

CACHE_FORMAT = 1
"""Of `cache_name`. Rises when a cached row or the decoding change; rows of another format are not found."""


@dataclass(frozen=True)
class PhotoContent:
    """A photo whose file was read: a StoredImage in memory."""

    name: str
    data: bytes
    box: tuple[int, int, int, int] | None = None

    def content(self, max_bytes: int = MAX_PHOTO_BYTES + 1) -> bytes:
        return self.data[:max_bytes]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file, and of the part that is shown, in `muslin.data.photos.PhotoImages.digests` alike."""
        return hashlib.sha256(self.data + repr(self.box).encode() if self.box else self.data).digest()


def read_photo(name: str, source: Any) -> PhotoContent | None:
    """The content of a StoredImage or of the file at a Path, as far as a decoder takes it.

    None for any other image, and where it cannot be read: decoding it then says why.
    """
    from muslin.images.decoder import read_bytes

    try:
        if isinstance(source, Path):
            return PhotoContent(name, read_bytes(source, name, MAX_PHOTO_BYTES))
        if hasattr(source, "content"):
            photo: StoredImage = source
            data = photo.content()
            return PhotoContent(name, data, photo.box) if len(data) <= MAX_PHOTO_BYTES else None
    except ImageError:
        pass
    return None


def versions(*packages: str) -> list[str]:
    """The versions of these packages, by the names of their modules, on which cached rows depend."""
    # not by importlib.metadata, whose import takes 20 ms
    return [import_module(name).__version__ for name in packages]


def cache_name(kind: str, *parts: object) -> str:
    """Of a RowCache whose rows follow from decoded photos and `parts`."""
    return name_of_parts(kind, CACHE_FORMAT, *parts, versions("muslin", "PIL", "numpy"), processor())

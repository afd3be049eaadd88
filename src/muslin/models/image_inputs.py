"""Images as users give them, by their names; and arrays that a network can take as they are."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.archives import FolderNotes, walk
from muslin.data.photos import IMAGE_SUFFIXES, is_hidden
from muslin.errors import DataError, ImageError
from muslin.images import is_unchanged
from muslin.models.bundle import Preprocessing
from muslin.storage.boundary import UNBOUNDED, boundary_of

Pixels = NDArray[np.uint8]


def named_images(images: Any, allow_outside: bool = False) -> Iterator[tuple[str, Any]]:
    """Every image, as `predict` takes them, with its name: its path, or its position."""
    for position, image in enumerate([images] if _is_one_image(images) else images):
        if not isinstance(image, str | os.PathLike):
            yield f"images[{position}]", image
        elif not os.path.isdir(image):
            yield os.fspath(image), Path(image)
        else:
            yield from _folder_images(Path(image), allow_outside)


def images_by_folder(images: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Named images as products: each folder with the images in it, in the order of the folders' first images."""
    folders: dict[str, list[tuple[str, Any]]] = {}
    for name, image in images:
        folders.setdefault(os.path.dirname(name) or os.curdir, []).append((name, image))
    yield from folders.items()


def _is_one_image(images: Any) -> bool:
    if isinstance(images, np.ndarray):  # (n, height, width) is several, (height, width, channels) is one
        return images.ndim < 3 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable)


def _folder_images(folder: Path, allow_outside: bool) -> list[tuple[str, Any]]:
    """The images in and below a folder by their paths, each a StoredImage.

    What leads outside is an error, and so is a folder that cannot be listed.
    """
    notes = FolderNotes()
    found: dict[Path, Any] = {}
    for name, photo in walk(folder, notes, UNBOUNDED if allow_outside else boundary_of(folder)):
        if Path(name).suffix.lower() in IMAGE_SUFFIXES and not is_hidden(name):
            found[folder / name] = photo
    for name in notes.outside:
        path = folder / name
        if not is_hidden(name) and (path.suffix.lower() in IMAGE_SUFFIXES or path.is_dir()):
            found[path] = ImageError("photo_outside", "link", path=str(path))
    for path in (folder / name for name in notes.unlisted):
        found[path] = ImageError("folder_unlisted", path=str(path))
    if not found:
        raise DataError("folder_without_images", path=str(folder), suffixes=sorted(IMAGE_SUFFIXES))
    return [(str(path), found[path]) for path in sorted(found)]


def ready_pixels(images: Any, preprocessing: Preprocessing) -> Pixels | None:
    """Images as `predict` takes them as one array, where they are arrays that need no transform; None otherwise.

    Returns:
        uint8 (n, height, width, channels) of the preprocessing.
    """
    shape, pixels = preprocessing.shape, None
    one_image = (shape, shape[:2]) if shape[2] == 1 else (shape,)
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8:
            return None
        if images.shape[1:] == shape:
            pixels = images
        elif images.shape in one_image:
            pixels = images.reshape(1, *shape)
    elif isinstance(images, list) and all(_is_array(image, one_image) for image in images):
        arrays = [image.reshape(1, *shape) for image in images]
        pixels = np.concatenate(arrays) if arrays else np.empty((0, *shape), np.uint8)
    return pixels if pixels is not None and is_unchanged(pixels, preprocessing.transform) else None


def _is_array(image: Any, shapes: Sequence[tuple[int, ...]]) -> bool:
    return isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape in shapes

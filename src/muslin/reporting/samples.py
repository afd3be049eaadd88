"""Samples of a data set to show: random images, a few of each class, the mean image of each class."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from muslin.data.dataset import UNKNOWN, Dataset, Images, PixelImages
from muslin.data.photos import ResizedPhotos, parallel_map
from muslin.errors import DataError, ImageError, unknown
from muslin.images.decoder import Pixels
from muslin.reporting.image_grids import apply_colour

SUM_CHUNK = 4096  # images summed at once, so that no large copy is made


def mean_images(
    images: Images, labels: NDArray[np.integer[Any]], n_classes: int, *, edge_px: int = 96, max_photos: int = 100
) -> list[Pixels | None]:
    """The mean image of every class, uint8; None for a class without readable images.

    Images in memory are all used. Photos must be decoded, so only the first `max_photos` of a class are, each cropped
    to a square of `edge_px`.
    """
    if isinstance(images, ResizedPhotos):  # at this size, a JPEG need not be decoded in full
        images = replace(images, size=(edge_px, edge_px, images.size[2]), cache=None)
    means: list[Pixels | None] = []
    for index in range(n_classes):
        chosen = _images_of_class(labels, index)
        if isinstance(images, PixelImages):
            chunks = (images.pixels[chosen[i : i + SUM_CHUNK]] for i in range(0, len(chosen), SUM_CHUNK))
            count = len(chosen)
            total = sum(chunk.sum(axis=0, dtype=np.uint32).astype(np.float64) for chunk in chunks)
        else:
            chosen = chosen[:max_photos]
            all_squares = parallel_map(partial(_square, images, chosen, edge_px), len(chosen))
            squares = [square.astype(np.float64) for square in all_squares if square is not None]
            count, total = len(squares), sum(squares)
        means.append(np.rint(total / count).astype(np.uint8) if count else None)
    return means


def _images_of_class(labels: NDArray[np.integer[Any]], index: int) -> NDArray[np.int64]:
    """Indices of the images of a class, or with a label; `labels` are those of a Dataset."""
    return np.flatnonzero((labels[:, index] == 1) if labels.ndim == 2 else (labels == index))


def _square(images: Images, chosen: NDArray[np.integer[Any]], edge_px: int, number: int) -> Pixels | None:
    """The middle of an image as RGB, filling a square; None where the image is unreadable."""
    try:
        image = Image.fromarray(apply_colour(images[int(chosen[number])])).convert("RGB")
    except ImageError:
        return None
    return np.asarray(ImageOps.fit(image, (edge_px, edge_px), Image.Resampling.BILINEAR))


def sample_per_class(
    labels: NDArray[np.integer[Any]], n_classes: int, n_per_class: int, seed: int = 0
) -> NDArray[np.int64]:
    """Indices of up to `n_per_class` random images of every class, class by class."""
    random = np.random.default_rng(seed)
    chosen = []
    for index in range(n_classes):
        members = np.flatnonzero(labels == index)
        chosen.append(np.sort(random.choice(members, min(n_per_class, len(members)), replace=False)))
    return np.concatenate(chosen).astype(np.int64)


def random_sample(indices: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `count` of the indices, drawn at random, in order."""
    chosen = np.random.default_rng(seed).choice(indices, min(count, len(indices)), replace=False)
    return np.sort(chosen).astype(np.int64)


def sample_indices(
    dataset: Dataset, *, count: int = 25, class_name: str | None = None, seed: int = 0
) -> NDArray[np.int64]:
    """Indices of `count` random images, in order; only of the class `class_name` where given.

    Raises:
        DataError: no such class or target, no image of it, or `count` below 1.
    """
    if count < 1:
        raise DataError("sample_size", count=count)
    indices = np.arange(len(dataset))
    if class_name is not None:
        chosen = dataset.target()
        if class_name not in chosen.classes:
            raise DataError("class_unknown", path=dataset.name, **unknown(class_name, chosen.classes))
        indices = _images_of_class(dataset.labels[chosen.name], chosen.classes.index(class_name))
    if not len(indices):
        raise DataError("no_image_to_show", path=dataset.name, class_name=class_name)
    return random_sample(indices, count, seed)


def label_text(dataset: Dataset, index: int, target: str | None = None) -> str:
    """The class or the labels of the image at `index`, `unknown`, or an empty text where there is no target."""
    if not dataset.targets:
        return ""
    if target is None and len(dataset.targets) > 1:
        return "; ".join(f"{t.name}: {label_text(dataset, index, t.name)}" for t in dataset.targets)
    chosen = dataset.target(target)
    label = dataset.labels[chosen.name][index]
    if np.ndim(label):
        if not (label != UNKNOWN).any():
            return "unknown"
        return ", ".join(chosen.classes[i] for i in np.flatnonzero(np.equal(label, 1))) or "none"
    return chosen.classes[int(label)] if int(label) >= 0 else "unknown"

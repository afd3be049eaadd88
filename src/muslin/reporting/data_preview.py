"""What `muslin look` shows: a summary of a data set, one image, a class, a sample or the mean of each class."""

import math
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, class_counts
from muslin.data.draws import evenly_spaced
from muslin.data.photos import PhotoImages
from muslin.errors import DataError, ImageError
from muslin.images.decoder import Pixels
from muslin.messages import plain
from muslin.printing import echo, unwrap_stream
from muslin.reporting.image_grids import (
    ColourMode,
    SheetSection,
    apply_colour,
    contact_sheet,
    png_bytes,
    terminal_image,
)
from muslin.reporting.samples import label_text, mean_images, sample_indices
from muslin.text import plural

MAX_HEADERS = 1000
"""Photos whose header is read for the range of sizes and the modes."""

_CROSS = np.eye(32, dtype=bool) | np.eye(32, dtype=bool)[::-1]
UNREADABLE = np.where(_CROSS, 90, 225).astype(np.uint8)[:, :, None]
"""Shown in place of an unreadable photo."""


@dataclass(frozen=True)
class ImageSelection:
    """Which images to show, and how.

    Attributes:
        index: this image only.
        class_means: the mean image of each class instead of single images.
        class_name: only images of this class.
        sample: how many random images.
        seed: of that sample.
        colour: see `muslin.reporting.image_grids.ColourMode`.
    """

    index: int | None = None
    class_means: bool = False
    class_name: str | None = None
    sample: int | None = None
    seed: int = 0
    colour: ColourMode = "original"


def read_photo_headers(dataset: Dataset) -> dict[str, Any] | None:
    """What the headers of at most MAX_HEADERS photos say; None for images in memory, and without any photo.

    `n`: photos whose header was read, evenly spaced over the set; `smallest`, `largest`: (height, width) in pixels of
    the photos with the fewest and the most pixels, None where no header is readable; `modes`: how many photos have each
    of Pillow's modes, the most frequent first; `unreadable`: the problem of each unreadable photo.
    """
    from muslin.images import read_header

    if not isinstance(dataset.images, PhotoImages) or not len(dataset):
        return None
    sizes, modes, unreadable = [], Counter[str](), []
    chosen = evenly_spaced(len(dataset), MAX_HEADERS).tolist()
    for index in chosen:
        photo = dataset.images.photos[index]
        try:
            height, width, mode = read_header(photo.content(), name=photo.name)
        except ImageError as error:
            unreadable.append(error.message)
            continue
        sizes.append((height, width))
        modes[mode] += 1
    smallest, largest = (pick(sizes, key=math.prod, default=None) for pick in (min, max))
    facts = {"n": len(chosen), "smallest": smallest, "largest": largest}
    return facts | {"modes": dict(modes.most_common()), "unreadable": unreadable}


def photos_text(photos: dict[str, Any]) -> str:
    """For example `1,000 photos examined: 300×200 to 4032×3024 px, 998 RGB, 2 L`."""
    facts = []
    if photos["smallest"]:
        sizes = [f"{width}×{height}" for height, width in dict.fromkeys((photos["smallest"], photos["largest"]))]
        facts.append(f"{' to '.join(sizes)} px")
        facts += [f"{count:,} {mode}" for mode, count in photos["modes"].items()]
    if photos["unreadable"]:
        facts.append(f"{len(photos['unreadable']):,} unreadable, the first: {photos['unreadable'][0]}")
    return f"{plural(photos['n'], 'photo')} examined: {', '.join(facts)}"


def first_shape(dataset: Dataset) -> tuple[int, ...] | None:
    """(height, width, channels) of the first readable image among the first ten; None if there is none."""
    for index in range(min(len(dataset), 10)):
        with suppress(ImageError):
            return dataset.images[index].shape
    return None


def has_unknown(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Per image whether its class, or any of its labels, is unknown."""
    mask: NDArray[np.bool_] = labels == UNKNOWN
    return np.any(mask, axis=1) if mask.ndim == 2 else mask


def dataset_summary(dataset: Dataset) -> dict[str, Any]:
    """What is in a data set, as JSON values."""
    parts = dataset.parts
    targets = {}
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        counts = class_counts(target, labels).tolist()
        targets[target.name] = {
            "kind": target.kind,
            "classes": dict(zip(target.classes, counts, strict=True)),
            "n_unlabelled": int(has_unknown(labels).sum()),
        }
    shape, photos = first_shape(dataset), read_photo_headers(dataset)
    return {
        "name": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fixes": plain(dataset.fixes),
        "images": len(dataset),
        "shape": list(shape) if shape else None,
        "photo_files": plain(photos),
        "parts": None if parts is None else {p: int((parts == p).sum()) for p in PARTS if (parts == p).any()},
        "groups": group_counts(dataset),
        "products": product_counts(dataset),
        "copies": count_copies(dataset),
        "targets": targets,
        "fingerprint": dataset.fingerprint,
    }


def count_copies(dataset: Dataset) -> int:
    """Images that are exact copies of earlier ones: byte-equal photos, or equal pixels."""
    return int((dataset.first_copies != np.arange(len(dataset))).sum())


def group_counts(dataset: Dataset) -> dict[str, int] | None:
    """The number of groups, and the fewest and most images of one; None without groups."""
    if dataset.groups is None:
        return None
    counts = np.unique(dataset.groups.astype(str), return_counts=True)[1]
    return {"n": len(counts), "fewest": int(counts.min()), "most": int(counts.max())}


def product_counts(dataset: Dataset) -> dict[str, Any] | None:
    """The number of products, the fewest and most photos of one, and the photos of each role; None without products."""
    if dataset.products is None:
        return None
    counts = np.unique(dataset.products.astype(str), return_counts=True)[1]
    roles = dict(Counter(role for role in dataset.roles.tolist() if role)) if dataset.roles is not None else {}
    return {"n": len(counts), "fewest": int(counts.min()), "most": int(counts.max()), "roles": roles}


def selected_images(dataset: Dataset, selection: ImageSelection, default_sample: int) -> list[tuple[str, Pixels]]:
    """The selected images, each with its caption; unreadable ones are replaced by a cross.

    Raises:
        DataError: no such index, class or target.
        ImageError: the image asked for by its index is unreadable.
    """
    if selection.class_means:
        target = dataset.target()
        means = mean_images(dataset.images, dataset.labels[target.name], len(target.classes))
        return [(name, mean) for name, mean in zip(target.classes, means, strict=True) if mean is not None]
    if (index := selection.index) is None:
        count = selection.sample or default_sample
        chosen = sample_indices(dataset, count=count, class_name=selection.class_name, seed=selection.seed).tolist()
    elif not 0 <= index < len(dataset):
        raise DataError("image_index", path=dataset.name, index=index, last=len(dataset) - 1)
    else:
        chosen = [index]
    images = []
    for i in chosen:
        try:
            images.append((f"{label_text(dataset, i)}\n{dataset.ids[i]}".strip(), dataset.images[i]))
        except ImageError:
            if index is not None:
                raise
            images.append((f"unreadable: {dataset.ids[i]}", UNREADABLE))
    return images


def preview_sheet(dataset: Dataset, selection: ImageSelection) -> bytes:
    """The selected images on a contact sheet, the bytes of a PNG; one image by its index without any frame."""
    images = selected_images(dataset, selection, default_sample=25)
    if selection.index is not None:
        return png_bytes(apply_colour(images[0][1], selection.colour))
    captions, pixels = zip(*images, strict=True)
    columns = min(10, max(1, round(len(images) ** 0.5)))
    return contact_sheet([SheetSection("", pixels, captions)], columns=columns, colour=selection.colour)


def print_preview(dataset: Dataset, selection: ImageSelection) -> None:
    """Print the selected images as characters, each under its caption."""
    for caption, pixels in selected_images(dataset, selection, default_sample=3):
        echo(caption.replace("\n", " · "))
        unwrap_stream(sys.stdout).write(terminal_image(apply_colour(pixels, selection.colour)) + "\n\n")

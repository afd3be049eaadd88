"""What `muslin look` shows: one image, a class, a sample or the mean of each class."""

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

from muslin.data.dataset import PARTS, UNKNOWN, Dataset
from muslin.data.photos import PhotoImages
from muslin.errors import DataError, ImageError
from muslin.reporting.image_grids import (
    Colour,
    Pixels,
    apply_colour,
    contact_sheet,
    counts_of,
    label_text,
    mean_images,
    png_bytes,
    sample_indices,
    terminal_image,
)

CROSSED = np.where(np.eye(32, dtype=bool) | np.eye(32, dtype=bool)[::-1], 90, 225).astype(np.uint8)[
    :, :, None
]
"""Shown in place of a photo that cannot be read."""


@dataclass(frozen=True)
class ImageSelection:
    """Which images to show, and how.

    Attributes:
        index: this one only.
        mean: the mean image of each class instead of single ones.
        class_name: only of this class.
        sample: how many, drawn at random.
        seed: of that draw.
        colour: see `muslin.reporting.image_grids.Colour`.
    """

    index: int | None = None
    mean: bool = False
    class_name: str | None = None
    sample: int | None = None
    seed: int = 0
    colour: Colour = "own"


MAX_HEADERS = 1000
"""Photos whose header is read to tell the range of sizes and the modes."""


@dataclass(frozen=True)
class PhotoHeaders:
    """What the headers of photos say.

    Attributes:
        looked_at: how many photos, evenly spread over the set.
        smallest, largest: (height, width) in pixels of the photos with the fewest and the most; None where no header
            can be read.
        modes: per mode of Pillow's how many, the most frequent first.
        unreadable: what is wrong with each of the others.
    """

    extract_features: int
    smallest: tuple[int, int] | None
    largest: tuple[int, int] | None
    modes: dict[str, int]
    unreadable: tuple[str, ...]

    def sentence(self) -> str:
        """For a person, for example `photos of 300×200 to 4032×3024 px; RGB 998, L 2; of 1,000 looked at`."""
        said = []
        if self.smallest and self.largest:
            sizes = [f"{width}×{height}" for height, width in dict.fromkeys((self.smallest, self.largest))]
            said.append(f"photos of {' to '.join(sizes)} px")
            said.append(", ".join(f"{mode} {count:,}" for mode, count in self.modes.items()))
        if self.unreadable:
            said.append(f"{len(self.unreadable):,} cannot be read, first {self.unreadable[0]}")
        return "; ".join([*said, f"of {self.extract_features:,} looked at"])


def read_photo_headers(dataset: Dataset) -> PhotoHeaders | None:
    """What the headers of at most MAX_HEADERS photos say; None for a set of pixels, or an empty one."""
    from muslin.images import read_header

    if not isinstance(dataset.images, PhotoImages) or not len(dataset):
        return None
    sizes, modes, unreadable = [], Counter[str](), []
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), MAX_HEADERS)).astype(int)).tolist()
    for index in chosen:
        photo = dataset.images.photos[index]
        try:
            height, width, mode = read_header(photo.content(), name=photo.name)
        except ImageError as error:
            unreadable.append(str(error))
            continue
        sizes.append((height, width))
        modes[mode] += 1
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    return PhotoHeaders(
        len(chosen),
        by_area[0] if by_area else None,
        by_area[-1] if by_area else None,
        dict(modes.most_common()),
        tuple(unreadable),
    )


def first_shape(dataset: Dataset) -> tuple[int, ...] | None:
    """(height, width, channels) of the first image that can be decoded, of the first ten; None if none can."""
    for index in range(min(len(dataset), 10)):
        with suppress(ImageError):
            return dataset.images[index].shape
    return None


def dataset_summary(dataset: Dataset) -> dict[str, Any]:
    """What is in a data set, as JSON values."""
    parts = dataset.parts
    counts = None if parts is None else {p: int((parts == p).sum()) for p in PARTS if (parts == p).any()}
    targets = {}
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        held = counts_of(labels, len(target.classes))
        targets[target.name] = {
            "kind": target.kind,
            "classes": dict(zip(target.classes, held.tolist(), strict=True)),
            "unknown": int(
                (labels == UNKNOWN).sum() if labels.ndim == 1 else (labels == UNKNOWN).any(axis=1).sum()
            ),
        }
    shape, photos = first_shape(dataset), read_photo_headers(dataset)
    return {
        "name": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fixes": list(dataset.fixes),
        "images": len(dataset),
        "size": list(shape) if shape else None,
        "photos": None if photos is None else asdict(photos),
        "parts": counts,
        "targets": targets,
        "fingerprint": dataset.fingerprint,
    }


def chosen_images(dataset: Dataset, sheet: ImageSelection, usual: int = 25) -> list[tuple[str, Pixels]]:
    """The images that `sheet` asks for, each with a caption.

    Raises:
        DataError: no such index, class or target.
    """
    if sheet.mean:
        target = dataset.target()
        labels = dataset.labels[target.name]
        if labels.ndim == 2:
            means = [mean_images(dataset.images, labels[:, i] - 1, 1)[0] for i in range(len(target.classes))]
        else:
            means = mean_images(dataset.images, labels, len(target.classes))
        return [(name, mean) for name, mean in zip(target.classes, means, strict=True) if mean is not None]
    if sheet.index is not None:
        if not 0 <= sheet.index < len(dataset):
            raise DataError(
                f"{dataset.name}: no image {sheet.index}. They are numbered 0 to {len(dataset) - 1:,}."
            )
        indices = np.array([sheet.index])
    else:
        indices = sample_indices(
            dataset, count=sheet.sample or usual, class_name=sheet.class_name, seed=sheet.seed
        )
    pictures = []
    for i in indices.tolist():
        caption = f"{label_text(dataset, i)}\n{dataset.ids[i]}".strip()
        try:
            pictures.append((caption, dataset.images[i]))
        except ImageError:
            if sheet.index is not None:
                raise
            pictures.append((f"cannot be read: {dataset.ids[i]}", CROSSED))
    return pictures


def preview_sheet(dataset: Dataset, sheet: ImageSelection) -> bytes:
    """The chosen images as one contact sheet, the bytes of a PNG; a single one by its index as it is."""
    pictures = chosen_images(dataset, sheet)
    if sheet.index is not None:
        return png_bytes(apply_colour(pictures[0][1], sheet.colour))
    columns = min(10, max(1, round(len(pictures) ** 0.5)))
    return contact_sheet(
        [pixels for _, pixels in pictures],
        [caption for caption, _ in pictures],
        columns=columns,
        colour=sheet.colour,
    )


def print_preview(dataset: Dataset, sheet: ImageSelection) -> None:
    """The chosen images as characters, each under its caption."""
    for caption, pixels in chosen_images(dataset, sheet, usual=3):
        shown = apply_colour(pixels, sheet.colour)
        click.echo(" · ".join(caption.split("\n")))
        click.echo(terminal_image(shown if shown.ndim == 3 else shown[..., None]))
        click.echo()

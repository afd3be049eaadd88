"""What `muslin look` shows: one picture, a class, a sample or the mean of each class."""

from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from muslin.data.dataset import PARTS, Dataset
from muslin.errors import DataError
from muslin.show.pictures import (
    Colour,
    Pixels,
    coloured,
    contact_sheet,
    label_text,
    mean_images,
    png,
    sample_indices,
    terminal_picture,
)


@dataclass(frozen=True)
class Sheet:
    """Which pictures to show, and how.

    Attributes:
        index: this one only.
        mean: the mean picture of each class instead of single ones.
        class_name: only of this class.
        sample: how many, drawn at random.
        seed: of that draw.
        colour: see `muslin.show.pictures.Colour`.
    """

    index: int | None = None
    mean: bool = False
    class_name: str | None = None
    sample: int | None = None
    seed: int = 0
    colour: Colour = "own"


def summary(dataset: Dataset) -> dict[str, Any]:
    """What is in a data set, as JSON values."""
    parts = dataset.parts
    counts = None if parts is None else {p: int((parts == p).sum()) for p in PARTS if (parts == p).any()}
    targets = {}
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        of_class = [
            (labels == i) if labels.ndim == 1 else (labels[:, i] == 1) for i in range(len(target.classes))
        ]
        targets[target.name] = {
            "kind": target.kind,
            "classes": {
                name: int(chosen.sum()) for name, chosen in zip(target.classes, of_class, strict=True)
            },
        }
    return {
        "name": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "repairs": list(dataset.repairs),
        "pictures": len(dataset),
        "size": list(dataset.images[0].shape) if len(dataset) else None,
        "parts": counts,
        "targets": targets,
        "fingerprint": dataset.fingerprint,
    }


def chosen_pictures(dataset: Dataset, sheet: Sheet, usual: int = 25) -> list[tuple[str, Pixels]]:
    """The pictures that `sheet` asks for, each with a caption.

    Raises:
        DataError: no such index, class or target.
    """
    if sheet.mean:
        target = dataset.target()
        means = mean_images(dataset.images, dataset.labels[target.name], len(target.classes))
        return [(name, mean) for name, mean in zip(target.classes, means, strict=True) if mean is not None]
    if sheet.index is not None:
        if not 0 <= sheet.index < len(dataset):
            raise DataError(
                f"{dataset.name}: no picture {sheet.index}. They are numbered 0 to {len(dataset) - 1:,}."
            )
        indices = np.array([sheet.index])
    else:
        indices = sample_indices(
            dataset, count=sheet.sample or usual, class_name=sheet.class_name, seed=sheet.seed
        )
    return [
        (f"{label_text(dataset, int(i))}\n{dataset.ids[i]}".strip(), dataset.images[int(i)]) for i in indices
    ]


def as_png(dataset: Dataset, sheet: Sheet) -> bytes:
    """The chosen pictures as one contact sheet, the bytes of a PNG; a single one by its index as it is."""
    pictures = chosen_pictures(dataset, sheet)
    if sheet.index is not None:
        return png(coloured(pictures[0][1], sheet.colour))
    columns = min(10, max(1, round(len(pictures) ** 0.5)))
    return contact_sheet(
        [pixels for _, pixels in pictures],
        [caption for caption, _ in pictures],
        columns=columns,
        colour=sheet.colour,
    )


def print_pictures(dataset: Dataset, sheet: Sheet) -> None:
    """The chosen pictures as characters, each under its caption."""
    for caption, pixels in chosen_pictures(dataset, sheet, usual=3):
        shown = coloured(pixels, sheet.colour)
        click.echo(" · ".join(caption.split("\n")))
        click.echo(terminal_picture(shown if shown.ndim == 3 else shown[..., None]))
        click.echo()

"""A data set as a table for the terminal, at most 80 columns wide."""

from typing import TYPE_CHECKING, TextIO

import numpy as np

from muslin.data.dataset import PARTS, UNKNOWN, Dataset
from muslin.data.photos import PhotoImages
from muslin.reporting.data_preview import first_shape, read_photo_headers
from muslin.reporting.image_grids import counts_of
from muslin.reporting.terminal.console import console_for, plain_table, printable
from muslin.text import plural

if TYPE_CHECKING:
    from rich.console import Console

BAR_COLUMNS = 22
CLASSES_SHOWN = 250


def print_dataset(dataset: Dataset, target: str | None = None, file: TextIO | None = None) -> None:
    """Name, size, format, origin, repairs, and images per class and part; of several targets a row each.

    Raises:
        DataError: `target` is no target of the data set.
    """
    console = console_for(file)
    shape, photos = first_shape(dataset), read_photo_headers(dataset)
    height, width, channels = shape or (0, 0, 0)
    kind = {1: "gray", 3: "colour"}.get(channels, "")
    size = f", the first {width}×{height} px {kind}" if shape else ""
    console.print(
        f"{printable(dataset.name)}: {plural(len(dataset), 'image')}{size}, format {dataset.format}"
    )
    console.print(_detected(dataset), soft_wrap=True)
    for sentence in (dataset.origin, *dataset.fixes, photos.sentence() if photos else ""):
        if sentence:
            console.print(printable(sentence), soft_wrap=True)
    if not dataset.targets:
        console.print("no labels")
        return
    if target is None and len(dataset.targets) > 1:
        _print_targets(dataset, console)
        return
    asked = dataset.target(target)
    labels = dataset.labels[asked.name]
    if dataset.parts is None:
        columns = {"images": np.ones(len(dataset), dtype=bool)}
    else:
        columns = {part: dataset.parts == part for part in PARTS if (dataset.parts == part).any()}
    counts = {name: counts_of(labels[part], len(asked.classes)) for name, part in columns.items()}
    totals = counts_of(labels, len(asked.classes))
    shown = np.sort(np.argsort(-totals, kind="stable")[:CLASSES_SHOWN])  # all, unless there are very many
    rows = [
        (printable(asked.classes[i]), [int(c[i]) for c in counts.values()], int(totals[i])) for i in shown
    ]
    unknown = (labels == UNKNOWN).any(axis=1) if labels.ndim == 2 else labels == UNKNOWN
    if unknown.any():
        rows.append(("(unknown)", [int((unknown & p).sum()) for p in columns.values()], int(unknown.sum())))
    most = max((total for _, _, total in rows), default=0) or 1
    several = " (several an image)" if asked.kind == "multilabel" else ""
    console.print(
        f"\n{printable(asked.name)}: {plural(len(asked.classes), 'class', 'classes')}{several}", style="bold"
    )
    table = plain_table()
    table.add_column("class", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for name, numbers, total in rows:
        table.add_row(name, *(f"{number:,}" for number in numbers), _bar(total / most, console))
    console.print(table)
    if len(shown) < len(asked.classes):
        console.print(f"the {len(shown):,} most frequent; --json has all")


def _detected(dataset: Dataset) -> str:
    """`detected: folders, 3 parts, 10 classes, 3,781 photos`."""
    said = [dataset.format]
    if dataset.parts is not None:
        said.append(plural(sum((dataset.parts == part).any() for part in PARTS), "part"))
    if len(dataset.targets) == 1:
        said.append(plural(len(dataset.targets[0].classes), "class", "classes"))
    elif dataset.targets:
        said.append(f"{len(dataset.targets)} possible targets")
    noun = "photo" if isinstance(dataset.images, PhotoImages) else "image"
    return "detected: " + ", ".join([*said, plural(len(dataset), noun)])


def _print_targets(dataset: Dataset, console: "Console") -> None:
    """A row per target, where there are several."""
    console.print(f"\n{len(dataset.targets)} possible targets (--target NAME shows one)", style="bold")
    table = plain_table()
    table.add_column("target", overflow="fold")
    table.add_column("classes", justify="right", no_wrap=True)
    table.add_column("unknown", justify="right", no_wrap=True)
    table.add_column("the most frequent", overflow="fold")
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        unknown = (labels == UNKNOWN).any(axis=1) if labels.ndim == 2 else labels == UNKNOWN
        counts = counts_of(labels, len(target.classes))
        frequent = [
            f"{printable(target.classes[i])} {counts[i]:,}" for i in np.argsort(-counts, kind="stable")[:3]
        ]
        name = printable(target.name) + (" (several an image)" if target.kind == "multilabel" else "")
        table.add_row(name, f"{len(target.classes):,}", f"{int(unknown.sum()):,}", ", ".join(frequent))
    console.print(table)


def _bar(share: float, console: "Console") -> str:
    full = "█" if console.encoding.lower().startswith("utf") else "#"
    return full * (max(1, round(share * BAR_COLUMNS)) if share > 0 else 0)

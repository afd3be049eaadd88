"""A data set as a table for the terminal, at most 80 columns wide."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, Dataset, Target, class_counts
from muslin.data.photos import PhotoImages
from muslin.reporting.data_preview import (
    count_copies,
    first_shape,
    group_counts,
    has_unknown,
    photos_text,
    product_counts,
    read_photo_headers,
)
from muslin.reporting.terminal.console import console_for, print_lines, print_table
from muslin.text import escape_controls, plural

if TYPE_CHECKING:
    from muslin.reporting.terminal.escaping_console import EscapingConsole

BAR_COLUMNS = 22
CLASSES_LISTED = 250
FREQUENT_SHOWN = 3


def print_dataset(dataset: Dataset, file: TextIO | None = None) -> None:
    """Print name, size, format, origin, fixes, and images per class and part; of several targets a row each."""
    console = console_for(file)
    shape, photos = first_shape(dataset), read_photo_headers(dataset)
    height, width, channels = shape or (0, 0, 0)
    kind = {1: "gray", 3: "colour"}.get(channels, "")
    size = f", the first {width}×{height} px {kind}" if shape else ""
    print_lines(
        console,
        f"{dataset.name}: {plural(len(dataset), 'image')}{size}",
        _detected_format(dataset),
        *filter(None, (dataset.origin, *dataset.fixes, photos_text(photos) if photos else "")),
    )
    if groups := group_counts(dataset):
        print_lines(console, f"{plural(groups['n'], 'group')} with {_counts_text(groups, 'image')}")
    if products := product_counts(dataset):
        print_lines(console, _products_text(products))
    if copies := count_copies(dataset):
        print_lines(console, f"{plural(copies, 'exact copy', 'exact copies')} of other images")
    if not dataset.targets:
        print_lines(console, "no labels")
    elif len(dataset.targets) > 1:
        _print_targets(dataset, console)
    else:
        _print_classes(dataset, dataset.targets[0], console)


def _detected_format(dataset: Dataset) -> str:
    """`detected: folders, 3 parts, 10 classes, 3,781 photos`."""
    facts = [dataset.format]
    if dataset.parts is not None:
        facts.append(plural(sum((dataset.parts == part).any() for part in PARTS), "part"))
    if len(dataset.targets) == 1:
        facts.append(plural(len(dataset.targets[0].classes), "class", "classes"))
    elif dataset.targets:
        facts.append(f"{len(dataset.targets)} possible targets")
    noun = "photo" if isinstance(dataset.images, PhotoImages) else "image"
    return "detected: " + ", ".join([*facts, plural(len(dataset), noun)])


def _products_text(products: Mapping[str, Any]) -> str:
    """`120 products with 1 to 6 photos (front 120, back 96)`."""
    roles = ", ".join(f"{role} {count:,}" for role, count in products["roles"].items())
    return f"{plural(products['n'], 'product')} with {_counts_text(products, 'photo')}" + (
        f" ({roles})" if roles else ""
    )


def _counts_text(counts: Mapping[str, Any], noun: str) -> str:
    """`1 to 6 photos`."""
    low, high = counts["fewest"], counts["most"]
    return plural(high, noun) if low == high else f"{low:,} to {plural(high, noun)}"


def _print_classes(dataset: Dataset, target: Target, console: "EscapingConsole") -> None:
    """A row per class with its images in each part."""
    labels, parts = dataset.labels[target.name], dataset.parts
    columns: Mapping[str, NDArray[np.bool_]] = {"images": np.ones(len(dataset), dtype=bool)}
    if parts is not None:
        columns = {part: parts == part for part in PARTS if (parts == part).any()}
    counts = [class_counts(target, labels[members]) for members in columns.values()]
    totals = class_counts(target, labels)
    shown = np.sort(np.argsort(-totals, kind="stable")[:CLASSES_LISTED])
    rows = [(target.classes[i], [int(c[i]) for c in counts], int(totals[i])) for i in shown]
    unknown = has_unknown(labels)
    if unknown.any():
        in_parts = [int((unknown & members).sum()) for members in columns.values()]
        rows.append(("(unknown)", in_parts, int(unknown.sum())))
    largest = max((total for _, _, total in rows), default=0) or 1
    classes = plural(len(target.classes), "class", "classes")
    console.print(f"\n{escape_controls(_target_name(target, ': ' + classes))}", style="bold")
    print_table(
        console,
        "f" + "r" * len(columns) + "l",
        ("class", *columns, ""),
        [
            (name, *(f"{number:,}" for number in numbers), _count_bar(total / largest, console))
            for name, numbers, total in rows
        ],
    )
    if len(shown) < len(target.classes):
        print_lines(console, f"the {len(shown):,} most frequent classes; --json lists all")


def _print_targets(dataset: Dataset, console: "EscapingConsole") -> None:
    """A row per target, where there are several."""
    console.print(f"\n{len(dataset.targets)} possible targets (--target NAME shows one)", style="bold")
    rows = []
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        counts = class_counts(target, labels)
        most_frequent = np.argsort(-counts, kind="stable")[:FREQUENT_SHOWN]
        frequent = ", ".join(f"{target.classes[i]} ({counts[i]:,})" for i in most_frequent)
        unknown = int(has_unknown(labels).sum())
        rows.append((_target_name(target), f"{len(target.classes):,}", f"{unknown:,}", frequent))
    print_table(console, "frrf", ("target", "classes", "unknown", "most frequent"), rows)


def _target_name(target: Target, classes: str = "") -> str:
    return target.name + classes + (" (several per image)" if target.kind == "multilabel" else "")


def _count_bar(share: float, console: "EscapingConsole") -> str:
    full = "█" if console.encoding.lower().startswith("utf") else "#"
    return full * (max(1, round(share * BAR_COLUMNS)) if share > 0 else 0)

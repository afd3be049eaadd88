"""Which column of a table groups photos: those of one sender, sample or SKU, which are alike beyond their label.

A candidate has a name of groups, in several languages; few photos per value; and photos of one value that are more
alike than other photos with the same label. It is used without asking where all of these agree, or where its name
leaves no doubt; otherwise it is proposed.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.photos import parallel_map, resize_photos
from muslin.data.tables.columns import Column, Table, wants_no_column
from muslin.data.tables.identifier_names import is_group_name, is_identifier, names_unit
from muslin.errors import ImageError
from muslin.messages import Message, examples

MIN_VALUES = 5
"""Values of a group column that is not called so for certain: fewer are rather classes."""

MAX_MEAN_PHOTOS = 20
"""Photos per value on average, of a column without a telling name: more are rather an attribute."""

MIN_IN_GROUPS = 0.3
"""Share of the photos that share their value with another one."""

SAMPLED_VALUES = 48
"""Values of which two photos each are compared, at PHOTO_PX."""

PHOTO_PX = 64

ALIKE = 0.75
"""Photos of one value are alike if they are with this probability more alike than two photos of other values and the
same label. By chance it is 0.5, with a standard error of 0.05 of 48 pairs."""

MAX_CANDIDATES = 3
"""Columns whose photos are compared."""

LARGE_GROUP = 0.5
"""Share of the images: a larger group is named, because all of it goes into one part."""

FEW_IN_GROUPS = 0.05
"""Share of the images: where fewer share their group with another image, the column hardly groups."""


@dataclass(frozen=True)
class GroupCandidate:
    """A column that may group photos, and what shows it.

    Attributes:
        low, high: photos per value, fewest and most.
        labels_alike: share of pairs of photos of one value with the same label; None where it is hardly more than of
            any pairs.
        photos_alike: probability that two photos of one value are more alike than two of other values and the same
            label, 0 to 1; None where too few could be compared, or where it is below ALIKE.
    """

    column: str
    values: int
    low: int
    high: int
    labels_alike: float | None = None
    photos_alike: float | None = None

    def note(self, code: str, hint: str | None = None) -> Message:
        """A message with all this; the fewest photos only where values differ in them."""
        return Message(code, hint, **{**vars(self), "low": self.low if self.low < self.high else None})


# ── Choosing ────────────────────────────────────────────────────────────────────────────────────────────────


def asked_group(table: Table, asked: str | None) -> tuple[str | None, bool]:
    """The column that the user named, if any; and whether one is to be guessed.

    Raises:
        DataError: not exactly one column is called so.
    """
    if asked is None or wants_no_column(asked):
        return None, asked is None
    return table.check_column(asked), False


def certain_group(table: Table, excluded: Collection[str | None]) -> GroupCandidate | None:
    """The only column that is a group because of its name, and whose values recur."""
    matches = []
    for name, column in table.columns.items():
        if is_group_name(name) and name not in excluded:
            counts = _photos_per_value(column, column.codes)
            matches += [(name, counts)] if len(counts) > 1 and counts.max() > 1 else []
    if len(matches) != 1:
        return None
    name, counts = matches[0]
    return GroupCandidate(name, len(counts), int(counts.min()), int(counts.max()))


def guess_group(
    table: Table, rows: NDArray[np.intp], dataset: Dataset, excluded: Collection[str | None]
) -> tuple[str | None, list[Message]]:
    """The column to use as the group, or None; and what a person must know: why it is used, or which is proposed.

    Args:
        rows: per image its row in `table`.
        dataset: the images and their labels.
        excluded: columns with another role.
    """
    candidates = []
    for name, column in table.columns.items():
        if name in excluded or name in table.names_twice:
            continue
        rank = 0 if is_identifier(name) else 1 if names_unit(name) else 2
        if candidate := _candidate(name, column, rows, dataset, named=rank < 2):
            candidates.append((rank, candidate))
    candidates.sort(key=lambda candidate: (candidate[0], candidate[1].values))
    compared = [(rank, compare_photos(table, rows, dataset, e)) for rank, e in candidates[:MAX_CANDIDATES]]
    alike = [(rank, e) for rank, e in compared if e.photos_alike]
    if [rank for rank, _ in alike].count(0) == 1:
        return alike[0][1].column, [alike[0][1].note("group_column_chosen")]
    shown = alike or [(rank, e) for rank, e in compared if rank == 0]
    return None, [e.note("group_column_proposed", "split") for _, e in shown]


def _candidate(
    name: str, column: Column, rows: NDArray[np.intp], dataset: Dataset, *, named: bool
) -> GroupCandidate | None:
    """What the values say; None where the column is none of groups: constant, unique, or of many photos per value."""
    codes = column.codes[rows]
    counts = _photos_per_value(column, codes)
    if len(counts) < MIN_VALUES or counts[counts > 1].sum() < MIN_IN_GROUPS * len(codes):
        return None
    if any(isinstance(cell, tuple) or "\n" in cell for cell in column.categories[:100]):
        return None
    few = counts.mean() <= MAX_MEAN_PHOTOS and len(counts) >= 2 * MIN_VALUES
    alike = _labels_alike(codes, dataset) if named or few else None
    return GroupCandidate(name, len(counts), int(counts.min()), int(counts.max()), alike) if named or alike else None


def _photos_per_value(column: Column, codes: NDArray[Any]) -> NDArray[np.int64]:
    """Images of each value that occurs in `codes`, without empty cells."""
    counts = np.bincount(codes, minlength=len(column.categories))
    return np.array([n for n, cell in zip(counts.tolist(), column.categories, strict=True) if n and cell], np.int64)


def _labels_alike(codes: NDArray[Any], dataset: Dataset) -> float | None:
    """The share of pairs of images of one value with the same label, if it is clearly more than of any two images."""
    for target in (target for target in dataset.targets if target.kind == "multiclass"):
        labels = dataset.labels[target.name]
        order = np.argsort(codes, kind="stable")
        order = order[labels[order] != UNKNOWN]
        same = codes[order][1:] == codes[order][:-1]
        chance = float(((np.bincount(labels[order]) / max(len(order), 1)) ** 2).sum())
        if same.any():
            share = float((labels[order][1:] == labels[order][:-1])[same].mean())
            if share > chance + 0.2 * (1 - chance):
                return share
    return None


# ── Photos ──────────────────────────────────────────────────────────────────────────────────────────────────


def compare_photos(table: Table, rows: NDArray[np.intp], dataset: Dataset, candidate: GroupCandidate) -> GroupCandidate:
    """`candidate` with the result of comparing two photos each of at most SAMPLED_VALUES values."""
    codes = table.columns[candidate.column].codes[rows]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    empty = np.array([not cell for cell in table.columns[candidate.column].categories])
    starts = starts[~empty[codes[order[starts]]]]
    if len(starts) > SAMPLED_VALUES:
        starts = starts[np.linspace(0, len(starts) - 1, SAMPLED_VALUES).astype(np.int64)]
    pairs = np.stack([order[starts], order[starts + 1]], axis=1)
    alike = _alikeness(dataset, pairs)
    return replace(candidate, photos_alike=alike if alike is not None and alike >= ALIKE else None)


def _alikeness(dataset: Dataset, pairs: NDArray[np.int64]) -> float | None:
    """The probability that the photos of a pair are more alike than those of two pairs with the same label.

    Args:
        pairs: int64 (pairs, 2): indices of images.
    """
    taken = dataset.take(pairs.ravel())
    features = _simple_features(taken)
    readable = np.isfinite(features[:, 0])
    if readable.sum() < 2 * MIN_VALUES:
        return None
    features = (features - np.nanmean(features, axis=0)) / np.maximum(np.nanstd(features, axis=0), 1e-6)
    distances = np.sqrt(((features[:, np.newaxis] - features) ** 2).mean(axis=2))
    pair_of = np.arange(len(features)) // 2
    other = np.asarray(pair_of[:, np.newaxis] != pair_of) & readable[:, np.newaxis] & readable
    for target in (target for target in taken.targets if target.kind == "multiclass"):
        same_label = other & np.asarray(taken.labels[target.name][:, np.newaxis] == taken.labels[target.name])
        other = same_label if same_label.sum() >= 2 * len(pairs) else other
    within = distances[::2, 1::2].diagonal()[readable[::2] & readable[1::2]]
    if len(within) < MIN_VALUES or not other.any():
        return None
    between = distances[other]
    ranks = np.searchsorted(np.sort(between), within, side="right")  # pairs at most as far apart
    return 1 - float(ranks.mean()) / len(between)


def _simple_features(dataset: Dataset) -> NDArray[np.float64]:
    """Per photo its colours at 3×3 places, their contrast and the steepness of edges, (n, 32); NaN if unreadable."""
    images = resize_photos(dataset, (PHOTO_PX, PHOTO_PX, 3)).images
    features = np.full((len(images), 32), np.nan)

    def describe(index: int) -> None:
        try:
            pixels = images[index].astype(np.float64)
        except ImageError:
            return
        rows = np.array_split(pixels, 3)
        cells = [cell for row in rows for cell in np.array_split(row, 3, axis=1)]
        gradients = [np.abs(np.diff(pixels, axis=axis)).mean() for axis in (0, 1)]
        colours = np.concatenate([cell.mean(axis=(0, 1)) for cell in cells])
        features[index] = np.concatenate([colours, pixels.std(axis=(0, 1)), gradients])

    for _ in parallel_map(describe, len(images)):
        pass
    return features


# ── What to know of the groups that are used ────────────────────────────────────────────────────────────────


def group_notes(dataset: Dataset, column: str, n_empty: int) -> list[Message]:
    """What is odd about the groups of a data set: one for all, one for nearly each image, one of most
    images, empty cells, a whole class in one.

    Args:
        n_empty: images whose cell is empty.
    """
    assert dataset.groups is not None
    names, group_of, sizes = np.unique(dataset.groups.astype(str), return_inverse=True, return_counts=True)
    count, notes = len(names), []
    if count == 1 < len(dataset):
        return [Message("group_column_constant", column=column, value=str(dataset.groups[0]), n=len(dataset))]
    if count == len(dataset):
        notes.append(Message("group_column_unique", column=column, n=len(dataset)))
    elif (shared := int(sizes[sizes > 1].sum())) < FEW_IN_GROUPS * len(dataset):
        notes.append(Message("groups_rarely_shared", column=column, n=shared, total=len(dataset)))
    if count > 1 and (most := int(sizes.max())) > LARGE_GROUP * len(dataset):
        value = str(names[sizes.argmax()])
        notes.append(Message("group_of_most_images", column=column, value=value, n=most, total=len(dataset)))
    if n_empty:
        notes.append(Message("group_cells_empty", column=column, n=n_empty))
    return notes + _classes_in_one_group(dataset, column, group_of)


def _classes_in_one_group(dataset: Dataset, column: str, group_of: NDArray[np.intp]) -> list[Message]:
    notes = []
    for target in (target for target in dataset.targets if target.kind == "multiclass"):
        labels, names = dataset.labels[target.name], []
        for index, name in enumerate(target.classes):
            groups = group_of[labels == index]
            if len(groups) > 1 and (groups == groups[0]).all():
                names.append(name)
        if names:
            notes.append(Message("classes_in_one_group", column=column, target=target.name, **examples(names)))
    return notes

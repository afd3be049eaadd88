"""Folds for cross-validation: units of images are never divided, and classes are spread evenly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.copies import units_of
from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.errors import TrainingError
from muslin.messages import Message, examples

Indices = NDArray[np.int64]


def fold_numbers(
    dataset: Dataset, indices: Indices, n_folds: int, seed: int, near_pairs: NDArray[np.int64] | None = None
) -> tuple[Indices, list[Message]]:
    """The fold of each sample at `indices`, 0 to `n_folds` - 1, and what a person must know of the folds.

    No group, no product, no image with its copies, and no pair of near-duplicates is in two folds. Classes of the
    first target have the same proportions in each fold, as far as that allows. With fewer units than folds there are
    as many folds as units.

    Args:
        near_pairs: int64 (pairs, 2), indices into `dataset` of images to keep together, such as near-duplicates.

    Raises:
        TrainingError: all samples are in one unit.
    """
    units = units_of(dataset, indices, near_pairs)
    n_units = len(np.unique(units))
    if n_units < 2:
        raise TrainingError("one_group", name=dataset.name)
    notes = []
    if n_units < n_folds:
        notes.append(Message("fewer_groups_than_folds", groups=n_units, folds=n_folds))
        n_folds = n_units
    first = dataset.targets[0]
    folds = assign_folds(fold_strata(first, dataset.labels[first.name][indices]), units, n_folds, seed)
    for target in dataset.targets:
        if names := _classes_of_one_fold(target, dataset.labels[target.name][indices], folds):
            notes.append(Message("classes_of_one_fold", target=target.name, **examples(names)))
    return folds, notes


def draw_sample(dataset: Dataset, indices: Indices, size: int, seed: int) -> tuple[Indices, Indices]:
    """At most `size` of `indices` at random, and the others; no group, no product and no copy is in both."""
    units = np.unique(units_of(dataset, indices), return_inverse=True)[1]
    counts = np.bincount(units)
    drawn, left = np.zeros(len(counts), dtype=bool), size
    for unit in np.random.default_rng(seed).permutation(len(counts)):
        if counts[unit] <= left:
            drawn[unit] = True
            left -= counts[unit]
    return indices[drawn[units]], indices[~drawn[units]]


def assign_folds(strata: Indices, units: Indices, n_folds: int, seed: int) -> Indices:
    """The fold of each sample, int64 (n,), from 0 to `n_folds` - 1: strata spread evenly, units never divided.

    Units of several samples come first, the largest before the others, each to the fold that lacks its strata most;
    then single samples fill up each stratum. scikit-learn's StratifiedGroupKFold takes 49 s for 60,000 single images.

    Args:
        strata: (n,) class indices or UNKNOWN.
        units: (n,) samples with the same number go into the same fold.
    """
    _, unit_of, sizes = np.unique(units, return_inverse=True, return_counts=True)
    _, strata = np.unique(strata, return_inverse=True)
    in_stratum = np.bincount(strata)
    counts = np.zeros((n_folds, len(in_stratum)), dtype=np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = np.argsort(unit_of, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    folds = np.empty(len(strata), dtype=np.int64)
    largest_first = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    for unit in largest_first[: int((sizes > 1).sum())].tolist():
        own, n = np.unique(strata[members[unit]], return_counts=True)
        load = counts[:, own] @ (n / in_stratum[own])
        fold = np.lexsort((counts.sum(axis=1), load))[0]
        counts[fold, own] += n
        folds[members[unit]] = fold
    single = order[np.cumsum(sizes) - 1][shuffled]
    single = single[sizes[shuffled] == 1]
    for stratum in np.unique(strata[single]).tolist():
        chosen = single[strata[single] == stratum]
        places = counts[:, [stratum]] + np.arange(len(chosen))  # (folds, n): what a fold has before one more
        totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), places.shape)
        taken = np.lexsort((totals.ravel(), places.ravel()))[: len(chosen)] // len(chosen)
        counts[:, stratum] += np.bincount(taken, minlength=n_folds)
        folds[chosen] = taken
    return folds


def fold_strata(target: Target, labels: NDArray[np.integer[Any]]) -> Indices:
    """The strata of `assign_folds`, int64 (n,): the class; of several labels an image its rarest, or UNKNOWN."""
    if target.kind == "multiclass":
        return labels.astype(np.int64)
    yes = labels == 1
    rarest_first = np.argsort(yes.sum(axis=0), kind="stable")
    rarest = rarest_first[yes[:, rarest_first].argmax(axis=1)]
    return np.where(yes.any(axis=1), rarest, UNKNOWN).astype(np.int64)


def _classes_of_one_fold(target: Target, labels: NDArray[np.integer[Any]], folds: Indices) -> list[str]:
    """The classes whose images are all in one fold: their out-of-fold predictions cannot be correct."""
    if target.kind == "multiclass":
        samples = np.flatnonzero(labels != UNKNOWN)
        classes = labels[samples]
    else:
        samples, classes = np.nonzero(labels == 1)
    first, last = np.full(len(target.classes), len(folds)), np.full(len(target.classes), -1)
    np.minimum.at(first, classes, folds[samples])
    np.maximum.at(last, classes, folds[samples])
    return [target.classes[index] for index in np.flatnonzero(first == last)]

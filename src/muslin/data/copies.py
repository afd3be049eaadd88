"""Copies of one image: photos with byte-equal files, or images in memory with equal pixels."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset
from muslin.extras import require_extra
from muslin.messages import Message, examples

MAX_CONFLICT_LABELS = 5
"""Labels of a target that a message names."""

Indices = NDArray[np.int64]


def unit_numbers(count: int, edges: NDArray[np.int64], *groupings: NDArray[np.object_] | None) -> Indices:
    """Per sample the number of its unit, int64 (count,): copies and samples of one group or product are in one unit.

    Args:
        edges: int64 (edges, 2), pairs of copies.
        groupings: object (count,) each: the groups and the products of a Dataset.

    Raises:
        MissingPartError: SciPy is not installed.
    """
    require_extra("train")
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = [edges]
    for groups in groupings:
        if groups is not None:
            _, first, group_of = np.unique(groups.astype(str), return_index=True, return_inverse=True)
            ends.append(np.stack([np.arange(count), first[group_of]], axis=1))
    one, other = np.concatenate(ends).T
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)


def units_of(dataset: Dataset, indices: Indices, near_pairs: NDArray[np.int64] | None = None) -> Indices:
    """Per sample at `indices` the number of its unit: what must stay together, for groups, products and copies.

    Args:
        near_pairs: int64 (pairs, 2), indices into `dataset` of images to keep together besides.
    """
    _, position, copy_of = np.unique(dataset.first_copies[indices], return_index=True, return_inverse=True)
    edges = [np.stack([np.arange(len(indices)), position[copy_of]], axis=1)]
    if near_pairs is not None:
        place = np.full(len(dataset), -1)
        place[indices] = np.arange(len(indices))
        near = place[near_pairs]
        edges.append(near[(near >= 0).all(axis=1)])
    return unit_numbers(len(indices), np.concatenate(edges), *groupings_of(dataset, indices))


def groupings_of(dataset: Dataset, indices: Indices) -> list[NDArray[np.object_]]:
    """The groups and the products of the samples at `indices`, where the data have them."""
    return [values[indices] for values in (dataset.groups, dataset.products) if values is not None]


def leaked_into(dataset: Dataset, train: Indices, indices: Indices) -> NDArray[np.bool_]:
    """Whether each image at `indices` is a copy of an image at `train`."""
    return np.isin(dataset.first_copies[indices], dataset.first_copies[train])


def copy_messages(dataset: Dataset, sets: Mapping[str, Indices], *, drawn: bool = False) -> list[Message]:
    """What a person must know of copies: how many there are, which are in two sets, which have different labels.

    Args:
        sets: per part its indices, the training set first.
        drawn: whether the sets were drawn by muslin, with copies kept together.
    """
    every, parts = np.concatenate(list(sets.values())), list(sets)
    messages: list[Message] = []
    for place, part in enumerate(parts):
        for other in parts[:place]:
            leaked = sets[part][leaked_into(dataset, sets[other], sets[part])]
            if len(leaked):
                ids = map(str, dataset.ids[leaked])
                messages.append(Message("copies_in_two_parts", part=part, other=other, **examples(ids)))
    if n := len(every) - len(np.unique(dataset.first_copies[every])):
        messages.insert(0, Message("copies_found", "kept_together" if drawn and not messages else None, n=n))
    if conflicts := label_conflicts(dataset, every):
        messages.append(Message("copies_with_other_labels", **examples(conflicts)))
    return messages


def label_conflicts(dataset: Dataset, indices: Indices) -> list[str]:
    """The images at `indices` whose copies there have another label: `a.jpg (label: coat / dress)`, one a photo."""
    first = dataset.first_copies[indices]
    order = np.argsort(first, kind="stable")
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    conflicts = []
    for members in np.split(indices[order], starts[1:]) if len(starts) < len(indices) else []:
        if len(members) > 1 and (labels := conflicting_labels(dataset, members)):
            conflicts.append(f"{dataset.ids[members[0]]} ({'; '.join(labels)})")
    return conflicts


def conflicting_labels(dataset: Dataset, indices: Indices) -> list[str]:
    """Per target in which known labels at `indices` differ: `label: coat / dress`."""
    conflicts = []
    for target in dataset.targets:
        labels = dataset.labels[target.name][indices]
        if target.kind == "multilabel":
            both = (labels == 1).any(axis=0) & (labels == 0).any(axis=0)
            names = [f"{target.classes[i]} yes / no" for i in np.flatnonzero(both)]
            text = ", ".join(names[:MAX_CONFLICT_LABELS])
        else:
            names = [target.classes[i] for i in np.unique(labels[labels != UNKNOWN])]
            text = " / ".join(names[:MAX_CONFLICT_LABELS]) if len(names) > 1 else ""
        conflicts += [f"{target.name}: {text}"] if text else []
    return conflicts

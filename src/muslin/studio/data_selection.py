"""Which images of a data set a page shows, in which order: filters and sorts over arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.studio.data_sets import OpenData

SORTS = ("order", "id", "label", "random")
"""And the names of the values: `confidence`, `loss`, `similarity` …"""

STATES = ("all", "decided", "undecided", "excluded", "unlabelled")
Bools = NDArray[np.bool_]
Values = Mapping[str, NDArray[np.floating[Any]]]
"""Per name a number of each image, (count,); NaN where there is none."""


@dataclass(frozen=True)
class Selection:
    """What a page wants to see. What is empty or None is no condition.

    Attributes:
        classes: names of classes of the target; an image with any of them.
        parts, groups: names.
        text: in the id or in the group, in any case.
        state: one of STATES.
        ranges: per name of a value its lowest and its highest, each possibly None.
        sort: one of SORTS, or the name of a value.
        descending: whether the highest comes first.
    """

    classes: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    text: str = ""
    state: str = "all"
    ranges: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    sort: str = "order"
    descending: bool = False


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of the images of a data set, for one target.

    Attributes:
        labels: with the decisions; None where the data have no labels.
        decided, excluded: bool (count,).
        values: numbers by which images are sorted and filtered.
    """

    labels: NDArray[np.integer[Any]] | None
    decided: Bools
    excluded: Bools
    values: Values = field(default_factory=dict)


def selected(opened: OpenData, target: str | None, facts: Facts, wanted: Selection) -> NDArray[np.int32]:
    """The indices of the images that are wanted, int32, in the wanted order.

    Images without the value that they are sorted by come last, in either direction.
    """
    chosen = np.ones(len(opened), bool)
    for names, found in ((wanted.parts, opened.parts), (wanted.groups, opened.groups)):
        if names:
            chosen &= np.isin(found.astype(str), names) if found is not None else False
    if wanted.classes:
        chosen &= _of_classes(opened, target, facts.labels, wanted.classes)
    if wanted.text:
        chosen &= _with_text(opened, wanted.text.casefold())
    chosen &= _in_state(facts, wanted.state)
    for name, (low, high) in wanted.ranges.items():
        values = facts.values.get(name)
        if values is not None:
            chosen &= (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))
    return _in_order(opened, facts, np.flatnonzero(chosen), wanted).astype(np.int32)


def unlabelled(labels: NDArray[np.integer[Any]] | None, count: int) -> Bools:
    """bool (count,): the images without a label."""
    if labels is None:
        return np.ones(count, bool)
    found: Bools = labels == UNKNOWN if labels.ndim == 1 else (labels == UNKNOWN).all(axis=1)
    return found


def class_counts(labels: NDArray[np.integer[Any]], n_classes: int) -> list[int]:
    """How many images have each class."""
    if labels.ndim == 2:
        return [int(count) for count in (labels == 1).sum(axis=0)]
    return [int(count) for count in np.bincount(labels[labels >= 0], minlength=n_classes)]


def _of_classes(
    opened: OpenData, target: str | None, labels: NDArray[np.integer[Any]] | None, classes: Sequence[str]
) -> Bools:
    of_target = opened.target(target)
    if of_target is None or labels is None:
        return np.zeros(len(opened), bool)
    numbers = [number for number, name in enumerate(of_target.classes) if name in classes]
    found: Bools = np.isin(labels, numbers) if labels.ndim == 1 else (labels[:, numbers] == 1).any(axis=1)
    return found


def _with_text(opened: OpenData, text: str) -> Bools:
    found = np.fromiter((text in str(each).casefold() for each in opened.ids), bool, len(opened))
    if opened.groups is not None:
        found |= np.fromiter((text in str(each).casefold() for each in opened.groups), bool, len(opened))
    return found


def _in_state(facts: Facts, state: str) -> Bools:
    if state == "decided":
        return facts.decided
    if state == "undecided":
        return ~facts.decided
    if state == "excluded":
        return facts.excluded
    if state == "unlabelled":
        return unlabelled(facts.labels, len(facts.decided))
    return np.ones(len(facts.decided), bool)


def _in_order(opened: OpenData, facts: Facts, indices: NDArray[np.int64], wanted: Selection) -> NDArray[np.int64]:
    if wanted.sort == "random":
        order: NDArray[np.int64] = np.random.default_rng(0).permutation(len(opened))
        return order[np.isin(order, indices)]
    if wanted.sort == "id":
        keys: NDArray[Any] = opened.ids[indices].astype(str)
    elif wanted.sort == "label" and facts.labels is not None:
        labels = facts.labels[indices]
        keys = labels if labels.ndim == 1 else labels.argmax(axis=1)
    elif wanted.sort in facts.values:
        keys = facts.values[wanted.sort][indices]
    else:
        return indices[::-1] if wanted.descending else indices
    if wanted.descending:
        order = len(keys) - 1 - np.argsort(keys[::-1], kind="stable")[::-1]
    else:
        order = np.argsort(keys, kind="stable")
    if keys.dtype.kind == "f":
        is_missing = np.isnan(keys[order])
        order = np.concatenate([order[~is_missing], order[is_missing]])
    return indices[order]

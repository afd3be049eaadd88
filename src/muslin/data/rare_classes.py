"""Classes with few images: merged into one class, or dropped, per target."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target, class_counts
from muslin.data.formats.read_options import by_name
from muslin.errors import DataError, unknown
from muslin.messages import Message

OTHER_CLASS = "other"
"""The class of merged rare classes; an existing class of that name, in any case, is used."""

MAX_NAMED = 100
"""Rare classes that a message names; the rest are counted."""

RARE_ACTIONS = ("merge", "drop")


def reduce_rare_classes(
    dataset: Dataset,
    min_per_class: int | str | Sequence[str],
    rare_classes: str | Sequence[str] | None = None,
    *,
    strict: bool = True,
) -> Dataset:
    """`dataset` without classes of fewer images than the minimum; `fixes` names the classes and counts the images.

    The images of all parts count, so a class index does not depend on any part. The remaining classes keep their
    order; a new class `other` comes last. Dropped labels, and labels too rare even when merged, become UNKNOWN. In a
    multilabel target the merged class is 1 where any of its classes is, 0 where all are, else UNKNOWN; dropped classes
    leave the labels of the others as they are.

    Args:
        min_per_class: minimum number of images of a class; or per target, `TARGET=N`.
        rare_classes: `merge` (default) or `drop`; or per target, `TARGET=drop`.
        strict: raise where fewer than two classes (multilabel: no label) would remain; otherwise such a target stays
            unchanged, and `fixes` says so.

    Raises:
        DataError: no such target or action, a minimum below 1, or too few classes would remain.
    """
    minimums = _by_target(dataset, min_per_class, "min_per_class")
    actions = _by_target(dataset, rare_classes or (), "rare_classes")
    if alone := sorted(actions.keys() - minimums):
        raise DataError("rare_without_minimum", target=alone[0])
    for value in minimums.values():
        if not value.isdecimal() or not int(value):
            raise DataError("min_per_class_invalid", value=value)
    for action in actions.values():
        if action not in RARE_ACTIONS:
            raise DataError("rare_action_unknown", **unknown(action, RARE_ACTIONS))
    targets, labels, fixes = [], dict(dataset.labels), list(dataset.fixes)
    for target in dataset.targets:
        if target.name in minimums:
            minimum, action = int(minimums[target.name]), actions.get(target.name, "merge")
            target, labels[target.name], fix = _reduce_target(dataset, target, minimum, action, strict)
            fixes += [fix] if fix else []
        targets.append(target)
    return replace(dataset, targets=tuple(targets), labels=labels, fixes=tuple(fixes))


def _reduce_target(
    dataset: Dataset, target: Target, minimum: int, action: str, strict: bool
) -> tuple[Target, NDArray[np.integer[Any]], Message | None]:
    """The target, its labels, and what was done; None where there is no rare class."""
    labels = dataset.labels[target.name]
    counts = class_counts(target, labels)
    rare = np.flatnonzero(counts < minimum).tolist()
    if not rare:
        return target, labels, None
    existing = next((i for i, name in enumerate(target.classes) if name.lower() == OTHER_CLASS), None)
    merged = _any_of(labels, sorted({*rare, *([] if existing is None else [existing])}))
    too_few = None
    if action == "merge" and (count := int((merged == 1).sum())) < minimum:
        action, too_few = "drop", count
    if action == "merge":
        rare = [i for i in rare if i != existing]
    kept = np.setdiff1d(np.arange(len(target.classes)), rare).tolist()
    other = OTHER_CLASS if existing is None else target.classes[existing]
    names = [target.classes[i] for i in kept] + [other] * (action == "merge" and existing is None)
    if len(names) < (1 if target.kind == "multilabel" else 2):
        remaining = {"target": target.name, "n": len(names), "total": len(target.classes), "minimum": minimum}
        if strict:
            raise DataError("too_few_classes_left", name=dataset.name, **remaining)
        return target, labels, Message("rare_classes_kept", **remaining)
    fix = Message(
        "rare_classes_merged" if action == "merge" else "rare_classes_dropped",
        target=target.name,
        n=len(rare),
        minimum=minimum,
        other=other,
        too_few=too_few,
        images=int((_any_of(labels, rare) == 1).sum()),
        classes=[f"{target.classes[i]} ({counts[i]:,})" for i in rare[:MAX_NAMED]],
        more=len(rare) - MAX_NAMED if len(rare) > MAX_NAMED else None,
    )
    if target.kind == "multilabel":
        columns = dict(zip(names, labels[:, kept].T, strict=False))
        if action == "merge":
            columns[other] = merged
        return Target(target.name, tuple(names), "multilabel"), np.stack(list(columns.values()), axis=1), fix
    table = np.full(len(target.classes) + 1, UNKNOWN, dtype=np.int64)  # UNKNOWN (-1) points to the last entry
    table[kept] = np.arange(len(kept))
    if action == "merge":
        table[rare] = names.index(other)
    return Target(target.name, tuple(names)), table[labels], fix


def _any_of(labels: NDArray[np.integer[Any]], classes: list[int]) -> NDArray[np.int8]:
    """Whether each image has one of `classes`, int8 (count,): 1 yes, 0 no, or UNKNOWN."""
    if labels.ndim == 1:
        has_one = np.where(np.isin(labels, classes), 1, 0)
        return np.where(labels == UNKNOWN, UNKNOWN, has_one).astype(np.int8)
    columns = labels[:, classes]
    no = np.where((columns == 0).all(axis=1), 0, UNKNOWN)
    return np.where((columns == 1).any(axis=1), 1, no).astype(np.int8)


def _by_target(dataset: Dataset, values: int | str | Sequence[str], option: str) -> dict[str, str]:
    """Per target its value, given as `TARGET=VALUE` or, for all others, `VALUE`."""
    targets = [target.name for target in dataset.targets]
    given = by_name([str(values)] if isinstance(values, int | str) else map(str, values), option, targets)
    for name in given:
        if name and name not in targets:
            raise DataError("target_unknown", **unknown(name, targets), dataset=dataset.name)
    return {name: given.get(name, given.get("", "")) for name in targets if name in given or "" in given}

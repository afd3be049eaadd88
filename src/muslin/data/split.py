"""Dataset → Split: training, validation and test sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Split
from muslin.errors import TrainingError
from muslin.messages import Message

TEST_FRACTION = 0.2
"""Fraction of data without parts that becomes the test set, as in the article."""

Indices = NDArray[np.int64]


def split(dataset: Dataset, *, validation_fraction: float, seed: int, stratified: bool = True) -> Split:
    """The parts that came with the data; missing ones are drawn at random from the training set.

    A sample without any label is in no set, and no group is in two sets that are drawn. The draws are scikit-learn's
    `train_test_split`, so `seed=12345, stratified=False, validation_fraction=0.2` gives the split of the article.

    Args:
        validation_fraction: fraction of the training set that becomes the validation set; 0 for none.
        stratified: keep the proportions of the first target's classes, unless a class is too small.

    Raises:
        TrainingError: the training set is empty or has one class, or another set has a class that it lacks.
    """
    labelled = np.zeros(len(dataset), dtype=bool)
    for labels in dataset.labels.values():
        labelled |= (labels != UNKNOWN) if labels.ndim == 1 else (labels != UNKNOWN).any(axis=1)
    if not labelled.any():
        raise TrainingError("unlabelled", name=dataset.name, n=len(dataset))
    parts = dataset.parts if dataset.parts is not None else np.full(len(dataset), "train", dtype=object)
    sets = {part: np.flatnonzero(labelled & (parts == part)) for part in PARTS}
    if not len(sets["train"]):
        raise TrainingError("no_training_part", name=dataset.name)
    notes = [Message("part_given", part=part) for part in PARTS[1:] if len(sets[part])]
    draws = [("test", "test_drawn", TEST_FRACTION), ("validation", "validation_drawn", validation_fraction)]
    drawn = [draw for draw in draws if draw[2] and not len(sets[draw[0]])]
    for part, code, fraction in drawn:
        sets["train"], sets[part], moved = _draw(dataset, sets["train"], fraction, seed, stratified)
        notes += [*moved, Message(code, fraction=fraction, seed=seed)]
    if unlabelled := int((~labelled).sum()):
        notes.append(Message("unlabelled_excluded", n=unlabelled))
    _check_classes(dataset, sets)
    return Split(**sets, notes=tuple(notes), seed=seed if drawn else None)


def _draw(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool
) -> tuple[Indices, Indices, list[Message]]:
    """`indices` without a random `fraction`, that fraction, and what went back so that no class has none left."""
    from sklearn.model_selection import train_test_split

    if len(indices) < 2:
        raise TrainingError("too_few_to_split", name=dataset.name, n=len(indices))
    target = dataset.targets[0]
    stratified = stratified and target.kind == "multiclass"
    if dataset.groups is not None:
        rest, drawn = _draw_groups(dataset, indices, fraction, seed, stratified)
    else:
        strata: NDArray[Any] | None = None
        if stratified:
            labels = dataset.labels[target.name][indices]
            counts = np.unique(labels, return_counts=True)[1]
            size = round(fraction * len(indices))
            if counts.min() >= 2 and min(size, len(indices) - size) >= len(counts):
                strata = labels
        rest, drawn = train_test_split(indices, test_size=fraction, random_state=seed, stratify=strata)
    back = _without_training_sample(dataset, rest, drawn)
    if not back.any() or back.all():
        return rest, drawn, []
    moved = Message("moved_to_training", n=int(back.sum()))
    return np.concatenate([rest, drawn[back]]), drawn[~back], [moved]


def _without_training_sample(dataset: Dataset, rest: Indices, drawn: Indices) -> NDArray[np.bool_]:
    """Whether each drawn sample, or another of its group, has a class that no sample in `rest` has."""
    back = np.zeros(len(drawn), dtype=bool)
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        if target.kind == "multiclass":
            back |= (labels[drawn] != UNKNOWN) & ~np.isin(labels[drawn], labels[rest])
    if dataset.groups is not None and back.any():
        groups = dataset.groups[drawn].astype(str)
        back |= np.isin(groups, groups[back])
    return back


def _draw_groups(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool
) -> tuple[Indices, Indices]:
    """A draw of whole groups: a fold of a StratifiedGroupKFold where possible, else a GroupShuffleSplit."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    assert dataset.groups is not None
    groups = np.unique(dataset.groups[indices].astype(str), return_inverse=True)[1]
    if not groups.any():
        raise TrainingError("one_group", name=dataset.name)
    labels = dataset.labels[dataset.targets[0].name][indices]
    folds, count = round(1 / fraction), int(groups.max()) + 1
    if stratified and 2 <= folds <= count and np.unique(labels, return_counts=True)[1].min() >= folds:
        draws = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(indices, labels, groups)
        rest, drawn = next((r, d) for r, d in draws if len(r) and len(d))
    else:
        size = min(max(round(fraction * count), 1), count - 1)
        shuffle = GroupShuffleSplit(1, test_size=size, random_state=seed)
        rest, drawn = next(shuffle.split(indices, None, groups))
    return indices[rest], indices[drawn]


def _check_classes(dataset: Dataset, sets: Mapping[str, Indices]) -> None:
    """Raise TrainingError unless the training set has two classes, and every class of the other sets."""
    for target in dataset.targets:
        if target.kind != "multiclass":
            continue
        labels = dataset.labels[target.name]
        trained = set(labels[sets["train"]].tolist()) - {UNKNOWN}
        if len(trained) < 2:
            only = target.classes[trained.pop()] if trained else None
            raise TrainingError("too_few_classes", name=dataset.name, target=target.name, only=only)
        for part, indices in sets.items():
            missing = sorted(set(labels[indices].tolist()) - {UNKNOWN} - trained)
            if missing:
                label, n = target.classes[missing[0]], int((labels[indices] == missing[0]).sum())
                raise TrainingError("class_not_trained", name=dataset.name, label=label, part=part, n=n)

"""Dataset → Split: training, validation and test sets."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from muslin.data.copies import groupings_of, unit_numbers, units_of
from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Split
from muslin.data.draws import draw_count, draw_fraction, draw_stratified
from muslin.errors import TrainingError
from muslin.extras import require_extra
from muslin.messages import Message
from muslin.text import MAX_NAME_CHARACTERS, is_safe_name

TEST_FRACTION = 0.2
"""Fraction of data without parts that becomes the test set, as in the article."""

Indices = NDArray[np.int64]


def split(
    dataset: Dataset,
    *,
    validation_fraction: float,
    seed: int,
    stratified: bool = True,
    near_pairs: NDArray[np.int64] | None = None,
) -> Split:
    """The parts that came with the data; missing ones are drawn at random from the training set.

    A sample without any label is in no set; no group, no product, and no image with its copies is in two sets that are
    drawn. Only samples that are drawn at random validate and test; samples of no class take part if they are. The draws
    are those of scikit-learn's `train_test_split`, so `seed=12345, stratified=False, validation_fraction=0.2`
    gives the split of the article.

    Args:
        validation_fraction: fraction of the training set that becomes the validation set; 0 for none.
        stratified: keep the proportions of the first target's classes, unless a class is too small.
        near_pairs: int64 (pairs, 2), near-duplicates, which stay together as copies do.

    Raises:
        TrainingError: a model cannot hold a name, the training set is empty or has one class, another set has a class
            that it lacks, or the test set no label.
        MissingPartError: scikit-learn, which draws groups stratified by class, is not installed.
    """
    for name in (name for target in dataset.targets for name in (target.name, *target.classes)):
        if not is_safe_name(name):
            raise TrainingError("name_unsafe", name=ascii(name)[:60], maximum=MAX_NAME_CHARACTERS)
    labelled, is_random = dataset.has_label, dataset.is_random
    if not labelled.any():
        raise TrainingError("unlabelled", name=dataset.name, n=len(dataset))
    for no_class in dataset.no_class.values():
        labelled |= no_class & is_random  # for calibration; no loss counts them
    parts = dataset.parts if dataset.parts is not None else np.full(len(dataset), "train", dtype=object)
    is_usable = labelled & (is_random | (parts == "train"))
    sets = {part: np.flatnonzero(is_usable & (parts == part)) for part in PARTS}
    if not len(sets["train"]):
        raise TrainingError("no_training_part", name=dataset.name)
    notes = [Message("part_given", part=part) for part in PARTS[1:] if len(sets[part])]
    draws = [("test", "test_drawn", TEST_FRACTION), ("validation", "validation_drawn", validation_fraction)]
    drawn = [draw for draw in draws if draw[2] and not len(sets[draw[0]])]
    for part, code, fraction in drawn:
        sets["train"], sets[part], moved = _draw_random(dataset, sets["train"], fraction, seed, stratified, near_pairs)
        notes += [*moved, Message(code, fraction=fraction, seed=seed)]
    if unlabelled := int((~labelled).sum()):
        notes.append(Message("unlabelled_excluded", n=unlabelled))
    if not is_random.all():
        used = np.concatenate(list(sets.values()))
        counts = {"random": int(is_random[used].sum()), "others": int((~is_random[used]).sum())}
        notes.append(Message("only_random_measure", **counts))
    _check_classes(dataset, sets)
    check_test_labels(dataset, sets["test"])
    return Split(**sets, notes=tuple(notes), seed=seed if drawn else None)


def _draw_random(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool, near_pairs: Indices | None
) -> tuple[Indices, Indices, list[Message]]:
    """As `_draw`, of the samples drawn at random. The others train, without those of the same units as a drawn one."""
    is_random = dataset.is_random[indices]
    if is_random.all():
        return _draw(dataset, indices, fraction, seed, stratified, near_pairs)
    rest, drawn, notes = _draw(dataset, indices[is_random], fraction, seed, stratified, near_pairs)
    units = units_of(dataset, indices, near_pairs)
    follows = np.isin(units, units[np.isin(indices, drawn)]) & ~is_random
    if follows.any():
        notes = [*notes, Message("left_out_with_random", n=int(follows.sum()))]
    return np.concatenate([rest, indices[~is_random & ~follows]]), drawn, notes


def _draw(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool, near_pairs: Indices | None
) -> tuple[Indices, Indices, list[Message]]:
    """`indices` without a random `fraction`, that fraction, and what went back so that no class has none left."""
    if len(indices) < 2:
        raise TrainingError("too_few_to_split", name=dataset.name, n=len(indices))
    stratified = stratified and dataset.targets[0].kind == "multiclass"
    if dataset.groups is not None or dataset.products is not None:
        rest, drawn = _draw_groups(dataset, indices, fraction, seed, stratified, near_pairs)
    else:
        rest, drawn = _draw_images(dataset, indices, fraction, seed, stratified, near_pairs)
    back = _without_training_sample(dataset, rest, drawn, near_pairs)
    if not back.any() or back.all():
        return rest, drawn, []
    moved = Message("moved_to_training", n=int(back.sum()))
    return np.concatenate([rest, drawn[back]]), drawn[~back], [moved]


def _draw_images(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool, near_pairs: Indices | None
) -> tuple[Indices, Indices]:
    """A draw of one image of each set of copies and near-duplicates, which the others follow.

    A set of copies that is larger than the part to be drawn stays in training.
    """
    unit_of = units_of(dataset, indices, near_pairs)
    _, position, counts = np.unique(unit_of, return_index=True, return_counts=True)
    if len(counts) == 1:
        raise TrainingError("one_image", name=dataset.name, n=len(indices))
    small = counts <= max(fraction * len(indices), 1)
    units = indices[np.sort(position[small] if small.sum() > 1 else position)]
    rest, drawn = draw_fraction(len(units), fraction, seed)
    if stratified:
        labels = dataset.labels[dataset.targets[0].name][units]
        counts = np.unique(labels, return_counts=True)[1]
        size = round(fraction * len(units))
        if counts.min() >= 2 and min(size, len(units) - size) >= len(counts):
            rest, drawn = draw_stratified(labels, fraction, seed)
    rest, drawn = units[rest], units[drawn]
    if len(units) == len(indices):
        return rest, drawn
    follows = np.isin(unit_of, unit_of[np.isin(indices, drawn)])
    return indices[~follows], indices[follows]


def _without_training_sample(
    dataset: Dataset, rest: Indices, drawn: Indices, near_pairs: Indices | None
) -> NDArray[np.bool_]:
    """Whether each drawn sample, or another of its unit, has a class that no sample in `rest` has."""
    back = np.zeros(len(drawn), dtype=bool)
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        if target.kind == "multiclass":
            back |= (labels[drawn] != UNKNOWN) & ~np.isin(labels[drawn], labels[rest])
    if back.any():
        units = units_of(dataset, drawn, near_pairs)
        back |= np.isin(units, units[back])
    return back


def _group_numbers(dataset: Dataset, indices: Indices) -> Indices:
    """Per sample at `indices` the number of its group, from 0; groups that share a product are one."""
    groupings = groupings_of(dataset, indices)
    if len(groupings) == 1:
        return np.asarray(np.unique(groupings[0].astype(str), return_inverse=True)[1], dtype=np.int64)
    return unit_numbers(len(indices), np.empty((0, 2), dtype=np.int64), *groupings)


def _draw_groups(
    dataset: Dataset, indices: Indices, fraction: float, seed: int, stratified: bool, near_pairs: Indices | None
) -> tuple[Indices, Indices]:
    """A draw of whole groups and products: a fold of a StratifiedGroupKFold where possible, else a GroupShuffleSplit.

    Groups that share copies or near-duplicates are drawn as one. Where they are together larger than the part to be
    drawn, because one image is in very many groups, they stay in training; where none would be left, each group counts
    alone.
    """
    groups = _group_numbers(dataset, indices)
    if not groups.any():
        raise TrainingError("one_group", name=dataset.name)
    everywhere = np.arange(len(indices))
    chosen = everywhere
    units = units_of(dataset, indices, near_pairs)
    if units.max() < groups.max():
        n_groups = np.bincount(np.unique(np.stack([units, groups]), axis=1)[0])
        fits = (np.bincount(units) <= fraction * len(indices)) | (n_groups == 1)
        if fits.sum() > 1:
            chosen = np.flatnonzero(fits[units])
            groups = np.unique(units, return_inverse=True)[1]
    labels = dataset.labels[dataset.targets[0].name][indices[chosen]]
    groups = np.unique(groups[chosen], return_inverse=True)[1]
    folds, count = round(1 / fraction), int(groups.max()) + 1
    if stratified and 2 <= folds <= count and np.unique(labels, return_counts=True)[1].min() >= folds:
        require_extra("train")
        from sklearn.model_selection import StratifiedGroupKFold

        draws = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(chosen, labels, groups)
        drawn = next(chosen[d] for r, d in draws if len(r) and len(d))
    else:
        size = min(max(round(fraction * count), 1), count - 1)
        drawn = chosen[np.isin(groups, draw_count(count, size, seed)[1])]
    return indices[np.setdiff1d(everywhere, drawn)], indices[drawn]


def check_test_labels(dataset: Dataset, test: Indices) -> None:
    """Refuse, before anything is trained, a test set that could measure nothing.

    Raises:
        TrainingError: it has images, and none of them a label.
    """
    if len(test) and not dataset.has_label[test].any():
        raise TrainingError("test_unlabelled", name=dataset.name, n=len(test))


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

"""Dataset → Split: what to learn from, what to choose by, and what to judge with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Split
from muslin.errors import TrainingError

TEST_SHARE = 0.2
"""Of data that came undivided, this share is set apart to judge with, as the article does."""


def split(dataset: Dataset, *, validation_fraction: float, seed: int, stratified: bool = True) -> Split:
    """The data's own parts where it has them; what it lacks is drawn from the training images.

    A sample with no known label at all is in no part; no group is ever in two parts that are drawn.
    Draws are scikit-learn's `train_test_split`, so that
    `seed=12345, stratified=False, validation_fraction=0.2` gives the article's division.

    Args:
        validation_fraction: share of the training images set apart to choose by; 0 for none.
        stratified: keep each class's share of the first target; where a class is too small for it, not.

    Raises:
        TrainingError: nothing to learn from, a single class, or a class to be judged that is never learned.
    """
    known = np.zeros(len(dataset), dtype=bool)
    for labels in dataset.labels.values():
        known |= (labels != UNKNOWN) if labels.ndim == 1 else (labels != UNKNOWN).any(axis=1)
    if not known.any():
        raise TrainingError(
            f"{dataset.name}: no sample has a label, so there is nothing to learn from. "
            "Add labels, or name their column with --target."
        )
    parts = dataset.parts if dataset.parts is not None else np.full(len(dataset), "train", dtype=object)
    train = np.flatnonzero(known & (parts == "train"))
    validation = np.flatnonzero(known & (parts == "validation"))
    test = np.flatnonzero(known & (parts == "test"))
    if not len(train):
        raise TrainingError(
            f"{dataset.name}: there is no part to learn from. Add a part train; or judge a model by these images: "
            "muslin evaluate."
        )
    said = [f"{p}: the data's own" for p, i in (("validation", validation), ("test", test)) if len(i)]

    if not len(test):
        train, test = _learnable(dataset, *_draw(dataset, train, TEST_SHARE, seed, stratified), said)
        said.append(f"test: {TEST_SHARE:.0%} of the images, drawn with seed {seed}")
    if not len(validation) and validation_fraction:
        drawn_parts = _draw(dataset, train, validation_fraction, seed, stratified)
        train, validation = _learnable(dataset, *drawn_parts, said)
        said.append(f"validation: {validation_fraction:.1%} of the training images, drawn with seed {seed}")
    if len(known) > known.sum():
        said.append(f"{len(known) - known.sum():,} samples without a label left out")
    _check_classes(dataset, train, {"validation": validation, "test": test})
    drawn = any("drawn" in sentence for sentence in said)
    return Split(train, validation, test, "; ".join(said), seed if drawn else None)


def _draw(
    dataset: Dataset, indices: NDArray[np.int64], share: float, seed: int, stratified: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from sklearn.model_selection import train_test_split

    target = dataset.targets[0]
    strata: NDArray[Any] | None = None
    if stratified and target.kind == "multiclass":
        labels = dataset.labels[target.name][indices]
        counts = np.unique(labels, return_counts=True)[1]
        apart = round(share * len(indices))
        if counts.min() >= 2 and min(apart, len(indices) - apart) >= len(counts):
            strata = labels
    if len(indices) < 2:
        raise TrainingError(f"{dataset.name}: {len(indices)} training images cannot be divided. Add more.")
    if dataset.groups is not None:
        return _draw_groups(dataset, indices, share, seed, stratified and target.kind == "multiclass")
    kept, apart_indices = train_test_split(indices, test_size=share, random_state=seed, stratify=strata)
    return kept, apart_indices


def _learnable(
    dataset: Dataset, kept: NDArray[np.int64], apart: NDArray[np.int64], said: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The draw, but with the rare classes of which it left nothing to learn from moved back, whole groups together."""
    back = np.zeros(len(apart), dtype=bool)
    for target in dataset.targets:
        labels = dataset.labels[target.name]
        if target.kind == "multiclass":
            back |= (labels[apart] != UNKNOWN) & ~np.isin(labels[apart], labels[kept])
    if dataset.groups is not None and back.any():
        groups = dataset.groups[apart].astype(str)
        back |= np.isin(groups, groups[back])
    if not back.any() or back.all():
        return kept, apart
    said.append(
        f"{back.sum():,} of those drawn kept for learning, as their classes would not be learned otherwise"
    )
    return np.concatenate([kept, apart[back]]), apart[~back]


def _draw_groups(
    dataset: Dataset, indices: NDArray[np.int64], share: float, seed: int, stratified: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `_draw`, but whole groups: of the folds of a StratifiedGroupKFold, or else a GroupShuffleSplit."""
    from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

    assert dataset.groups is not None
    groups = np.unique(dataset.groups[indices].astype(str), return_inverse=True)[1]
    if not groups.any():
        raise TrainingError(
            f"{dataset.name}: the training images are one group, which cannot be divided. Add others."
        )
    labels = dataset.labels[dataset.targets[0].name][indices]
    folds, count = round(1 / share), int(groups.max()) + 1
    some = min(max(round(share * count), 1), count - 1)
    if stratified and 2 <= folds <= count and np.unique(labels, return_counts=True)[1].min() >= folds:
        chosen = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(indices, labels, groups)
        kept, apart = next((k, a) for k, a in chosen if len(k) and len(a))
    else:
        kept, apart = next(
            GroupShuffleSplit(1, test_size=some, random_state=seed).split(indices, None, groups)
        )
    return indices[kept], indices[apart]


def _check_classes(dataset: Dataset, train: NDArray[np.int64], others: dict[str, NDArray[np.int64]]) -> None:
    for target in dataset.targets:
        if target.kind != "multiclass":
            continue
        labels = dataset.labels[target.name]
        learned = set(labels[train].tolist()) - {UNKNOWN}
        if len(learned) < 2:
            only = f" ({target.classes[learned.pop()]!r})" if learned else ""
            raise TrainingError(
                f"{dataset.name}: the training images have {'one class only' if only else 'no class'}{only} for "
                f"{target.name!r}. A classifier needs at least two."
            )
        for part, indices in others.items():
            strange = sorted(set(labels[indices].tolist()) - {UNKNOWN} - learned)
            if strange:
                index = strange[0]
                count = int((labels[indices] == index).sum())
                raise TrainingError(
                    f"{dataset.name}: class {target.classes[index]!r} is in the {part} part ({count:,} images) "
                    f"but never seen in training. Add training images of it, or take it out of the {part} part."
                )

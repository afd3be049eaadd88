"""Label thresholds: the minimum probability for predicting a label.

A multilabel target has one per class. A target of two classes has one, of the second class. A target of more classes
has none: it predicts the most probable class.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError, unknown

DEFAULT_THRESHOLD = 0.5
MIN_EXAMPLES = 10
"""Positive and negative images that a label needs for a threshold of its own."""

Thresholds = Mapping[str, tuple[float, ...]]
"""Per target's name one number per class (multilabel), or one of the second class (two classes)."""


def n_thresholds(target: Target) -> int:
    """How many thresholds a target has."""
    if target.kind == "multilabel":
        return len(target.classes)
    return 1 if len(target.classes) == 2 else 0


def default_thresholds(targets: Sequence[Target]) -> dict[str, tuple[float, ...]]:
    """0.5 for each."""
    return {t.name: (DEFAULT_THRESHOLD,) * n_thresholds(t) for t in targets if n_thresholds(t)}


def best_f1_thresholds(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Per label the threshold with the best F1 on these images.

    A label with fewer than MIN_EXAMPLES positive or negative images gets the best threshold of all labels together,
    because its own would be due to chance. 0.5 where nothing is labelled.

    Args:
        labels: (n, classes) 1, 0 or UNKNOWN.
        probabilities: (n, classes), in 0..1.
    """
    labelled = labels != UNKNOWN
    common = _best_f1_threshold(labels[labelled], probabilities[labelled])
    thresholds = []
    for truth, scores, here in zip(labels.T, probabilities.T, labelled.T, strict=True):
        positive = int((truth == 1).sum())
        few = min(positive, int(here.sum()) - positive) < MIN_EXAMPLES
        thresholds.append(common if few else _best_f1_threshold(truth[here], scores[here]))
    return tuple(thresholds)


def _best_f1_threshold(truth: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]) -> float:
    """The threshold with the best F1, halfway between two scores that occur."""
    if not (truth == 1).any() or (truth == 1).all():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    scores, truth = scores[order].astype(np.float64), truth[order]
    ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))  # equal scores share one threshold
    f1 = 2 * np.cumsum(truth)[ends] / (ends + 1 + truth.sum())
    best = int(f1.argmax())
    lowest_positive = scores[ends[best]]
    highest_negative = scores[ends[best] + 1] if best + 1 < len(ends) else 0.0
    return float((lowest_positive + highest_negative) / 2)


def change_thresholds(
    targets: Sequence[Target], thresholds: Thresholds, changes: Mapping[str, float]
) -> dict[str, tuple[float, ...]]:
    """`thresholds` with some of them changed.

    Args:
        changes: by the name of a target, of a class, or of both (`label/Bag`) where the class alone is ambiguous; by
            "" for all. Of two classes, the number is the minimum probability of the named class.

    Raises:
        DataError: the name is unknown or ambiguous, the number is not in 0..1, or a change has no effect because others
            change all that it names.
    """
    changed = default_thresholds(targets) | {name: tuple(values) for name, values in thresholds.items()}
    changeable = [target for target in targets if target.name in changed]
    if changes and not changeable:
        raise DataError("no_thresholds")
    setters: dict[tuple[str, int], str] = {}
    for name in sorted(changes, key=lambda name: _generality(changeable, name)):
        number = changes[name]
        if not 0 <= number <= 1:  # catches NaN, too
            raise DataError("threshold_range", found=number)
        for target, index in _named_thresholds(changeable, name):
            values = list(changed[target.name])
            if target.kind != "multilabel":
                number, index = (1 - number if index == 0 else number), 0
            for i in range(len(values)) if index is None else [index]:
                values[i], setters[target.name, i] = number, name
            changed[target.name] = tuple(values)
    for name in changes:
        if name not in setters.values():
            raise DataError(
                "threshold_overruled", name=name or "all", others=[other for other in changes if other != name]
            )
    return changed


def _generality(targets: Sequence[Target], name: str) -> int:
    """0 for all thresholds, 1 for those of a target, 2 for that of a class: a narrower change overrules a wider one."""
    return 0 if not name else 1 if name in {target.name for target in targets} else 2


def _named_thresholds(targets: Sequence[Target], name: str) -> list[tuple[Target, int | None]]:
    """The targets that `name` means, each with the index of the class that it means, None for all classes."""
    matches: list[tuple[Target, int | None]] = [(t, None) for t in targets if name in ("", t.name)]
    if matches:
        return matches
    matches = [
        (target, index)
        for target in targets
        for index, label in enumerate(target.classes)
        if name in (label, f"{target.name}/{label}")
    ]
    if not matches:
        choices = [name for target in targets for name in (target.name, *target.classes)]
        raise DataError("threshold_unknown", **unknown(name, choices))
    if len(matches) > 1:
        choices = [f"{target.name}/{name}" for target, _ in matches]
        raise DataError("threshold_ambiguous", name=name, choices=choices)
    return matches


def predict_classes(
    target: Target, probabilities: NDArray[np.floating[Any]], thresholds: Sequence[float] | None
) -> NDArray[np.int64]:
    """The predicted class of each image: int64 (n,). With a threshold, the second of two classes that reaches it.

    Args:
        probabilities: (n, classes), of a target that is not multilabel.
    """
    if not thresholds or thresholds[0] == DEFAULT_THRESHOLD or len(target.classes) != 2:
        return np.asarray(probabilities.argmax(axis=1))
    return np.asarray(probabilities[:, 1].astype(np.float64) >= thresholds[0], dtype=np.int64)

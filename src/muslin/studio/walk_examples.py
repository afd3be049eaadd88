"""The labelled images of a model's run that the walk is taken over, with their predictions and what follows from these.

Functions take arrays: `labels` and `predicted` int64 (n,), indices of classes; `probabilities` float32 (n, classes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.evaluation.intervals import wilson_interval

MAX_EXAMPLES = 2000  # a 95 % interval of at most ± 2.2 points, and a second of computing
MAX_EXAMPLE_BYTES = 64_000_000  # of pixels: 425 photos of 224×224
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
GROUP_SIZE = 3  # classes that a learner sorts images into
IMAGES_PER_CLASS = 3  # of each, to sort

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """Images of a run's validation or test set, as the network takes them.

    Attributes:
        target: the target that the walk is about; each image has exactly one of its classes.
        pixels: uint8 (n, height, width, channels).
        labels: int64 (n,), indices of classes.
        probabilities: float32 (n, classes).
        part: `validation` or `test`.
        seen: how many images of the part the model has seen; None where it does not say.
    """

    target: Target
    pixels: NDArray[np.uint8]
    labels: Integers
    probabilities: NDArray[np.float32]
    part: str
    seen: dict[str, Any] | None

    @cached_property
    def predicted(self) -> Integers:
        """int64 (n,): the most probable class of each image."""
        return np.asarray(self.probabilities.argmax(1), np.int64)

    def to_dict(self) -> dict[str, Any]:
        """What the page needs of all images, as JSON values."""
        rows = np.arange(len(self.labels))
        group = confused_group(self.labels, self.predicted, len(self.target.classes))
        correct = self.labels == self.predicted
        return {
            "part": self.part,
            "seen_images": self.seen,
            "requested": max_examples(self.pixels.shape[1:]),
            "n": len(self.labels),
            "labels": self.labels.tolist(),
            "predicted": self.predicted.tolist(),
            "probability": self.probabilities[rows, self.predicted].astype(float).round(6).tolist(),
            "probability_of_label": self.probabilities[rows, self.labels].astype(float).round(6).tolist(),
            "thresholds": accepted_at(self.probabilities.max(1), correct),
            "group": group,
            "to_sort": images_to_sort(self.labels, self.predicted, group),
        }


def max_examples(shape: Sequence[int]) -> int:
    """How many images of (height, width, channels) the walk is taken over, at most."""
    return int(min(MAX_EXAMPLES, max(1, MAX_EXAMPLE_BYTES // int(np.prod(shape)))))


def labelled_examples(
    target: Target,
    pixels: NDArray[np.uint8],
    labels: Integers,
    probabilities: NDArray[np.float32],
    part: str,
    seen: dict[str, Any] | None,
) -> Examples:
    """Those of the images whose label is known."""
    known = labels != UNKNOWN
    return Examples(target, pixels[known], labels[known], probabilities[known], part, seen)


def accepted_at(probability: NDArray[np.floating[Any]], correct: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Per threshold: how many predictions are at least that probable, how many of these are correct, and the accuracy's
    95 % interval.
    """
    rows = []
    for threshold in THRESHOLDS:
        accepted = probability >= threshold
        n, n_correct = int(accepted.sum()), int(correct[accepted].sum())
        rows.append(
            {"threshold": threshold, "n": n, "correct": n_correct, "interval": list(wilson_interval(n_correct, n))}
        )
    return rows


def confused_group(labels: Integers, predicted: Integers, n_classes: int, size: int = GROUP_SIZE) -> list[int]:
    """The classes that the model confuses most among each other, in the order of the classes.

    The two with the most errors between them, then one by one the class with the most errors to and from these.
    """
    errors = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(errors, (labels, predicted), 1)
    np.fill_diagonal(errors, 0)
    both = errors + errors.T
    if n_classes < 2:
        return list(range(n_classes))
    group = [int(i) for i in np.unravel_index(int(both.argmax()), both.shape)]
    if group[0] == group[1]:
        group = [0, 1]  # there is no error
    while len(group) < min(size, n_classes):
        to_group = both[:, group].sum(1)
        to_group[group] = -1
        group.append(int(to_group.argmax()))
    return sorted(group)


def images_to_sort(labels: Integers, predicted: Integers, group: list[int]) -> list[int]:
    """IMAGES_PER_CLASS images of each class of the group, about half of them predicted as another one of it.

    Errors alone would be unfair to the model, and correct ones alone too easy. The order is mixed, the same each time.
    """
    chosen: list[int] = []
    for label in group:
        of_class = labels == label
        confused = np.flatnonzero(of_class & (predicted != label) & np.isin(predicted, group))
        errors = confused[: IMAGES_PER_CLASS // 2 + label % 2]
        others = np.flatnonzero(of_class & (predicted == label))
        chosen += [*errors.tolist(), *others[: IMAGES_PER_CLASS - len(errors)].tolist()]
    return [chosen[i] for i in np.random.default_rng(0).permutation(len(chosen))]

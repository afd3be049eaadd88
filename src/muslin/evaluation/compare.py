"""Two models' predictions on the same images: which is more often correct, and could it be chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.errors import DataError
from muslin.evaluation.binomial import binomial_tail
from muslin.evaluation.effective_size import effective_size_of_groups
from muslin.evaluation.intervals import Interval, newcombe_paired, wilson_interval

Mask = NDArray[np.bool_]

N_RESAMPLES = 10_000
"""Of groups, for the permutation test."""

SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """The difference between two models' accuracies on the same n images.

    Attributes:
        n: images: the sum of the four counts.
        both_correct, only_a_correct, only_b_correct, neither_correct: counts of images.
        difference: accuracy of b minus accuracy of a, from -1 to 1.
        interval: of the difference, 95 %.
        p_value: two-sided, 0 to 1: how often equally good models differ by at least so much.
        groups: number of groups of images; None where all images are independent.
    """

    n: int
    both_correct: int
    only_a_correct: int
    only_b_correct: int
    neither_correct: int
    difference: float
    interval: Interval
    p_value: float
    groups: int | None = None


@dataclass(frozen=True)
class ClassDifference:
    """The difference on the images of one class. `p_value` is corrected for the number of classes (Holm)."""

    name: str
    paired: PairedDifference
    p_value: float

    @property
    def better_model(self) -> str | None:
        """`a` or `b` where one is significantly better (p < 0.05); else None."""
        if self.p_value >= SIGNIFICANCE_LEVEL:
            return None
        return "b" if self.paired.difference > 0 else "a"


@dataclass(frozen=True)
class Comparison:
    """Two models compared on one target.

    Attributes:
        overall: of all labelled images.
        accuracy_a, accuracy_b: 0 to 1, each with its 95 % Wilson interval.
        per_class: one for each class with images, in the classes' order.
        images_only_a_correct, images_only_b_correct, images_neither_correct: indices of images that the models
            predict differently.
    """

    overall: PairedDifference
    accuracy_a: float
    accuracy_a_interval: Interval
    accuracy_b: float
    accuracy_b_interval: Interval
    per_class: tuple[ClassDifference, ...]
    images_only_a_correct: tuple[int, ...]
    images_only_b_correct: tuple[int, ...]
    images_neither_correct: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with each class's `better_model`."""
        values = asdict(self)
        for row, difference in zip(values["per_class"], self.per_class, strict=True):
            row["better_model"] = difference.better_model
        return values


def paired_difference(correct_a: Mask, correct_b: Mask, groups: NDArray[Any] | None = None) -> PairedDifference:
    """The paired comparison of two models, each given as bool (n,): whether each image's prediction is correct.

    Without groups: Newcombe's interval for paired rates, and the p-value of McNemar's exact test (Q. McNemar,
    Psychometrika 12, 1947). With groups: the same interval of an effective number of images, see
    `muslin.evaluation.effective_size`, and the p-value of a permutation test that swaps the models group by group, with
    10,000 resamples, the same at every call.

    Raises:
        DataError: no image, or two different numbers of images.
    """
    if not len(correct_a) == len(correct_b) > 0:
        raise DataError("prediction_count", found=[len(correct_a), len(correct_b)])
    n = len(correct_a)
    both, neither = int((correct_a & correct_b).sum()), int((~correct_a & ~correct_b).sum())
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    counts, difference = np.array([both, only_a, only_b, neither]), (only_b - only_a) / n
    n_groups, p_value = None, mcnemar(only_a, only_b)
    if groups is not None:
        names, numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        if len(names) < n:
            n_groups = len(names)
            gains = np.bincount(numbers, weights=correct_b.astype(np.float64) - correct_a)
            variance = (only_a + only_b) / n - difference**2
            sizes = np.bincount(numbers).astype(np.float64)
            counts, p_value = counts * effective_size_of_groups(gains, sizes, variance) / n, _swap_groups(gains)
    interval = newcombe_paired(*counts.tolist())
    return PairedDifference(n, both, only_a, only_b, neither, difference, interval, p_value, n_groups)


def mcnemar(only_a: int, only_b: int) -> float:
    """The two-sided p-value of McNemar's exact test, from how many images only one model predicts correctly."""
    if only_a + only_b == 0:
        return 1.0
    return min(1.0, 2 * binomial_tail(max(only_a, only_b), only_a + only_b, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for multiple tests. Source: S. Holm, Scandinavian Journal of Statistics 6 (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def compare_predictions(
    labels: NDArray[np.integer[Any]],
    predicted_a: NDArray[np.integer[Any]],
    predicted_b: NDArray[np.integer[Any]],
    classes: Sequence[str],
    groups: NDArray[Any] | None = None,
) -> Comparison:
    """Two models' predictions of the same images.

    Args:
        labels: integer (n,), a class's index or UNKNOWN, which is left out; or (n, classes) of 1, 0 and UNKNOWN.
        predicted_a, predicted_b: of the same shape. A multilabel prediction is correct where all labelled cells are.
        classes: the names.
        groups: (n,): the group of each image.

    Raises:
        DataError: no image is labelled.
    """
    multilabel = labels.ndim == 2
    true, cells_a, cells_b = (each.reshape(len(labels), -1) for each in (labels, predicted_a, predicted_b))
    labelled, differs = true != UNKNOWN, (cells_a != cells_b).any(axis=1)
    images = np.flatnonzero(labelled.any(axis=1))
    if not len(images):
        raise DataError("no_labels", n=len(labels))
    cells_a, cells_b = (cells_a == true) | ~labelled, (cells_b == true) | ~labelled
    correct_a, correct_b = cells_a.all(axis=1), cells_b.all(axis=1)

    def difference(mask: Any, a: Mask, b: Mask) -> PairedDifference:
        return paired_difference(a[mask], b[mask], None if groups is None else groups[mask])

    def where(mask: Mask) -> tuple[int, ...]:
        return tuple(images[mask[images]].tolist())

    differences = {}
    for i, name in enumerate(classes):
        counted = labelled[:, i] if multilabel else labels == i
        if counted.any():
            of_class = (cells_a[:, i], cells_b[:, i]) if multilabel else (correct_a, correct_b)
            differences[name] = difference(counted, *of_class)
    corrected = holm([each.p_value for each in differences.values()])
    overall = difference(images, correct_a, correct_b)
    n_a, n_b = overall.both_correct + overall.only_a_correct, overall.both_correct + overall.only_b_correct
    return Comparison(
        overall,
        n_a / overall.n,
        wilson_interval(n_a, overall.n),
        n_b / overall.n,
        wilson_interval(n_b, overall.n),
        tuple(map(ClassDifference, differences, differences.values(), corrected)),
        where(correct_a & ~correct_b),
        where(~correct_a & correct_b),
        where(~correct_a & ~correct_b & differs),
    )


def _swap_groups(gains: NDArray[Any]) -> float:
    """The p-value of swapping the models in random groups."""
    random = np.random.default_rng(0)
    sums = []
    block = max(1, 2**22 // len(gains))  # 32 MB at a time
    for start in range(0, N_RESAMPLES, block):
        count = min(block, N_RESAMPLES - start)
        sums.append(random.choice([-1.0, 1.0], (count, len(gains))) @ gains)
    as_far = np.abs(np.concatenate(sums)) >= abs(gains.sum()) - 1e-9
    # The observed sum counts as one resample, so that p is never 0: Davison and Hinkley, Bootstrap methods (1997), 4.2
    return float((1 + as_far.sum()) / (1 + N_RESAMPLES))

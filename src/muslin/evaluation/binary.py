"""Metrics of a target of two classes: ROC curve, precision and recall over all thresholds.

`labels` is integer (n,) of 0 and 1, `scores` float (n,), higher for 1. Equal scores share one threshold, as in
scikit-learn, and the ranking metrics equal scikit-learn's. Weights per image are added so that a bootstrap needs no
sorting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.intervals import (
    Groups,
    Interval,
    Weights,
    bootstrap_weights,
    mean_with_interval,
    percentile_interval,
    unit_of_each,
)

Labels = NDArray[np.integer[Any]]
Scores = NDArray[np.floating[Any]]

STEPS = 20
"""Operating points between threshold 0 and 1."""


@dataclass(frozen=True)
class OperatingPoint:
    """The predictions at one threshold of the second class's probability.

    Attributes:
        predicted: images predicted as the second class.
        correct: those of them that are of the second class.
        accuracy: share of all images whose prediction is correct.
        precision: correct / predicted; None where predicted is 0.
        recall: correct / images of the second class; None where there is no such image.
        false_positive_rate: share of the first class's images predicted as the second; None where there is none.
        accuracy_interval, precision_interval, recall_interval: 95 %, of whole groups, where there are any; see
            `muslin.evaluation.intervals.mean_with_interval`.
    """

    threshold: float
    predicted: int
    correct: int
    accuracy: float
    accuracy_interval: Interval
    precision: float | None
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval
    false_positive_rate: float | None


@dataclass(frozen=True)
class BinaryMetrics:
    """Metrics of a target of two classes over all thresholds.

    Attributes:
        positive_class: the second class, whose probability the threshold is compared with.
        threshold: the threshold that this evaluation used.
        roc_auc: area under the ROC curve, 0..1; None where a class has no image.
        average_precision: 0..1; None where the second class has no image.
        roc_auc_interval, average_precision_interval: 95 % bootstrap intervals over images, or over groups; (0, 1) for a
            single one, which says nothing of others.
        operating_points: thresholds 0.00 to 1.00 in steps of 0.05.
    """

    positive_class: str
    threshold: float
    roc_auc: float | None
    roc_auc_interval: Interval
    average_precision: float | None
    average_precision_interval: Interval
    operating_points: tuple[OperatingPoint, ...]


def binary_metrics(
    labels: NDArray[np.integer[Any]],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    threshold: float,
    groups: Groups = None,
) -> BinaryMetrics:
    """The metrics of a target of two classes over all thresholds.

    Args:
        labels: (n,) 0 or 1, n at least 1.
        probabilities: (n, 2), in 0..1.
        groups: (n,): images of one group are not independent; None where all images are.
    """
    scores = probabilities[:, 1]
    units = unit_of_each(groups, len(labels))
    samples = bootstrap_weights(int(units.max()) + 1, len(labels))[:, units]
    if not units.any():  # one group, or one image
        samples = samples[:0]
    return BinaryMetrics(
        classes[1],
        threshold,
        *with_bootstrap_interval(weighted_roc_auc, labels, scores, samples),
        *with_bootstrap_interval(weighted_average_precision, labels, scores, samples),
        tuple(operating_point(labels, scores, step / STEPS, groups) for step in range(STEPS + 1)),
    )


def operating_point(labels: Labels, scores: Scores, threshold: float, groups: Groups = None) -> OperatingPoint:
    """The predictions at one threshold: labels (n,) 0 or 1, scores (n,) the probability of 1, groups (n,)."""
    positive = scores.astype(np.float64) >= threshold
    n, support, predicted = len(labels), int((labels == 1).sum()), int(positive.sum())
    correct = int((positive & (labels == 1)).sum())
    is_correct = (positive == (labels == 1)).astype(np.float64)
    return OperatingPoint(
        threshold,
        predicted,
        correct,
        float(is_correct.mean()),
        mean_with_interval(is_correct, groups)[1],
        *mean_with_interval(is_correct, groups, positive),
        *mean_with_interval(is_correct, groups, labels == 1),
        false_positive_rate=(predicted - correct) / (n - support) if n > support else None,
    )


def weighted_average_precision(labels: Labels, scores: Scores, weights: Weights) -> Weights:
    """Average precision per row of `weights`, (rows, n): (rows,), NaN for a row without a positive image."""
    positive, negative = _weighted_counts(labels, scores, weights)
    total = positive[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = positive / (positive + negative)
        gained = np.diff(positive, axis=1, prepend=0)
        return np.asarray(np.where(gained > 0, precision * gained, 0).sum(axis=1) / total)


def weighted_roc_auc(labels: Labels, scores: Scores, weights: Weights) -> Weights:
    """Area under the ROC curve per row of `weights`, (rows, n): (rows,), NaN for a row with one class only."""
    positive, negative = _weighted_counts(labels, scores, weights)
    steps = np.diff(negative, axis=1, prepend=0)
    before = np.concatenate([np.zeros((len(positive), 1)), positive[:, :-1]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (steps * (positive + before) / 2).sum(axis=1) / (positive[:, -1] * negative[:, -1])
    return np.asarray(area)


def with_bootstrap_interval(
    metric: Callable[[Labels, Scores, Weights], Weights], labels: Labels, scores: Scores, samples: Weights
) -> tuple[float | None, Interval]:
    """A metric of all images and its 95 % bootstrap interval; (None, (0, 1)) where the metric is undefined."""
    if not len(labels):
        return None, (0.0, 1.0)
    value = float(metric(labels, scores, np.ones((1, len(labels)), dtype=np.float32))[0])
    if not np.isfinite(value):
        return None, (0.0, 1.0)
    return value, percentile_interval(metric(labels, scores, samples))


def binary_clf_curve(labels: Labels, scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64], Scores]:
    """True positives, false positives and the threshold, per distinct score, from the highest down."""
    positive, negative = _weighted_counts(labels, scores, np.ones((1, len(labels)), dtype=np.float32))
    return positive[0].astype(np.int64), negative[0].astype(np.int64), np.unique(scores)[::-1]


def _weighted_counts(labels: Labels, scores: Scores, weights: Weights) -> tuple[Weights, Weights]:
    """True and false positives per row of `weights` and distinct score, from the highest down: (rows, scores)."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))
    weights = weights[:, order].astype(np.float64)
    positive = np.cumsum(weights * (labels[order] == 1), axis=1)[:, ends]
    return positive, np.cumsum(weights, axis=1)[:, ends] - positive

"""Metrics of a target of two classes: ROC curve, precision and recall over all thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.curves import (
    bootstrap_weights,
    weighted_average_precision,
    weighted_roc_auc,
    with_bootstrap_interval,
)
from muslin.evaluation.intervals import Interval, wilson_interval

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
        accuracy_interval, precision_interval, recall_interval: 95 % Wilson intervals.
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
        roc_auc_interval, average_precision_interval: 95 % bootstrap intervals over images.
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
) -> BinaryMetrics:
    """The metrics of a target of two classes over all thresholds.

    Args:
        labels: (n,) 0 or 1, n at least 1.
        probabilities: (n, 2), in 0..1.
    """
    scores = probabilities[:, 1]
    samples = bootstrap_weights(len(labels), len(labels))
    roc_auc, roc_auc_interval = with_bootstrap_interval(weighted_roc_auc, labels, scores, samples)
    average_precision, average_precision_interval = with_bootstrap_interval(
        weighted_average_precision, labels, scores, samples
    )
    return BinaryMetrics(
        positive_class=classes[1],
        threshold=threshold,
        roc_auc=roc_auc,
        roc_auc_interval=roc_auc_interval,
        average_precision=average_precision,
        average_precision_interval=average_precision_interval,
        operating_points=tuple(operating_point(labels, scores, step / STEPS) for step in range(STEPS + 1)),
    )


def operating_point(
    labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]], threshold: float
) -> OperatingPoint:
    """The predictions at one threshold: labels (n,) 0 or 1, scores (n,) the probability of 1."""
    positive = scores.astype(np.float64) >= threshold
    n, support, predicted = len(labels), int((labels == 1).sum()), int(positive.sum())
    correct = int((positive & (labels == 1)).sum())
    all_correct = n - support - (predicted - correct) + correct
    return OperatingPoint(
        threshold=threshold,
        predicted=predicted,
        correct=correct,
        accuracy=all_correct / n,
        accuracy_interval=wilson_interval(all_correct, n),
        precision=correct / predicted if predicted else None,
        precision_interval=wilson_interval(correct, predicted),
        recall=correct / support if support else None,
        recall_interval=wilson_interval(correct, support),
        false_positive_rate=(predicted - correct) / (n - support) if n > support else None,
    )

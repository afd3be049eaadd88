"""Metrics of a multiclass target as functions of arrays.

`labels` is integer (n,), each in 0..classes-1, without unlabelled images, n at least 1. `probabilities` is float
(n, classes), each row summing to 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN
from muslin.evaluation.intervals import Correctness, Interval, rate_with_interval

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def correctness(labels: Labels, predicted: NDArray[np.bool_]) -> Correctness:
    """How correct each prediction is, float (n,): 1 or 0; of several labels the share of those predicted that is true.

    NaN where nothing is predicted or nothing is labelled.

    Args:
        labels: integer (n,), or (n, classes) for a multilabel target, as in a Dataset.
        predicted: bool (n, classes).
    """
    if labels.ndim == 1:
        known = labels != UNKNOWN
        return np.where(known, predicted[np.arange(len(labels)), np.where(known, labels, 0)], np.nan)
    labelled = predicted & (labels != UNKNOWN)
    with np.errstate(invalid="ignore"):
        return np.asarray((labelled & (labels == 1)).sum(axis=1) / labelled.sum(axis=1))


def confusion_matrix(labels: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """How many images of class `row` were predicted as class `column`: int64 (n_classes, n_classes)."""
    pairs = np.asarray(labels, dtype=np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes * n_classes).reshape(n_classes, n_classes).astype(np.int64)


def log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of -ln(probability of the true class), in nats: 0 is perfect, ln(classes) is chance.

    Clips probabilities by their dtype's resolution, as scikit-learn's `log_loss` does, so that one certain error
    costs much and not infinity.
    """
    resolution = np.finfo(probabilities.dtype).eps
    probability_of_true = np.clip(probabilities[np.arange(len(labels)), labels], resolution, 1 - resolution)
    return float(-np.log(probability_of_true.astype(np.float64)).mean())


def brier_score(labels: Labels, probabilities: Probabilities) -> float:
    """Mean over images of the sum over classes of (probability - truth)²: from 0, perfect, to 2.

    The truth is 1 for the true class and 0 for the others. For two classes this is twice the one-column score that
    some libraries give. Source: G. W. Brier, Monthly Weather Review 78 (1950).
    """
    squared = np.square(probabilities, dtype=np.float64).sum(axis=1)
    probability_of_true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # sum of (p - y)² = sum of p² - 2·p[true] + 1, without building the (n, classes) truth
    return float((squared - 2 * probability_of_true + 1).mean())


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose highest probability is above `low` and at most `high`.

    `confidence` is their mean highest probability, `accuracy` the share of them that is predicted correctly, with its
    95 % Wilson interval. Both are None for an empty bin.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None
    accuracy_interval: Interval


def calibration_bins(labels: Labels, probabilities: Probabilities, n_bins: int = 15) -> tuple[CalibrationBin, ...]:
    """Confidence against accuracy, in `n_bins` equally wide bins of the highest probability.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    n = np.bincount(bins, minlength=n_bins)
    n_correct = np.bincount(bins[correct], minlength=n_bins)
    confidence_sum = np.bincount(bins, weights=confidence, minlength=n_bins)
    return tuple(
        CalibrationBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(n[i]),
            float(confidence_sum[i] / n[i]) if n[i] else None,
            *rate_with_interval(int(n_correct[i]), int(n[i])),
        )
        for i in range(n_bins)
    )


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Mean over images of |accuracy - confidence| of their bin (ECE), in 0..1; 0 is perfectly calibrated.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; with 15 bins as Guo et al., ICML 2017.
    """
    gaps = (b.n * abs(b.accuracy - b.confidence) for b in bins if b.accuracy is not None and b.confidence is not None)
    return sum(gaps) / sum(b.n for b in bins)


@dataclass(frozen=True)
class CalibrationMetrics:
    """How well probabilities are calibrated; see the functions of this module.

    For a multilabel target every labelled cell counts as a prediction of two classes.
    """

    expected_calibration_error: float
    brier_score: float
    log_loss: float
    bins: tuple[CalibrationBin, ...]


def calibration_metrics(labels: Labels, probabilities: Probabilities) -> CalibrationMetrics:
    """See `CalibrationMetrics`.

    Args:
        labels: integer (n,), all labelled, or (n, labels) with unlabelled cells.
        probabilities: float (n, classes).
    """
    if labels.ndim == 2:
        cells = labels != UNKNOWN
        positive = np.asarray(probabilities)[cells]
        labels, probabilities = labels[cells].astype(np.int64), np.stack([1 - positive, positive], axis=1)
    bins = calibration_bins(labels, probabilities)
    error = expected_calibration_error(bins)
    return CalibrationMetrics(error, brier_score(labels, probabilities), log_loss(labels, probabilities), bins)

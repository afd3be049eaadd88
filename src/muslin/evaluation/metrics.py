"""Measures of a classifier: functions of arrays that know nothing of models or files.

Everywhere `labels` is int64 (n,), each in 0..classes-1 (unknown ones already left out, n at least 1), and
`probabilities` float (n, classes), each row summing to 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.intervals import Interval, wilson

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def confusion_matrix(labels: Labels, predicted: Labels, n_classes: int) -> NDArray[np.int64]:
    """How often class `row` was called class `column`: int64 (n_classes, n_classes)."""
    pairs = np.asarray(labels, dtype=np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes * n_classes).reshape(n_classes, n_classes).astype(np.int64)


def log_loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean of -ln(probability of the true class), in nats: 0 is perfect, ln(classes) is knowing nothing.

    Probabilities are kept off 0 and 1 by their own dtype's resolution, as in scikit-learn's `log_loss`, so
    that one certain mistake costs much and not infinity.
    """
    resolution = np.finfo(probabilities.dtype).eps
    of_true = np.clip(probabilities[np.arange(len(labels)), labels], resolution, 1 - resolution)
    return float(-np.log(of_true.astype(np.float64)).mean())


def brier_score(labels: Labels, probabilities: Probabilities) -> float:
    """Mean over images of the sum over classes of (probability - truth)²: from 0, perfect, to 2.

    The truth is 1 for the true class and 0 for the others. This is Brier's own multiclass definition
    (G. W. Brier, Monthly Weather Review 78, 1950); for two classes it is twice the one-column score that some
    libraries print.
    """
    squared = np.square(probabilities, dtype=np.float64).sum(axis=1)
    of_true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # sum of (p - y)² = sum of p² - 2·p[true] + 1, without building the (n, classes) truth
    return float((squared - 2 * of_true + 1).mean())


@dataclass(frozen=True)
class CalibrationBin:
    """The images whose winning probability lies in one stretch of 0..1: above `low`, up to and with `high`.

    `confidence` is their mean winning probability, `accuracy` the share of them that is right, with its 95 %
    Wilson interval; both are None for an empty bin.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None
    accuracy_interval: Interval


def calibration_bins(
    labels: Labels, probabilities: Probabilities, n_bins: int = 15
) -> tuple[CalibrationBin, ...]:
    """Stated against true share of right answers, in `n_bins` equal stretches of the winning probability.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    right_count = np.bincount(place[right], minlength=n_bins)
    confidence_sum = np.bincount(place, weights=confidence, minlength=n_bins)
    return tuple(
        CalibrationBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            n=int(count[i]),
            confidence=float(confidence_sum[i] / count[i]) if count[i] else None,
            accuracy=float(right_count[i] / count[i]) if count[i] else None,
            accuracy_interval=wilson(int(right_count[i]), int(count[i])),
        )
        for i in range(n_bins)
    )


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Mean over images of |accuracy - confidence| of their bin (ECE), in 0..1; 0 says what is stated is so.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; with 15 bins as Guo et al. 2017.
    """
    total = sum(b.n for b in bins)
    gaps = (
        b.n * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    )
    return sum(gaps) / total

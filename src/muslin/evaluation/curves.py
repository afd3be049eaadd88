"""Ranking metrics of one binary task, and their bootstrap intervals.

`labels` is integer (n,) of 0 and 1, `scores` float (n,), higher for 1. Equal scores share one threshold, as in
scikit-learn, and the metrics equal scikit-learn's. Weights per image are added so that a bootstrap needs no sorting.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.intervals import Interval

Labels = NDArray[np.integer[Any]]
Scores = NDArray[np.floating[Any]]
Weights = NDArray[np.floating[Any]]

MAX_RESAMPLES = 400
MIN_RESAMPLES = 50
MAX_WEIGHTED_CELLS = 100_000_000
"""Images times labels times resamples of one bootstrap: takes some seconds."""


def bootstrap_weights(n: int, cells: int) -> Weights:
    """How often each of `n` images occurs in each bootstrap sample: float32 (samples, n), the same at every call.

    400 samples; where each sample has to weigh many `cells`, fewer, at least 50.
    Source: B. Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979).
    """
    count = int(np.clip(MAX_WEIGHTED_CELLS // max(cells, 1), MIN_RESAMPLES, MAX_RESAMPLES))
    random = np.random.default_rng(0)
    counts = [np.bincount(random.integers(0, n, n), minlength=n) for _ in range(count)]
    return np.array(counts, dtype=np.float32)


def percentile_interval(values: NDArray[np.floating[Any]], level: float = 0.95) -> Interval:
    """The middle `level` of a bootstrap's values; (0, 1) for no values. Leaves out NaN, from undefined samples."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def weighted_average_precision(labels: Labels, scores: Scores, weights: Weights) -> Weights:
    """Average precision per row of `weights`, (rows, n): (rows,), NaN for a row without a positive image."""
    positive, negative = _weighted_counts(labels, scores, weights)
    total = positive[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = positive / (positive + negative)
        gained = np.diff(positive, axis=1, prepend=0)
        result: Weights = np.where(gained > 0, precision * gained, 0).sum(axis=1) / total
    return result


def weighted_roc_auc(labels: Labels, scores: Scores, weights: Weights) -> Weights:
    """Area under the ROC curve per row of `weights`, (rows, n): (rows,), NaN for a row with one class only."""
    positive, negative = _weighted_counts(labels, scores, weights)
    steps = np.diff(negative, axis=1, prepend=0)
    before = np.concatenate([np.zeros((len(positive), 1)), positive[:, :-1]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Weights = (steps * (positive + before) / 2).sum(axis=1) / (positive[:, -1] * negative[:, -1])
    return result


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

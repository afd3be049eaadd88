"""Measures of one yes-or-no question over all thresholds: truth (n,) of 0 and 1, scores (n,), the higher the more yes.

Equal scores stand or fall together, as in scikit-learn, whose figures these are; what is added is a weight per
image, so that a bootstrap needs no sorting.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.intervals import Interval

Truth = NDArray[np.integer[Any]]
Scores = NDArray[np.floating[Any]]
Weights = NDArray[np.floating[Any]]

LEVEL = 0.95
MOST_RESAMPLES = 400
FEWEST_RESAMPLES = 50
CELLS = 100_000_000
"""Images times resamples that a bootstrap may touch for all labels together: some seconds."""


def resamples(n: int, cells: int) -> Weights:
    """How often each of `n` images is in each bootstrap sample (Efron 1979): float32 (samples, n), always the same.

    400 samples, fewer (50 at least) where `cells` answers have to be gone through for each.
    """
    count = int(np.clip(CELLS // max(cells, 1), FEWEST_RESAMPLES, MOST_RESAMPLES))
    random = np.random.default_rng(0)
    drawn = [np.bincount(random.integers(0, n, n), minlength=n) for _ in range(count)]
    return np.array(drawn, dtype=np.float32)


def between(values: NDArray[np.floating[Any]]) -> Interval:
    """The middle 95 % of a bootstrap's values; NaN, from samples without an image to go by, are left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _counts(truth: Truth, scores: Scores, weights: Weights) -> tuple[Weights, Weights]:
    """Per row of `weights` the true and the false positives at each distinct score, downwards: (rows, scores)."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))
    weights = weights[:, order].astype(np.float64)
    positive = np.cumsum(weights * (truth[order] == 1), axis=1)[:, ends]
    return positive, np.cumsum(weights, axis=1)[:, ends] - positive


def average_precisions(truth: Truth, scores: Scores, weights: Weights) -> Weights:
    """Per row of `weights`, (rows, n), the mean precision over the recalls gained: (rows,), NaN without a yes."""
    positive, negative = _counts(truth, scores, weights)
    total = positive[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = positive / (positive + negative)
        gained = np.diff(positive, axis=1, prepend=0)
        result: Weights = np.where(gained > 0, precision * gained, 0).sum(axis=1) / total
    return result


def roc_areas(truth: Truth, scores: Scores, weights: Weights) -> Weights:
    """Per row of `weights` the chance that a yes has a higher score than a no: (rows,), NaN where one is lacking."""
    positive, negative = _counts(truth, scores, weights)
    steps = np.diff(negative, axis=1, prepend=0)
    before = np.concatenate([np.zeros((len(positive), 1)), positive[:, :-1]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Weights = (steps * (positive + before) / 2).sum(axis=1) / (positive[:, -1] * negative[:, -1])
    return result


def with_interval(
    measure: Callable[[Truth, Scores, Weights], Weights], truth: Truth, scores: Scores, samples: Weights
) -> tuple[float | None, Interval]:
    """A measure of all images and its bootstrap interval; (None, (0, 1)) where it is not defined."""
    value = (
        float(measure(truth, scores, np.ones((1, len(truth)), dtype=np.float32))[0]) if len(truth) else np.nan
    )
    if not np.isfinite(value):
        return None, (0.0, 1.0)
    return value, between(measure(truth, scores, samples))


def curve(truth: Truth, scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.int64], Scores]:
    """True positives, false positives and the score from which on they count, per distinct score, downwards."""
    positive, negative = _counts(truth, scores, np.ones((1, len(truth)), dtype=np.float32))
    return positive[0].astype(np.int64), negative[0].astype(np.int64), np.unique(scores)[::-1]

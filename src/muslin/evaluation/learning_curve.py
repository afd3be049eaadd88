"""How much more a model will accept after more images are labelled: learning curves, extrapolated with a band.

A curve has the predictions for the same images by models that were fitted to parts of the others. Two things change
when more images are labelled. More images calibrate, so that a lower threshold can be proven: drawn again, with as many
images as there will be. And the model makes fewer errors: its learning curve is a line in the log odds against the
logarithm of the images, which holds over a few doublings and then flattens (T. Viering and M. Loog, The shape of
learning curves: a review, IEEE TPAMI 45, 2023). So the slope counts in full for few more images, and for twice as many
anything between all and nothing of it is as probable. benchmarks/label_forecast.py measures how often the band holds.
"""

from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import DataError
from muslin.evaluation.intervals import Interval
from muslin.evaluation.precision_bound import accept_threshold

FRACTIONS = (0.35, 0.5, 0.7, 1.0)
"""Of the training images. The nearest octave and a half: what is further back is steeper."""

MAX_GROWTH = 2.0
"""A curve is extrapolated to at most twice the images."""

_DRAWS = 200
_KEPT = 0.5
"""Part of the calibration images that a draw keeps; the others are drawn again, because all predictions change when a
model is trained again. With all kept, the band held too seldom, and with none it was wider than needed."""

_NEARBY = (-0.04, -0.02, 0.0)
"""Precisions around the target whose slopes are averaged: one alone is noisy."""


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Out-of-fold predictions for `n` images, or products, by models fitted to parts of the images of the other folds.

    Attributes:
        fractions: rising, the last one 1: the parts.
        confidence: float (repeats, len(fractions), n), calibrated; each repeat has its own folds.
        correct: bool, of the same shape.
        groups: integer (n,): the number of each image's group; None where all are independent.
        counted: bool (n,): those whose share is wanted, such as those of a class, at least one; None for all.
    """

    fractions: tuple[float, ...]
    confidence: NDArray[np.floating[Any]] = field(repr=False)
    correct: NDArray[np.bool_] = field(repr=False)
    groups: NDArray[np.integer[Any]] | None = field(default=None, repr=False)
    counted: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Forecast:
    """What is expected after `more` images are labelled.

    Attributes:
        labelled: images that the model learned from so far.
        accepted_now, accuracy_now: shares so far, by the curve's predictions.
        accepted, accuracy: expected shares.
        accepted_interval, accuracy_interval: 95 % prediction intervals.
    """

    labelled: int
    more: int
    accepted_now: float
    accepted: float
    accepted_interval: Interval
    accuracy_now: float
    accuracy: float
    accuracy_interval: Interval


def forecast(
    curve: LearningCurve, labelled: int, more: int, precision: float, *, calibrates: bool = True, seed: int = 0
) -> Forecast:
    """The shares of accepted and of correct predictions after `more` further images are labelled.

    Args:
        labelled: images whose number grows: all that the model learns from, or those of one class.
        precision: target of the accepted predictions, in 0..1.
        calibrates: whether the further images calibrate too, in the proportion of those so far.

    Raises:
        DataError: more further images than MAX_GROWTH allows, or none.
    """
    if not 0 < more <= (MAX_GROWTH - 1) * labelled:
        raise DataError("forecast_range", more=more, largest=int((MAX_GROWTH - 1) * labelled))
    draws, growth = _Draws(curve, seed), 1 + more / labelled
    n_calibration = round(draws.n * (growth if calibrates else 1))
    accepted, accuracy = np.empty(_DRAWS), np.empty(_DRAWS)
    for number in range(_DRAWS):
        rows, _ = draws.sample(draws.n)
        share_slope, accuracy_slope = _slopes(curve, draws.counted_of(rows), rows, precision)
        flattening = draws.random.uniform(max(0.0, 1 - log(growth, 2)), 1.0)
        by_growth = flattening * log(growth)
        share = draws.accepted_share(number % len(curve.confidence), rows, n_calibration, precision)
        accepted[number] = _shifted(share, share_slope * by_growth, draws.n)
        again, _ = draws.sample(draws.n, rows)
        right = _share(curve.correct[:, -1][:, draws.counted_of(again)])
        accuracy[number] = _shifted(right, accuracy_slope * by_growth, draws.n)
    accepted, accuracy = (values[np.isfinite(values)] for values in (accepted, accuracy))  # draws with a counted image
    everything = np.arange(draws.n)
    return Forecast(
        labelled,
        more,
        draws.threshold_share(0, everything, everything, curve.groups, precision),
        float(np.median(accepted)),
        _middle(accepted),
        float(curve.correct[:, -1][:, draws.counted_of(everything)].mean()),
        float(np.median(accuracy)),
        _middle(accuracy),
    )


class _Draws:
    """Draws of the curve's images in whole groups."""

    def __init__(self, curve: LearningCurve, seed: int) -> None:
        self.curve, self.random, self.n = curve, np.random.default_rng(seed), curve.confidence.shape[2]
        number = np.arange(self.n) if curve.groups is None else np.unique(curve.groups, return_inverse=True)[1]
        self.order, self.counts = np.argsort(number, kind="stable"), np.bincount(number)
        self.starts, self.number = np.cumsum(self.counts) - self.counts, number
        self.is_first = np.zeros(self.n, dtype=bool)  # of its group
        self.is_first[self.order[self.starts]] = True

    def sample(self, n: int, among: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """About `n` images in whole groups with replacement, and the number of each one's drawn group.

        Args:
            among: whole groups, as this draws them; None for all.
        """
        groups = np.arange(len(self.counts)) if among is None else self.number[among[self.is_first[among]]]
        drawn = groups[self.random.integers(0, len(groups), max(round(n * len(self.counts) / self.n), 1))]
        return self._members(drawn)

    def kept_and_drawn(self, n: int, among: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """About `n` calibration images: _KEPT of those there are, each once, and the others drawn from `among`."""
        some = self.random.permutation(len(self.counts))[: round(_KEPT * len(self.counts))]
        kept, kept_groups = self._members(some)
        drawn, drawn_groups = self.sample(max(n - len(kept), 1), among)
        return np.concatenate([kept, drawn]), np.concatenate([kept_groups, drawn_groups + len(some)])

    def _members(self, groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        counts = self.counts[groups]
        of = np.repeat(np.arange(len(groups)), counts)
        place = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.order[self.starts[groups][of] + place], of

    def counted_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows` whose share is wanted."""
        return rows if self.curve.counted is None else rows[self.curve.counted[rows]]

    def accepted_share(self, repeat: int, population: NDArray[np.int64], n: int, precision: float) -> float:
        """Of the counted ones of `population`, by the threshold that `n` calibration images prove."""
        calibration, groups = self.kept_and_drawn(n, population)
        return self.threshold_share(repeat, population, calibration, groups, precision)

    def threshold_share(
        self, repeat: int, population: NDArray[np.int64], calibration: NDArray[np.int64], groups: Any, precision: float
    ) -> float:
        confidence, correct = self.curve.confidence[repeat, -1], self.curve.correct[repeat, -1]
        falling = np.argsort(-confidence[calibration], kind="stable")
        rows = calibration[falling]
        known = None if self.curve.groups is None else groups[falling]
        threshold = accept_threshold(confidence[rows], correct[rows], precision, known)
        return _share(confidence[self.counted_of(population)] >= threshold)


def _slopes(
    curve: LearningCurve, counted: NDArray[np.int64], rows: NDArray[np.int64], precision: float
) -> tuple[float, float]:
    """Of the log odds of the largest share at a precision and of the accuracy, per e-fold of the training images."""
    logs = np.log(curve.fractions)
    targets = [min(max(precision + step, 0.5), 0.999) for step in _NEARBY]
    shares, right = np.zeros(len(logs)), np.zeros(len(logs))
    for confidence, correct in zip(curve.confidence, curve.correct, strict=True):
        for place in range(len(logs)):
            c, ok = confidence[place], correct[place]
            largest = _largest_shares(c[rows], ok[rows], c[counted], targets)
            shares[place] += _log_odds(largest, len(rows)).mean() / len(curve.confidence)
            right[place] += _log_odds(ok[counted].mean(), len(rows)) / len(curve.confidence) if len(counted) else 0.0
    slopes = np.polyfit(logs, np.stack([shares, right], axis=1), 1)[0]
    return float(slopes[0]), float(slopes[1])


def _largest_shares(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], counted: NDArray[np.floating[Any]],
    precisions: list[float],
) -> NDArray[np.float64]:  # fmt: skip
    """Per precision the share of `counted` confidences above the lowest threshold that reaches it."""
    order = np.argsort(-confidence, kind="stable")
    reached = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    shares = []
    for precision in precisions:
        enough = np.flatnonzero(reached >= precision)
        threshold = confidence[order[enough[-1]]] if len(enough) else np.inf
        shares.append(float((counted >= threshold).mean()) if len(counted) else 0.0)
    return np.array(shares)


def _share(mask: NDArray[np.bool_]) -> float:
    """NaN of nothing."""
    return float(mask.mean()) if mask.size else float("nan")


def _log_odds(share: Any, n: int) -> Any:
    """Kept away from 0 and 1 by half an image."""
    inside = np.clip(share, 0.5 / n, 1 - 0.5 / n)
    return np.log(inside / (1 - inside))


def _shifted(share: float, by: float, n: int) -> float:
    """A share whose log odds are shifted; of nothing it stays nothing, because no threshold can be proven."""
    return float(1 / (1 + np.exp(-_log_odds(share, n) - by))) if share else 0.0


def _middle(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

"""Whether a shop's products differ from the images that a model was calibrated on, without any label.

Three comparisons, each with an interval: the share out of scope, the mix of predicted classes, and the mean confidence.
Where nothing has changed, one look reports a shift with a probability of at most about FALSE_ALARMS, of few products
and of many; benchmarks/shift_alarms.py measures it. A shift is no proof that predictions are worse: only checks of
random products show that (`muslin.evaluation.confidence_sequence`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.combinatorics import fisher_p_value
from muslin.evaluation.effective_size import effective_counts
from muslin.evaluation.intervals import Interval, newcombe_independent, wilson_interval
from muslin.evaluation.ood import FALSE_OOD_RATE

FALSE_ALARMS = 0.01
"""The probability that any of the three comparisons reports a shift where there is none; a third for each."""

CONFIDENCE_TOLERANCE = 0.01
"""A smaller shift of the mean confidence is not reported: out-of-fold predictions calibrate the model, and the sealed
model, which was fitted to more images, can be a little more or less confident."""

_EACH = FALSE_ALARMS / 3
_DRAWS = 20_000

Groups = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class OutOfScopeShift:
    """The share of products out of scope.

    Attributes:
        observed, n: products out of scope, of so many.
        interval: 95 %, of the share.
        expected: the share if nothing has changed.
        expected_interval: the middle 95 % of shares of `n` products if nothing has changed.
        is_shifted: whether there are more than can be expected.
    """

    observed: int
    n: int
    interval: Interval
    expected: float
    expected_interval: Interval
    is_shifted: bool


@dataclass(frozen=True)
class ClassShift:
    """The share of one predicted class.

    Attributes:
        observed, expected: the share among the products and among the calibration images.
        interval: of `observed` - `expected`; of all classes together at the level 1 - FALSE_ALARMS / 3.
        is_shifted: whether the shares differ by more than chance.
    """

    name: str
    observed: float
    expected: float
    interval: Interval
    is_shifted: bool


@dataclass(frozen=True)
class ConfidenceShift:
    """The mean confidence.

    Attributes:
        observed, expected: of the products and of the calibration images.
        interval: of `observed` - `expected`, at the level 1 - FALSE_ALARMS / 3.
        is_shifted: whether they differ by more than chance and CONFIDENCE_TOLERANCE.
    """

    observed: float
    expected: float
    interval: Interval
    is_shifted: bool


def out_of_scope_shift(
    outside: int, n: int, n_scores: int, *, photos_per_product: float = 1.0
) -> OutOfScopeShift | None:
    """Compares the share out of scope with that of a conformal threshold; None where it can be no share.

    The threshold is the r-th smallest of `n_scores` calibration scores. A new score exceeds it with a probability that
    depends on these scores, and over their draws has the distribution Beta(n_scores + 1 - r, r), so the number among n
    is beta-binomial (V. Vovk, Conditional validity of inductive conformal predictors, Machine Learning 92, 2013). A
    product is out of scope where at least half of its photos are, which of products with k photos is at most
    k / ceil(k / 2) times as probable, by Markov's inequality.

    Args:
        outside, n: products out of scope, of so many.
        n_scores: of `OODDetector.calibration_scores`, or the number of groups that they are in.
        photos_per_product: the mean.
    """
    rank = int(np.ceil((n_scores + 1) * (1 - FALSE_OOD_RATE) - 1e-9))
    if rank > n_scores or n == 0:
        return None
    factor = 1.0 if photos_per_product <= 1 else min(photos_per_product, 2.0)
    random = np.random.default_rng(0)
    rates = np.minimum(factor * random.beta(n_scores + 1 - rank, rank, _DRAWS), 1.0)
    counts = random.binomial(n, rates)
    low, high = np.quantile(counts, [0.025, 0.975]) / n
    expected = min(factor * (n_scores + 1 - rank) / (n_scores + 1), 1.0)
    is_shifted = bool((counts >= outside).mean() <= _EACH)
    return OutOfScopeShift(outside, n, wilson_interval(outside, n), expected, (float(low), float(high)), is_shifted)


def class_shifts(
    observed: Mapping[str, int], predicted: NDArray[np.integer[Any]], classes: tuple[str, ...],
    groups: Groups | None = None,
) -> tuple[ClassShift, ...]:  # fmt: skip
    """The shares of the predicted classes, the most different first; empty where a side has no predictions.

    Fisher's exact test for each class, at the level of all together (Bonferroni), and Newcombe's interval of the
    difference. Of calibration images in groups, as many count as independent ones would tell as much: their number
    divided by Kish's design effect.

    Args:
        observed: products per predicted class.
        predicted: integer (n,): of the calibration images, places in `classes`; -1 does not count.
        groups: integer (n,): the number of each calibration image's group; None where all are independent.
    """
    known = predicted >= 0
    predicted, groups = predicted[known], None if groups is None else groups[known]
    n_observed = sum(observed.values())
    if not len(predicted) or not n_observed:
        return ()
    shifts = []
    failure = _EACH / len(classes)
    for place, name in enumerate(classes):
        count, n = effective_counts(predicted == place, groups)
        here = observed.get(name, 0)
        p_value = fisher_p_value(here, n_observed, count, n)
        interval = newcombe_independent(here, n_observed, count, n, 1 - failure)
        shares = here / n_observed, float((predicted == place).mean())
        shifts.append(ClassShift(name, *shares, interval, p_value <= failure))
    return tuple(sorted(shifts, key=lambda shift: (not shift.is_shifted, -abs(shift.observed - shift.expected))))


def confidence_shift(
    observed: NDArray[np.floating[Any]], calibration: NDArray[np.floating[Any]], groups: Groups | None = None
) -> ConfidenceShift | None:
    """The means of two samples of confidences and the interval of their difference; None where one has fewer than two
    images, or is a single group.

    Welch's interval with normal quantiles; the variance of calibration images in groups is that of their groups' sums
    (the linearised variance of a ratio; W. G. Cochran, Sampling techniques, 3rd ed. 1977, 6.3).

    Args:
        observed, calibration: float (n,) and (m,), 0..1; of images that are for review whatever they predict, 0, which
            do not count.
        groups: integer (m,): the number of each calibration image's group; None where all are independent.
    """
    known = calibration > 0
    calibration, groups = calibration[known], None if groups is None else groups[known]
    observed = observed[observed > 0]
    numbers = np.arange(len(calibration)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(observed) < 2 or numbers.max(initial=0) < 1:
        return None
    mean, expected = float(observed.mean()), float(calibration.mean())
    sums = np.bincount(numbers, weights=calibration.astype(np.float64) - expected)
    variance = observed.var(ddof=1) / len(observed)
    variance += (sums**2).sum() * len(sums) / (len(sums) - 1) / len(calibration) ** 2
    half = NormalDist().inv_cdf(1 - _EACH / 2) * float(variance) ** 0.5
    low, high = mean - expected - half, mean - expected + half
    is_shifted = low > CONFIDENCE_TOLERANCE or high < -CONFIDENCE_TOLERANCE
    return ConfidenceShift(mean, expected, (low, high), is_shifted)

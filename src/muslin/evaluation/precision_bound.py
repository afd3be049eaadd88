"""The lowest confidence threshold at which a precision is proven with 95 % confidence, also of images in groups."""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.binomial import binomial_tail
from muslin.evaluation.effective_size import Correct, Groups, Sizes, effective_sizes, intraclass_correlation

CONFIDENCE_LEVEL = 0.95
"""Of the guarantee."""

_LEVEL = 1 - CONFIDENCE_LEVEL

Confidence = NDArray[np.floating[Any]]

_MAX_TESTS = 100  # thresholds tested, from the strictest to the most lenient
_STEPS = 1000  # precisions are searched in steps of 0.1 %
_Z = NormalDist().inv_cdf(CONFIDENCE_LEVEL)


def accept_threshold(confidence: Confidence, correct: Correct, precision: float, groups: Groups | None = None) -> float:
    """The lowest confidence threshold at which `precision` is proven with 95 % confidence; infinite for none.

    Tests thresholds at fixed ranks from strict to lenient, until a test fails: fixed-sequence testing, which keeps the
    whole search at the level of one test (Maurer, Hothorn and Lehmacher 1995; for selective classifiers Angelopoulos
    et al., Learn then test, 2021). The search starts where the confidences alone, as probabilities of being correct,
    make a pass most probable, so no `correct` decides it. Each test is `precision_p_value`. Given the confidence at a
    rank, the predictions above it are a random sample of all predictions above it. The whole search is valid where
    precision does not rise as the threshold falls.

    A threshold that proves a higher precision proves this one, so the searches for higher precisions, in steps of
    0.1 %, count as well; they seldom reach further. Simulated draws show what that costs: see
    docs/explanation/selective-prediction.md.

    Args:
        confidence: float (n,), falling.
        correct: bool (n,).
        precision: in 0..1 exclusive.
        groups: integer (n,): the number of each image's group, whose images are not independent; None where all are.
    """
    if not len(confidence):
        return np.inf
    return _Search(confidence, correct, groups).threshold(precision)


def max_precision(confidence: Confidence, correct: Correct, groups: Groups | None = None) -> float:
    """The highest precision, to 0.1 %, that `accept_threshold` can prove for any predictions; 0 for none."""
    if not len(confidence):
        return 0.0
    return _Search(confidence, correct, groups).highest()


class _Search:
    """Tests of thresholds, which are numbered from the strictest to the most lenient."""

    def __init__(self, confidence: Confidence, correct: Correct, groups: Groups | None) -> None:
        self.confidence, n = confidence, len(confidence)
        ranks = np.linspace(0, n, min(_MAX_TESTS, n) + 1).round().astype(int)
        inner = ranks[1:-1][np.diff(ranks[:-1]) > 0]
        # Strictly above the prediction at a rank, or all of them: equal confidences are accepted together
        above = np.append(np.searchsorted(-confidence, -confidence[inner], side="left"), n)
        self.accepted = above[above > 0]  # none: nothing to test
        correlation = 0.0 if groups is None else intraclass_correlation(correct, groups)
        sizes = effective_sizes(correct, groups, correlation)
        self.n_groups, self.rates, self.sizes = (values[self.accepted - 1] for values in sizes)
        p = np.asarray(confidence, dtype=np.float64)
        self.mean = np.cumsum(1 - p)[self.accepted - 1]
        self.std = np.sqrt(np.cumsum(p * (1 - p))[self.accepted - 1] + 1e-9)
        errors = np.arange(1, n + 2) ** 0.5
        self.refuted = errors**2 * (1 - 1 / (9 * errors**2) + _Z / (3 * errors)) ** 3  # by 0, 1, … errors

    def starts(self, precisions: Sizes) -> NDArray[np.intp]:
        """Per precision the threshold at which a test most probably passes if the confidences are true.

        The number of errors that a test allows comes from the Poisson bound, its chi-square quantile from Wilson and
        Hilferty (1931); the number of errors that occur is taken as normal.
        """
        allowed = np.searchsorted(self.refuted, np.outer(1 - precisions, self.accepted), side="right") - 1
        score = (np.maximum(allowed, 0) + 0.5 - self.mean) / self.std
        possible = np.less_equal.outer(_images_needed(precisions), self.n_groups)
        return np.asarray(np.where(possible, score, -np.inf).argmax(axis=1))

    def passes(self, place: int, precision: float) -> bool:
        n_groups, rate, size = self.n_groups[place], self.rates[place], self.sizes[place]
        if rate <= precision or n_groups < images_needed(precision):
            return False
        return binomial_tail(rate * size, size, precision) <= _LEVEL

    def threshold(self, precision: float) -> float:
        """See `accept_threshold`."""
        higher = np.arange(int(precision * _STEPS + 1e-9) + 1, _STEPS) / _STEPS
        precisions, best = np.append(precision, higher), -1
        for place, each in zip(self.starts(precisions).tolist(), precisions.tolist(), strict=True):
            while best < place < len(self.accepted) and self.passes(place, each):
                best, place = place, place + 1
        return float(self.confidence[self.accepted[best] - 1]) if best >= 0 else np.inf

    def highest(self) -> float:
        """See `max_precision`."""
        precisions = np.arange(_STEPS - 1, 0, -1) / _STEPS
        tests = zip(self.starts(precisions).tolist(), precisions.tolist(), strict=True)
        return next((precision for place, precision in tests if self.passes(place, precision)), 0.0)


def images_needed(precision: float) -> int:
    """The number of independent images, or of groups, that can prove `precision` if all predictions are correct."""
    return int(_images_needed(np.float64(precision)))


def _images_needed(precision: Any) -> Any:
    return np.ceil(np.log(1 - CONFIDENCE_LEVEL) / np.log(precision) - 1e-9)


def precision_p_value(
    correct: Correct, precision: float, groups: Groups | None = None, correlation: float = 0.0
) -> float:
    """The probability of at least as many correct predictions if the precision were no higher than `precision`.

    Independent images: the exact binomial test, whose inversion is the bound of Clopper and Pearson (1934). Images in
    groups: the same with the effective number of images, the number divided by the design effect, and corrected for
    the few groups that it is estimated from (Korn and Graubard, Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data, Survey Methodology 24, 1998). The fewer errors
    there are, the worse is that estimate; so it is at least Kish's 1 + (m - 1) `correlation`, m the mean group size
    weighted by size. And there must be as many groups as independent images would be needed: with fewer, a group in
    which all predictions are incorrect may just be absent.

    Args:
        correct: bool (n,), n at least 1.
        precision: in 0..1 exclusive.
        groups: see `accept_threshold`.
        correlation: within groups, of these and less confident predictions; see `intraclass_correlation`.
    """
    n_groups, rate, size = (float(values[-1]) for values in effective_sizes(correct, groups, correlation))
    return 1.0 if n_groups < images_needed(precision) else binomial_tail(rate * size, size, precision)

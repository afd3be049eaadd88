"""The lowest confidence threshold at which a precision is proven with 95 % confidence, also of images in groups."""

from math import exp, lgamma, log
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
"""Of the guarantee."""

_LEVEL = 1 - CONFIDENCE_LEVEL

Confidence = NDArray[np.floating[Any]]
Correct = NDArray[np.bool_]
Groups = NDArray[np.integer[Any]]

_MAX_TESTS = 100  # thresholds tested, from the strictest to the most lenient
_SIZE_TESTS = 20  # shares of the predictions for which `expected_size_needed` looks
_MAX_TIMES = 20
_LEVEL_WITH_POWER = 0.0064  # of an expected result that 80 % of the results reach at `_LEVEL`
_PRIOR_IMAGES = 50  # that the confidences are worth, because of a few images all can be correct by chance
_Z = NormalDist().inv_cdf(CONFIDENCE_LEVEL)


def accept_threshold(confidence: Confidence, correct: Correct, precision: float, groups: Groups | None = None) -> float:
    """The lowest confidence threshold at which `precision` is proven with 95 % confidence; infinite for none.

    Tests thresholds at fixed ranks from strict to lenient, until a test fails: fixed-sequence testing, which keeps the
    whole search at the level of one test (Maurer, Hothorn and Lehmacher 1995; for selective classifiers Angelopoulos
    et al., Learn then test, 2021). The search starts where the confidences alone, as probabilities of being correct,
    make a pass most probable, so no `correct` decides it. Each test is `precision_p_value`. Given the confidence at a
    rank, the predictions above it are a random sample of all predictions above it. The whole search is valid where
    precision does not rise as the threshold falls.

    Args:
        confidence: float (n,), falling.
        correct: bool (n,).
        precision: in 0..1 exclusive.
        groups: integer (n,): the number of each image's group, whose images are not independent; None where all are.
    """
    n = len(confidence)
    if n == 0:
        return np.inf
    ranks = np.unique(np.linspace(0, n, min(_MAX_TESTS, n) + 1).round().astype(int)[1:])
    # Strictly above the prediction at a rank, or all of them: equal confidences are accepted together
    above = [n if rank == n else int(np.searchsorted(-confidence, -confidence[rank], side="left")) for rank in ranks]
    correlation = 0.0 if groups is None else intraclass_correlation(correct, groups)
    best = np.inf
    for accepted in above[_start(confidence, above, precision, groups) :]:
        if accepted == 0:  # no prediction is more confident: nothing to test
            continue
        chosen = None if groups is None else groups[:accepted]
        if precision_p_value(correct[:accepted], precision, chosen, correlation) > _LEVEL:
            break
        best = float(confidence[accepted - 1])
    return best


def max_precision(confidence: Confidence, correct: Correct, groups: Groups | None = None) -> float:
    """The highest precision, to 0.1 %, that `accept_threshold` can prove for any predictions; 0 for none."""
    low, high = 0, 1000  # in 0.1 %
    while high - low > 1:
        middle = (low + high) // 2
        proven = accept_threshold(confidence, correct, middle / 1000, groups) < np.inf
        low, high = (middle, high) if proven else (low, middle)
    return low / 1000


def images_needed(precision: float) -> int:
    """The number of independent images, or of groups, that can prove `precision` if all predictions are correct."""
    return int(np.ceil(log(1 - CONFIDENCE_LEVEL) / log(precision) - 1e-9))


def intraclass_correlation(correct: Correct, groups: Groups) -> float:
    """How alike predictions within a group are: 0 as by chance, about 1 where groups are all correct or all incorrect.

    The covariance of correctness over all pairs of images in a group, divided by the variance of one image; at least 0.

    Args:
        correct: bool (n,).
        groups: integer (n,), 0 or more: the number of each image's group.
    """
    counts = np.bincount(groups).astype(np.float64)
    sums, rate = np.bincount(groups, weights=correct), correct.mean()
    expected = (counts * (counts - 1)).sum() * rate * (1 - rate)
    if expected == 0:
        return 0.0
    return max(0.0, float(((sums - rate * counts) ** 2 - counts * rate * (1 - rate)).sum() / expected))


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
    n_groups, rate, size = _effective_size(correct, groups, correlation)
    if groups is not None and n_groups < images_needed(precision):
        return 1.0
    return binomial_tail(rate * size, size, precision)


def expected_size_needed(
    confidence: Confidence, correct: Correct, precision: float, groups: Groups | None = None
) -> int | None:
    """About how many such images, or groups, prove `precision` for some share of the predictions, from a tenth on.

    In about 80 of 100 samples of that size, as far as this one can tell.

    Assumes that further images are like these, of which the confidences also say how many are correct. None where 20
    times as many, or twice the fewest that can prove it, are too few: the model makes too many errors.

    Args:
        confidence, correct, precision, groups: see `accept_threshold`.
    """
    n, needed = len(confidence), images_needed(precision)
    if n == 0:
        return needed
    correlation = 0.0 if groups is None else intraclass_correlation(correct, groups)
    accepted = np.unique(np.linspace(n / 10, n, _SIZE_TESTS).round().astype(int).clip(1))
    chosen = ((correct[:k], None if groups is None else groups[:k]) for k in accepted.tolist())
    sizes = [_effective_size(rows, each, correlation) for rows, each in chosen]
    expected = np.cumsum(confidence, dtype=np.float64)[accepted - 1] / accepted
    weights = accepted / (accepted + _PRIOR_IMAGES)
    rates = (weights * [rate for _, rate, _ in sizes] + (1 - weights) * expected).tolist()
    sizes = [(n_groups, rate, size) for (n_groups, _, size), rate in zip(sizes, rates, strict=True) if rate > precision]

    def proves(times: float) -> bool:
        return any(
            times * n_groups >= needed
            and binomial_tail(rate * size * times, size * times, precision) <= _LEVEL_WITH_POWER
            for n_groups, rate, size in sizes
        )

    units = n if groups is None else len(np.unique(groups))
    low, high = 1.0, max(_MAX_TIMES, 2 * needed / units)
    if not proves(high):
        return None
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if proves(middle) else (middle, high)
    unit = 10 ** max(int(np.log10(high * units)) - 1, 0)  # two digits: it is an estimate
    return int(np.ceil(high * units / unit) * unit)


def _effective_size(correct: Correct, groups: Groups | None, correlation: float) -> tuple[int, float, float]:
    """Of n images the number of groups, the share correct, and the effective number of images; see
    `precision_p_value`."""
    n, successes = len(correct), int(correct.sum())
    rate = successes / n
    if groups is None:
        return n, rate, n
    counts = np.bincount(groups).astype(np.float64)
    sums = np.bincount(groups, weights=correct)[counts > 0]
    counts = counts[counts > 0]
    n_groups = len(counts)
    if n_groups in (1, n):  # of one group, no variance between groups is known
        return n_groups, rate, n_groups
    effect = 1 + correlation * ((counts**2).sum() / n - 1)
    if 0 < successes < n:
        variance = ((sums - rate * counts) ** 2).sum() * n_groups / (n_groups - 1)
        effect = max(effect, variance / (n * rate * (1 - rate)))
    return n_groups, rate, n / effect * (_t_quantile(n - 1) / _t_quantile(n_groups - 1)) ** 2


def _start(confidence: Confidence, above: list[int], precision: float, groups: Groups | None) -> int:
    """The place in `above` at which a test most probably passes if each prediction is correct with its confidence.

    The number of errors that a test allows comes from the Poisson bound, its chi-square quantile from Wilson and
    Hilferty (1931); the number of errors that occur is taken as normal.
    """
    sizes = np.array(above)
    units = sizes.astype(np.float64)
    if groups is not None:  # those before each rank
        first = np.zeros(len(confidence), dtype=np.int64)
        first[np.unique(groups, return_index=True)[1]] = 1
        units = np.cumsum(first)[sizes - 1].astype(np.float64)
    errors = np.arange(1, sizes[-1] + 2) ** 0.5
    needed = errors**2 * (1 - 1 / (9 * errors**2) + _Z / (3 * errors)) ** 3  # expected errors that 0, 1, … refute
    allowed = np.searchsorted(needed, sizes * (1 - precision), side="right") - 1
    p = np.asarray(confidence, dtype=np.float64)
    mean, variance = np.cumsum(1 - p)[sizes - 1], np.cumsum(p * (1 - p))[sizes - 1]
    score = (np.maximum(allowed, 0) + 0.5 - mean) / np.sqrt(variance + 1e-9)
    possible = (units >= images_needed(precision)) & (sizes > 0)
    return int(np.where(possible, score, -np.inf).argmax()) if possible.any() else len(above) - 1


def binomial_tail(successes: float, n: float, probability: float) -> float:
    """The probability of `successes` or more in `n` trials that each succeed with `probability`, in 0..1 exclusive.

    The regularised incomplete beta function, which also takes fractions of trials: its continued fraction by Lentz's
    method (Press et al., Numerical Recipes, 6.4), to 1e-10 of SciPy's `betainc`, because importing SciPy takes longer
    than everything else between a command and its first prediction.
    """
    if successes <= 0:
        return 1.0
    a, b = successes, n - successes + 1
    if probability > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1.0 - _beta_fraction(b, a, 1 - probability)
    return _beta_fraction(a, b, probability)


def _beta_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    scale = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            value *= c * d
        if abs(value - before) <= 1e-14 * abs(value):
            break
    return min(1.0, scale * value)


def _t_quantile(degrees: int) -> float:
    """The 95 % quantile of Student's t, by its expansion (Abramowitz and Stegun, 26.7.5): to 1e-2 from 4 degrees on."""
    z = _Z
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3

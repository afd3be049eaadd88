"""How many independent images would prove as much: the effective number of images in groups, and of a weighted average.

One idea, for each kind of interval (E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small
expected number of positive counts estimated from survey data, Survey Methodology 24, 1998): the number of images that
has the variance of the estimate, reduced where this variance is known from few groups.
"""

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.student_t import two_sided_quantile

Correct = NDArray[np.bool_]
Groups = NDArray[np.integer[Any]]
Sizes = NDArray[np.float64]

_Z_ONE_SIDED = NormalDist().inv_cdf(0.95)


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


def effective_sizes(correct: Correct, groups: Groups | None, correlation: float) -> tuple[Sizes, Sizes, Sizes]:
    """Of the first 1, 2, … n images the numbers of groups, the shares correct and the effective numbers of images.

    All float (n,); see `precision_p_value`. Independent images are groups of one.
    """
    n = np.arange(1, len(correct) + 1, dtype=np.float64)
    rate = np.cumsum(correct) / n
    if groups is None:
        return n, rate, n
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], groups[order])  # where each image's group starts
    running: Sizes = np.cumsum(correct[order], dtype=np.float64) - correct[order]
    size, successes = np.empty(len(n)), np.empty(len(n))  # of each image's group before it
    size[order], successes[order] = np.arange(len(n)) - first, running - running[first]
    n_groups = np.cumsum(size == 0).astype(np.float64)
    squared_sizes = np.cumsum(2 * size + 1)
    squared_successes = np.cumsum(correct * (2 * successes + 1))
    products = np.cumsum(successes + correct * (size + 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # of one group, no variance between groups is known
        variance = (squared_successes - 2 * rate * products + rate**2 * squared_sizes) * n_groups / (n_groups - 1)
        observed = np.where((rate > 0) & (rate < 1), variance / (n * rate * (1 - rate)), 0.0)
        effect = np.maximum(1 + correlation * (squared_sizes / n - 1), observed)
        effective = n / effect * (_t_quantile(n - 1) / _t_quantile(n_groups - 1)) ** 2
    alone = (n_groups == 1) | (n_groups == n)
    return n_groups, rate, np.where(alone, n_groups, effective)


def effective_size_of_groups(sums: NDArray[Any], counts: Sizes, variance_of_one: float, level: float = 0.95) -> float:
    """The effective number of images in groups, by the groups' sums and counts of a value of each image.

    Reduced as the two-sided quantile of Student's t is wider than that of the normal distribution, for an interval with
    two ends. Where all groups have the same mean, as a single group does, each group counts as one image.

    Args:
        variance_of_one: of the value of one image: p(1 - p) of zeros and ones.
        level: of the interval.
    """
    n, mean, groups = counts.sum(), sums.sum() / counts.sum(), len(counts)
    if have_one_mean(sums, counts):
        return float(groups)
    variance = ((sums - mean * counts) ** 2).sum() * groups / (groups - 1) / n**2
    independent = min(n, variance_of_one / variance)
    z = NormalDist().inv_cdf((1 + level) / 2)
    return float(independent * (z / two_sided_quantile(level, groups - 1)) ** 2)


def have_one_mean(sums: NDArray[Any], counts: Sizes) -> bool:
    """Whether all groups have the same mean, as a single group does, so that nothing is known of their variance."""
    return bool(np.ptp(sums / counts) < 1e-9)  # not 0, because equal means can differ by rounding


def effective_size_of_average(mean: float, variance: float, weights: Sizes, variance_per_rate: Sizes) -> float:
    """The effective number of images behind a weighted average of rates.

    Args:
        mean: the average.
        variance: of the average; 0 where nothing varies.
        weights: of the rates, summing to 1.
        variance_per_rate: of each rate, as a share of the variance of one image. The number is at most that of rates
            that are all equal to the average.
    """
    most = 1 / float(np.square(weights) @ variance_per_rate)
    return min(most, mean * (1 - mean) / variance) if variance else most


def effective_counts(is_class: Correct, groups: Groups | None) -> tuple[int, int]:
    """The images of a class and all images, divided by Kish's design effect: whole numbers, for exact tests."""
    count, n = int(is_class.sum()), len(is_class)
    if groups is None:
        return count, n
    sizes = np.bincount(groups)
    effect = 1 + intraclass_correlation(is_class, groups) * ((sizes.astype(np.float64) ** 2).sum() / n - 1)
    n_effective = max(round(n / effect), 1)
    return min(round(count / effect), n_effective), n_effective


def _t_quantile(degrees: Sizes) -> Sizes:
    """The 95 % quantile of Student's t, by its expansion (Abramowitz and Stegun, 26.7.5): to 1e-2 from 4 degrees on."""
    z = _Z_ONE_SIDED
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3

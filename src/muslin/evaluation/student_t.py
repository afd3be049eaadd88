"""Student's t distribution: its quantiles, and the interval of a mean."""

from collections.abc import Sequence

import numpy as np

from muslin.evaluation.binomial import binomial_tail


def student_t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The interval of the mean of at least two values that are drawn from a normal distribution."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half_width = two_sided_quantile(level, len(values) - 1) * error
    return mean - half_width, mean + half_width


def two_sided_quantile(level: float, degrees: float) -> float:
    """The t within ± which a share `level` of Student's t distribution lies, to 1e-9 of SciPy's.

    The share beyond ± t is the regularised incomplete beta function I(degrees / 2, 1 / 2) at
    degrees / (degrees + t²) (Abramowitz and Stegun, 26.7.1), which `binomial_tail` computes. It falls with t, so that
    bisection finds t.

    Args:
        level: in 0..1 exclusive.
        degrees: of freedom, at least 1.

    >>> round(two_sided_quantile(0.95, 7), 4)
    2.3646
    """

    def share_beyond(t: float) -> float:
        return binomial_tail(degrees / 2, (degrees - 1) / 2, degrees / (degrees + t * t))

    low, high = 0.0, 1.0
    while share_beyond(high) > 1 - level:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if share_beyond(middle) > 1 - level else (low, middle)
    return middle

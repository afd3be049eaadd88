"""How far a measured share may be from the true one."""

from statistics import NormalDist

from muslin.errors import DataError

Interval = tuple[float, float]
"""The lower and the upper end, both shares in 0..1."""


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The Wilson score interval of `successes` out of `n` tries, both ends in 0..1.

    Chosen over the textbook p ± 1.96·sqrt(p(1-p)/n) because it keeps its promise near 0 and 1 and for few
    tries, where classifiers are judged. No tries say nothing: (0, 1).
    Source: E. B. Wilson, Probable inference, JASA 22 (1927); compared with others by Brown, Cai and DasGupta,
    Interval estimation for a binomial proportion, Statistical Science 16 (2001).

    >>> tuple(round(end, 4) for end in wilson(9123, 10000))
    (0.9066, 0.9177)

    Raises:
        DataError: `successes` is not in 0..n, or `level` not between 0 and 1.
    """
    if not 0 <= successes <= n:
        raise DataError(f"{successes} successes in {n} tries; expected a count from 0 to {n}.")
    if not 0 < level < 1:
        raise DataError(f"an interval at level {level}; expected a number between 0 and 1, for example 0.95.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    scale = 1 + z * z / n
    # At 0 or n successes one end is exactly 0 or 1; say so instead of 1.4e-17.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == n else (centre + spread) / scale
    return low, high

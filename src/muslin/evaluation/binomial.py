"""The tail of the binomial distribution, also of fractions of trials."""

from math import exp, lgamma, log


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

"""Logarithms of factorials and of binomial coefficients, of arrays."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_choose(table: NDArray[np.float64], total: Any, count: Any) -> NDArray[np.float64]:
    """The logarithm of the number of subsets of `count` of `total`; -inf where there is none.

    Args:
        table: `log_factorials` up to the largest total.
        total, count: integers or integer arrays.
    """
    rest = np.asarray(total) - count
    possible = (rest >= 0) & (np.asarray(count) >= 0)
    values = table[total] - table[np.maximum(count, 0)] - table[np.maximum(rest, 0)]
    return np.where(possible, values, -np.inf)


@lru_cache(maxsize=4)
def log_factorials(largest: int) -> NDArray[np.float64]:
    """Of 0 to `largest`: float64 (largest + 1,)."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])


def fisher_p_value(count_a: int, n_a: int, count_b: int, n_b: int) -> float:
    """Twice the smaller tail of Fisher's exact test that two samples have the same rate; at most 1.

    Source: R. A. Fisher, The logic of inductive inference, Journal of the Royal Statistical Society 98 (1935).

    >>> round(fisher_p_value(10, 20, 1, 20), 5)
    0.00335
    """
    table, total = log_factorials(n_a + n_b), count_a + count_b
    of_a = np.arange(max(0, total - n_b), min(total, n_a) + 1)
    chances = log_choose(table, n_a, of_a) + log_choose(table, n_b, total - of_a) - log_choose(table, n_a + n_b, total)
    probabilities = np.exp(chances)
    low, high = probabilities[of_a <= count_a].sum(), probabilities[of_a >= count_a].sum()
    return float(min(1.0, 2 * min(low, high)))

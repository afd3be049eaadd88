"""Spearman's rank correlation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]


def rank_correlation(a: Values, b: Values) -> float:
    """Spearman's rank correlation, in -1..1, of two lists of values of which neither is constant.

    It is Pearson's correlation of the ranks, where equal values share their mean rank.

    Args:
        a, b: float (n,).

    >>> rank_correlation(np.array([0.1, 0.2, 0.9]), np.array([1.0, 3.0, 2.0]))
    0.5
    """
    return float(np.corrcoef(_mean_ranks(a), _mean_ranks(b))[0, 1])


def _mean_ranks(values: Values) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)

"""Which images of many. The draws are those of scikit-learn's `train_test_split` and `GroupShuffleSplit`, without its
import, which takes 2.5 s."""

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def evenly_spaced(count: int, max_count: int) -> Indices:
    """At most `max_count` rising indices, evenly spaced over 0 to `count` - 1."""
    if count <= max_count:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, max_count).astype(np.int64))


def draw_fraction(n: int, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """As `draw_count` of a fraction, rounded up; `n` is at least 2, and neither side is empty."""
    return draw_count(n, min(ceil(fraction * n), n - 1), seed)


def draw_count(n: int, n_drawn: int, seed: int) -> tuple[Indices, Indices]:
    """The numbers below `n` in random order: all but `n_drawn` of them, and those."""
    shuffled = np.random.RandomState(seed).permutation(n)
    return shuffled[n_drawn:], shuffled[:n_drawn]


def draw_stratified(labels: NDArray[np.integer[Any]], fraction: float, seed: int) -> tuple[Indices, Indices]:
    """As `draw_fraction` of positions in `labels`, where both sides have the classes in the same proportions."""
    random = np.random.RandomState(seed)
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    n_drawn = ceil(fraction * len(labels))
    n_rest = _proportional_counts(counts, len(labels) - n_drawn, random)
    n_drawn_of = _proportional_counts(counts - n_rest, n_drawn, random)
    rest, drawn = [], []
    for own, left, taken in zip(members, n_rest, n_drawn_of, strict=True):
        shuffled = own[random.permutation(len(own))]
        rest.append(shuffled[:left])
        drawn.append(shuffled[left : left + taken])
    return random.permutation(np.concatenate(rest)), random.permutation(np.concatenate(drawn))


def _proportional_counts(counts: Indices, total: int, random: np.random.RandomState) -> Indices:
    """`total` over classes in proportion to `counts`: rounded down, then the largest remainders get one more each.

    A random draw decides between classes with the same remainder.
    """
    exact = counts / counts.sum() * total
    whole = np.floor(exact)
    remainders, missing = exact - whole, int(total - whole.sum())
    for remainder in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        (tied,) = np.nonzero(remainders == remainder)
        n = min(len(tied), missing)
        whole[random.choice(tied, size=n, replace=False)] += 1
        missing -= n
    return np.asarray(whole, dtype=np.int64)

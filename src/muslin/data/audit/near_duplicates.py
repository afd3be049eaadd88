"""Which pairs of images are nearer to each other than a distance: all of them, exactly, without comparing all."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

DIRECTIONS = 32
"""Of the projection that rules pairs out: more rule out more, and cost more each."""

MEASURED_ON = 2_000
"""Images on which the directions of largest spread are found."""

BLOCK = 2048
PAIRS_MOST = 100_000
"""Beyond so many pairs the search ends: such data are full of near-copies, and a list of all helps nobody."""


def close_pairs(
    images: NDArray[np.uint8],
    radius: float,
    *,
    indices: NDArray[np.int64] | None = None,
    most: int = PAIRS_MOST,
    log: Callable[[float], None] = lambda share: None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of rows whose Euclidean distance is below `radius`, exactly; nearest first.

    Turned onto the directions in which the data spread most and cut to the first 32, no two rows are farther
    from each other than they were. So sorted by the first direction only rows within `radius` of each other
    need to be compared, those by matrix products over the 32, and what is left, over all values, in integers.

    Args:
        images: uint8 (n, …), each at most 65,536 values; read in blocks, so it may be a memory map.
        radius: above 0, in units of a pixel's value.
        indices: (k,) the rows to compare, ascending; all by default.
        most: the search ends, without the rest, soon after it has found so many pairs.
        tell: called with the share of the search that is done.

    Returns:
        int64 (pairs, 2), the lower index first, and float64 (pairs,) distances.
    """
    compared = np.arange(len(images)) if indices is None else indices
    if len(compared) < 2:
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    flat = images.reshape(len(images), -1)
    turned = _turned(flat, compared)
    order = np.argsort(turned[:, 0], kind="stable")
    turned, order = turned[order], compared[order]
    found: list[NDArray[np.int64]] = [np.empty((0, 2), dtype=np.int64)]
    distances: list[NDArray[np.float64]] = [np.empty(0)]
    count = 0
    for start in range(0, len(order), BLOCK):
        for candidates in _candidates(turned, start, radius):
            pairs = np.sort(order[candidates], axis=1)
            exact = np.sqrt(_squared_distances(flat, pairs))
            near = exact < radius
            found.append(pairs[near])
            distances.append(exact[near])
            count += int(near.sum())
            if count >= most:
                break
        log(min(start + BLOCK, len(order)) / len(order))
        if count >= most:
            break
    pairs, exact = np.concatenate(found), np.concatenate(distances)
    nearest_first = np.lexsort((pairs[:, 1], pairs[:, 0], exact))
    return pairs[nearest_first], exact[nearest_first]


def _turned(flat: NDArray[np.uint8], compared: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 (k, ≤32): the compared rows in the directions of largest spread, largest first.

    The directions are orthonormal, so distances can only shrink (Bessel's inequality), whichever rows they
    were measured on; how much they shrink is all that depends on that.
    """
    step = max(1, len(compared) // MEASURED_ON)
    sample = flat[compared[::step]].astype(np.float32)
    mean = sample.mean(axis=0)
    sample -= mean
    if len(sample) < sample.shape[1]:
        inner = np.linalg.eigh(sample @ sample.T)[1][:, -DIRECTIONS:]
        spanning = sample.T @ inner
    else:
        spanning = np.linalg.eigh(sample.T @ sample)[1][:, -DIRECTIONS:]
    # orthonormal to float64's precision, so that rounding cannot lengthen a distance noticeably
    directions = np.linalg.qr(spanning[:, ::-1].astype(np.float64))[0].astype(np.float32)
    turned = np.empty((len(compared), directions.shape[1]), dtype=np.float32)
    for start in range(0, len(compared), BLOCK):
        turned[start : start + BLOCK] = (flat[compared[start : start + BLOCK]] - mean) @ directions
    return turned


def _candidates(turned: NDArray[np.float32], start: int, radius: float) -> Iterator[NDArray[np.int64]]:
    """Pairs of one block's rows with later rows that the projection cannot rule out, int64 (pairs, 2)."""
    rows = turned[start : start + BLOCK]
    row_squares = (rows * rows).sum(axis=1)
    slack = 1e-3 * radius  # of the first direction, for float32's rounding
    end = int(np.searchsorted(turned[:, 0], rows[-1, 0] + radius + slack, side="right"))
    for left in range(start, end, BLOCK):
        columns = turned[left : min(left + BLOCK, end)]
        column_squares = (columns * columns).sum(axis=1)
        squared = rows @ columns.T
        squared *= -2
        squared += row_squares[:, np.newaxis]
        squared += column_squares
        # float32 keeps 24 bits: sums of squares are off by some 1e-6 of themselves, never by 1e-5
        allowed = radius**2 + 1e-5 * float(row_squares.max() + column_squares.max())
        here, there = np.nonzero(squared < allowed)
        later = there + left > here + start
        if later.any():
            yield np.stack([here[later] + start, there[later] + left], axis=1)


def _squared_distances(flat: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    squared = np.empty(len(pairs), dtype=np.int64)
    step = max(1, 8_000_000 // flat.shape[1])
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        difference = flat[part[:, 0]].astype(np.int32) - flat[part[:, 1]]
        squared[start : start + step] = np.einsum("ij,ij->i", difference, difference)
    return squared

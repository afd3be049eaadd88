"""All pairs of images nearer than a distance, exact, without comparing every pair."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_COMPONENTS = 32
"""Principal components that rule pairs out: more rule out more pairs, and cost more for each."""

SPARE_COMPONENTS, POWER_ITERATIONS = 8, 4

PCA_IMAGES = 2_000
"""Images from which the principal components are computed."""

FEW_IMAGES, FEW_VALUES = 400, 4_096
"""Up to this number of images, of up to this number of values each, all values are compared, because computing
principal components would take longer."""

BLOCK = 2048
MAX_PAIRS = 100_000
"""The search ends at this number of pairs: such data are full of near-duplicates, and a list of all helps nobody."""


def close_pairs(
    images: NDArray[np.uint8],
    radius: float,
    *,
    indices: NDArray[np.int64] | None = None,
    max_pairs: int = MAX_PAIRS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of rows whose Euclidean distance is below `radius`, exact; nearest first.

    A projection onto the first 32 principal components only shortens distances. So, sorted by the first component,
    only rows within `radius` of each other are compared: first by matrix products over the 32 components, then, if
    these do not rule a pair out, over all values, in integers. Few images are not projected.

    Args:
        images: uint8 (n, …), each at most 65,536 values; read in blocks, so it can be a memory map.
        radius: above 0, in units of a pixel's value.
        indices: (k,) the rows to compare, ascending; all by default.
        max_pairs: the search ends, without the rest, soon after it has found this number of pairs.
        on_progress: called with the share of the search that is done, 0 to 1.

    Returns:
        int64 (pairs, 2), the lower index first, and float64 (pairs,) distances.
    """
    compared = np.arange(len(images)) if indices is None else indices
    if len(compared) < 2:
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    flat = images.reshape(len(images), -1)
    projected = _project(flat, compared)
    order = np.argsort(projected[:, 0], kind="stable")
    projected, order = projected[order], compared[order]
    near_pairs: list[NDArray[np.int64]] = [np.empty((0, 2), dtype=np.int64)]
    distances: list[NDArray[np.float64]] = [np.empty(0)]
    count = 0
    for start in range(0, len(order), BLOCK):
        for candidates in _candidates(projected, start, radius):
            pairs = np.sort(order[candidates], axis=1)
            exact = np.sqrt(_squared_distances(flat, pairs))
            near = exact < radius
            near_pairs.append(pairs[near])
            distances.append(exact[near])
            count += int(near.sum())
            if count >= max_pairs:
                break
        on_progress(min(start + BLOCK, len(order)) / len(order))
        if count >= max_pairs:
            break
    pairs, exact = np.concatenate(near_pairs), np.concatenate(distances)
    nearest_first = np.lexsort((pairs[:, 1], pairs[:, 0], exact))
    return pairs[nearest_first], exact[nearest_first]


def _project(flat: NDArray[np.uint8], compared: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """float32 (k, ≤32): the compared rows projected onto the principal components, largest variance first.

    The rows of few images stay as they are, float64 (k, values), whose sums of squares are exact.

    The components are orthonormal, so distances can only shrink (Bessel's inequality), whichever rows the components
    were computed from; only how much they shrink depends on those.
    """
    if len(compared) <= FEW_IMAGES and flat.shape[1] <= FEW_VALUES:
        return flat[compared].astype(np.float64)
    step = max(1, len(compared) // PCA_IMAGES)
    sample = flat[compared[::step]].astype(np.float32)
    mean = sample.mean(axis=0)
    sample -= mean
    components = _principal_components(sample)
    projected = np.empty((len(compared), components.shape[1]), dtype=np.float32)
    for start in range(0, len(compared), BLOCK):
        projected[start : start + BLOCK] = (flat[compared[start : start + BLOCK]] - mean) @ components
    return projected


def _principal_components(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (values, ≤32), orthonormal, largest variance first: nearly the principal components.

    By subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011): of 3,072 eigenvectors only 32 are wanted.
    """
    count = min(N_COMPONENTS, *centred.shape)
    wider = min(count + SPARE_COMPONENTS, *centred.shape)
    spanning = centred.T @ np.random.default_rng(0).standard_normal((len(centred), wider), np.float32)
    for _ in range(POWER_ITERATIONS):
        spanning = centred.T @ (centred @ np.linalg.qr(spanning)[0])
    # orthonormal to float64's precision, so that rounding cannot lengthen a distance noticeably
    basis = np.linalg.qr(spanning.astype(np.float64))[0]
    scores = centred @ basis.astype(np.float32)
    turned = np.linalg.eigh((scores.T @ scores).astype(np.float64))[1][:, : -count - 1 : -1]
    return np.asarray(basis @ turned, np.float32)


def _candidates(projected: NDArray[np.floating[Any]], start: int, radius: float) -> Iterator[NDArray[np.int64]]:
    """Pairs of one block's rows with later rows that the projection cannot rule out, int64 (pairs, 2)."""
    rows = projected[start : start + BLOCK]
    row_squares = (rows * rows).sum(axis=1)
    slack = 1e-3 * radius  # of the first component, for float32's rounding
    end = int(np.searchsorted(projected[:, 0], rows[-1, 0] + radius + slack, side="right"))
    for left in range(start, end, BLOCK):
        columns = projected[left : min(left + BLOCK, end)]
        column_squares = (columns * columns).sum(axis=1)
        squared = rows @ columns.T
        squared *= -2
        squared += row_squares[:, np.newaxis]
        squared += column_squares
        # float32 keeps 24 bits: sums of squares are off by some 1e-6 of themselves, never by 1e-5
        allowed = radius**2 + 1e-5 * float(row_squares.max() + column_squares.max())
        row, column = np.nonzero(squared < allowed)
        later = column + left > row + start
        if later.any():
            yield np.stack([row[later] + start, column[later] + left], axis=1)


def _squared_distances(flat: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    squared = np.empty(len(pairs), dtype=np.int64)
    step = max(1, 8_000_000 // flat.shape[1])
    for start in range(0, len(pairs), step):
        block = pairs[start : start + step]
        difference = flat[block[:, 0]].astype(np.int32) - flat[block[:, 1]]
        squared[start : start + step] = np.einsum("ij,ij->i", difference, difference)
    return squared

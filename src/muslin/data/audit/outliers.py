"""Images unlike all others."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, image_finding
from muslin.data.audit.image_checks import blank_indices
from muslin.data.audit.image_stats import ImageStats
from muslin.data.dataset import Dataset

MAX_REFERENCES = 5_000
"""Every image is compared with at most this many, drawn at random: enough to be near one if it is like anything."""

NEIGHBOURS = 5
"""The distance is that to the fifth neighbour: an outlier that is there twice is its own nearest neighbour."""

FENCE = 1.5
"""Interquartile ranges of the logarithm above its upper quartile (Tukey 1977): 1 in 290 of a normal distribution."""

QUERY_BATCH = 1024


def find_outliers(dataset: Dataset, stats: ImageStats) -> Iterator[Finding]:
    """Images whose distance to their fifth neighbour is beyond Tukey's fence, in logarithms.

    Distances are those of near-duplicates, over pixels or thumbnails, not over the features of a network: planted
    among Fashion-MNIST's images, noise, negatives and photos were among the first forty by pixels, and mostly after
    some hundred others by the features of a network trained on the ten classes.
    """
    indices = np.setdiff1d(stats.readable, blank_indices(stats))
    if len(indices) < 2 * NEIGHBOURS:
        return
    distances = neighbour_distances(stats.thumbnails, indices)
    logs = np.log(np.maximum(distances, 1.0))
    lower, middle, upper = np.quantile(logs, [0.25, 0.5, 0.75])
    median = float(np.exp(middle))
    far = logs > upper + FENCE * (upper - lower)
    for i, distance in zip(indices[far], distances[far].tolist(), strict=True):
        ratio = distance / median
        yield image_finding("outlier", dataset, i, ratio, distance=distance, ratio=ratio, median=median)


def neighbour_distances(thumbnails: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance of each image at `indices` to its fifth nearest of 5,000 drawn from them, float32 (len(indices),)."""
    random = np.random.default_rng(0)
    drawn = random.choice(len(indices), min(MAX_REFERENCES, len(indices)), replace=False)
    references = _flat_rows(thumbnails, indices[drawn])
    reference_squares = (references * references).sum(axis=1)
    column_of = np.full(len(indices), -1)
    column_of[drawn] = np.arange(len(drawn))
    distances = np.empty(len(indices), dtype=np.float32)
    for start in range(0, len(indices), QUERY_BATCH):
        rows = _flat_rows(thumbnails, indices[start : start + QUERY_BATCH])
        squared = rows @ references.T
        squared *= -2
        squared += (rows * rows).sum(axis=1)[:, np.newaxis]
        squared += reference_squares
        own = column_of[start : start + QUERY_BATCH]
        squared[np.flatnonzero(own >= 0), own[own >= 0]] = np.inf  # an image is not its own neighbour
        fifth = np.partition(squared, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
        distances[start : start + QUERY_BATCH] = np.sqrt(np.maximum(fifth, 0))
    return distances


def _flat_rows(thumbnails: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    return thumbnails[indices].reshape(len(indices), -1).astype(np.float32)

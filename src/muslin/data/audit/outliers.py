"""Images unlike all others."""

import numpy as np
from numpy.typing import NDArray

from muslin.data.audit.findings import Finding, samples
from muslin.data.audit.image_checks import where_blank
from muslin.data.audit.image_stats import ImageStats
from muslin.data.dataset import Dataset

REFERENCES = 5_000
"""Every image is compared with so many, drawn at random; enough to be near one, if it is like anything."""

NEIGHBOURS = 5
"""Not the nearest: an outlier that is there twice has itself for company."""

FENCE = 1.5
"""Interquartile ranges of the logarithm above its upper quartile (Tukey 1977): of a normal law 1 in 290."""

AT_ONCE = 1024


def outlier(dataset: Dataset, looked: ImageStats) -> list[Finding]:
    """Images whose distance to their fifth neighbour is beyond Tukey's fence, in logarithms.

    Distances are those of nearly identical images, over pixels or small copies, not over a network's features:
    planted among Fashion-MNIST's images, noise, negatives and photos came out among the first forty by pixels,
    and mostly after some hundred others by the features of a network that had learned the ten classes.
    """
    asked = np.setdiff1d(looked.readable, where_blank(looked))
    if len(asked) < 2 * NEIGHBOURS:
        return []
    distances = distance_to_neighbours(looked.copies, asked)
    logs = np.log(np.maximum(distances, 1.0))
    lower, middle, upper = np.quantile(logs, [0.25, 0.5, 0.75])
    usual = float(np.exp(middle))
    far = logs > upper + FENCE * (upper - lower)
    return [
        Finding(
            "outlier",
            samples(dataset, [i]),
            float(distance / usual),
            f"Its neighbours in these data are {distance:,.0f} away, {distance / usual:.1f} times as far as usual "
            f"({usual:,.0f})",
            "Look at it: another subject, several in one, a drawing? Leave it out if it is not what you mean.",
        )
        for i, distance in zip(asked[far], distances[far], strict=True)
    ]


def distance_to_neighbours(copies: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distance of each image at `indices` to its fifth nearest of 5,000 drawn from them, float32 (len(indices),)."""
    random = np.random.default_rng(0)
    drawn = random.choice(len(indices), min(REFERENCES, len(indices)), replace=False)
    references = _flat(copies, indices[drawn])
    reference_squares = (references * references).sum(axis=1)
    place_of = np.full(len(indices), -1)
    place_of[drawn] = np.arange(len(drawn))
    distances = np.empty(len(indices), dtype=np.float32)
    for start in range(0, len(indices), AT_ONCE):
        rows = _flat(copies, indices[start : start + AT_ONCE])
        squared = rows @ references.T
        squared *= -2
        squared += (rows * rows).sum(axis=1)[:, np.newaxis]
        squared += reference_squares
        mine = place_of[start : start + AT_ONCE]
        squared[np.flatnonzero(mine >= 0), mine[mine >= 0]] = np.inf  # nobody is their own neighbour
        fifth = np.partition(squared, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1]
        distances[start : start + AT_ONCE] = np.sqrt(np.maximum(fifth, 0))
    return distances


def _flat(copies: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    return copies[indices].reshape(len(indices), -1).astype(np.float32)

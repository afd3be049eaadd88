"""From a backbone's features to short vectors whose cosine says how alike two photos are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.ood import normalize_rows
from muslin.similarity.float16 import to_float32

WIDTH = 256
"""Numbers in a vector."""

MAX_FITTED = 20_000
"""Photos from which the projection is fitted, evenly drawn."""

SHRINKAGE = 0.1
"""Share of the covariance that is replaced by equal variances in all directions, so that directions of which few photos
say anything do not decide."""

PRIOR_PHOTOS = 100
"""It counts as many photos that nothing is known of a shop's photos beforehand: of very few, neither their mean nor
their covariance says much."""

BLOCK = 8192

Features = NDArray[np.floating[Any]]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map of features of unit length.

    Attributes:
        mean: float32 (features,).
        matrix: float32 (features, width), width at most WIDTH.
        pairs: photos of one product in different photos from which it was learned; 0 where no product was used.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    pairs: int = 0

    def __call__(self, features: Features) -> Vectors:
        """Vectors of unit length, float32 (n, width), of features (n, features)."""
        vectors = np.empty((len(features), self.matrix.shape[1]), np.float32)
        mean = self.mean @ self.matrix
        for start in range(0, len(features), BLOCK):
            rows = to_float32(features[start : start + BLOCK])
            lengths = _lengths(rows)
            # (row / length - mean) @ matrix, but for a factor that the length of the vector takes out
            vectors[start : start + BLOCK] = normalize_rows(rows @ self.matrix - lengths * mean)
        return vectors


def fit_projection(features: Features, products: NDArray[np.int64] | None = None, width: int = WIDTH) -> Projection:
    """Whitens features: directions in which photos differ for no reason of interest count less.

    Without products, these are the directions in which all photos differ most (principal components). With them, those
    in which photos of one product differ: Fisher's linear discriminant analysis, in closed form.

    Args:
        features: (n, features), n at least 1; of many, some are drawn.
        products: int64 (n,): the product of each photo; those with several photos count.
        width: numbers in a vector, at most as many as features.
    """
    step = max(1, len(features) // MAX_FITTED) if products is None else 1
    unit = to_float32(features[::step])
    unit /= _lengths(unit)
    mean = (unit.mean(axis=0, dtype=np.float64) * len(unit) / (len(unit) + PRIOR_PHOTOS)).astype(np.float32)
    centred = unit - mean
    if products is None:
        values, directions = np.linalg.eigh(_covariance(centred))
        matrix = (directions / np.sqrt(values))[:, ::-1][:, :width]
        return Projection(mean, matrix.astype(np.float32))
    within = _within(unit, products)
    whitening = np.linalg.inv(np.linalg.cholesky(_covariance(within))).T
    _, principal = np.linalg.eigh(whitening.T @ _scatter(centred) @ whitening)
    matrix = whitening @ principal[:, ::-1][:, :width]
    return Projection(mean, matrix.astype(np.float32), len(within))


def _lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row, float32 (n, 1); 1 of a row of zeros."""
    lengths = np.sqrt(np.einsum("nf,nf->n", rows, rows))[:, np.newaxis]
    lengths[lengths == 0] = 1
    return np.asarray(lengths)


def _within(unit: Vectors, products: NDArray[np.int64]) -> Vectors:
    """What differs between photos of one product: each photo of a product with several, minus their mean.

    Each product counts as one, whatever the number of its photos.
    """
    order = np.argsort(products, kind="stable")
    _, starts, place, counts = np.unique(products[order], return_index=True, return_inverse=True, return_counts=True)
    sums = unit[order[starts]]
    for number in range(1, counts.max()):  # a tenth of the time of `np.add.at`
        more = np.flatnonzero(counts > number)
        sums[more] += unit[order[starts[more] + number]]
    several = counts[place] > 1
    rows, of_product = order[several], place[several]
    difference = unit[rows] - (sums / counts[:, np.newaxis].astype(np.float32))[of_product]
    difference /= np.sqrt(counts[of_product, np.newaxis] - 1).astype(np.float32)
    return np.asarray(difference)


def _scatter(rows: Vectors) -> NDArray[np.float64]:
    """(features, features): the sum of the rows' products, in float32, which takes half the time."""
    return np.asarray(rows.T @ rows, np.float64)


def _covariance(rows: Vectors) -> NDArray[np.float64]:
    """(features, features): the covariance of rows whose mean is zero, shrunk towards a multiple of the identity; the
    more, the fewer the rows.

    Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
    """
    n, width = rows.shape
    covariance = _scatter(rows) / max(1, n)
    scale = max(float(np.trace(covariance)) / width, 1e-6)
    share = SHRINKAGE + (1 - SHRINKAGE) * PRIOR_PHOTOS / (n + PRIOR_PHOTOS)
    return np.asarray((1 - share) * covariance + share * scale * np.eye(width))

"""From the features of a catalogue's photos to vectors, and to what "the same product" can rest on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.similarity.projection import Projection, fit_projection
from muslin.similarity.same_product import MAX_CALIBRATED, SameProductData, calibrate
from muslin.similarity.search import Search


class Fitted(NamedTuple):
    """The projection of an index, its vectors, float16 (photos, width), and its calibration."""

    projection: Projection
    vectors: NDArray[np.float16]
    calibration: SameProductData | None


def fit_vectors(
    features: NDArray[np.float16], products: NDArray[np.int64], same: frozenset[tuple[int, int]] = frozenset()
) -> Fitted:
    """Fit everything that an index needs beside features.

    Args:
        features: float16 (photos, width).
        products: int64 (photos,), rising from 0 without gaps: the product of each photo.
        same: pairs of products that a person found to be the same one, the lower number first.
    """
    projection = fit_projection(features)
    vectors = projection(features).astype(np.float16)
    several = np.flatnonzero(np.bincount(products) > 1)
    chosen = np.sort(np.random.default_rng(0).permutation(several)[:MAX_CALIBRATED])
    calibration = calibrate(Search(vectors, products), chosen, same) if len(chosen) else None
    return Fitted(projection, vectors, calibration)

"""Several photos of one product → one prediction per product, and whether the photos contradict each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.metrics import Probabilities

CONTRADICTION = 0.8
"""Photos contradict each other where two of them predict different classes, each with at least this probability."""

_EPSILON = 1e-12  # the logarithm of a float32 probability of 0 must exist


@dataclass(frozen=True, eq=False)
class ProductPredictions:
    """The predictions for products, in rising order of their numbers.

    Attributes:
        probabilities: float32 (products, classes); rows sum to 1, except for a multilabel target.
        photo_counts: int64 (products,): the number of photos of each product, 1 or more.
        disagreement: float32 (products,), 0..1: the highest probability that two photos both reach for different
            classes, each for the one that it predicts; 0 where all predict the same. For a multilabel target, that one
            photo gives a label and another one gives its absence, of the label where this is highest.
    """

    probabilities: NDArray[np.float32]
    photo_counts: NDArray[np.int64]
    disagreement: NDArray[np.float32]

    @property
    def contradictory(self) -> NDArray[np.bool_]:
        """bool (products,): whether photos contradict each other, so that a person must look at the product."""
        return np.asarray(self.disagreement >= CONTRADICTION)


def photos_in_scope(
    product_numbers: NDArray[np.integer[Any]], is_ood: NDArray[np.bool_] | None
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The places of the photos that products are predicted from, and bool (products,): which products are out of scope.

    Photos out of scope are left out. Where at least half of a product's are, the product is, and keeps all its photos.

    Args:
        product_numbers: integer (images,): the product of each image.
        is_ood: bool (images,): images out of scope; None for none.
    """
    _, places, counts = np.unique(product_numbers, return_inverse=True, return_counts=True)
    outside = np.zeros(len(places), dtype=bool) if is_ood is None else is_ood
    is_outside = 2 * np.bincount(places, weights=outside) >= counts
    return np.flatnonzero(~outside | is_outside[places]), is_outside


def combine(
    probabilities: Probabilities, product_numbers: NDArray[np.integer[Any]], *, multilabel: bool = False
) -> ProductPredictions:
    """One prediction per product from its photos: the logarithmic opinion pool with equal weights.

    That is the geometric mean of the photos' probabilities, divided by its sum over the classes; for a multilabel
    target, over a label and its absence. Photos of one product are not independent, so the mean and not the
    product is taken, and the result is calibrated again: `muslin.evaluation.calibration`, with one row per product.

    Source: Genest and Zidek, Combining probability distributions: a critique and an annotated bibliography, Statistical
    Science 1 (1986), section 3.

    Args:
        probabilities: float (images, classes), calibrated, in 0..1.
        product_numbers: integer (images,): the product of each image.
        multilabel: whether each column is a label of its own.
    """
    numbers, places, photo_counts = np.unique(product_numbers, return_inverse=True, return_counts=True)
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(np.maximum(p, _EPSILON))
    if multilabel:
        logs -= np.log(np.maximum(1 - p, _EPSILON))
    means = np.zeros((len(numbers), p.shape[1]))
    np.add.at(means, places, logs)
    means /= photo_counts[:, np.newaxis]
    if multilabel:
        combined = 1 / (1 + np.exp(-means))
    else:
        powers = np.exp(means - means.max(axis=1, keepdims=True))
        combined = powers / powers.sum(axis=1, keepdims=True)
    disagreement = _label_disagreement if multilabel else _class_disagreement
    return ProductPredictions(
        combined.astype(np.float32), photo_counts.astype(np.int64), disagreement(p, places, len(numbers))
    )


def _class_disagreement(p: NDArray[np.float64], places: NDArray[np.intp], n_products: int) -> NDArray[np.float32]:
    """Of each product's predicted classes the second highest probability."""
    highest = np.zeros((n_products, max(p.shape[1], 2)))
    predicted = p.argmax(axis=1)
    np.maximum.at(highest, (places, predicted), p[np.arange(len(p)), predicted])
    return np.asarray(np.partition(highest, -2, axis=1)[:, -2], dtype=np.float32)


def _label_disagreement(p: NDArray[np.float64], places: NDArray[np.intp], n_products: int) -> NDArray[np.float32]:
    present, absent = np.zeros((2, n_products, p.shape[1]))
    np.maximum.at(present, places, p)
    np.maximum.at(absent, places, 1 - p)
    both = np.minimum(present, absent)
    return np.asarray(np.where(both >= 0.5, both, 0).max(axis=1, initial=0), dtype=np.float32)

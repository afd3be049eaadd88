"""Calibration data per product: what a prediction from all photos of a product is worth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target
from muslin.evaluation.intervals import Groups
from muslin.evaluation.metrics import Labels, Probabilities
from muslin.evaluation.products import combine, photos_in_scope
from muslin.evaluation.selective import CalibrationData, calibrate_probabilities, fit_calibration_data

ProductNumbers = NDArray[np.integer[Any]]


def fit_product_calibration_data(
    target: Target,
    labels: Labels,
    probabilities: Probabilities,
    product_numbers: ProductNumbers,
    calibration_data: CalibrationData,
    clusters: Groups = None,
    *,
    for_review: NDArray[np.bool_] | None = None,
    no_class: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> CalibrationData | None:
    """As `fit_calibration_data`, with one row per product; None where no product is labelled.

    The photos' probabilities are calibrated, combined, and calibrated again by a temperature of their own. A product
    whose photos contradict each other has confidence 0, because such a product is always for review. The thresholds
    of labels are those of the photos.

    Args:
        labels, probabilities: of the photos, as in `fit_calibration_data`.
        product_numbers: integer (n,): the product of each photo.
        calibration_data: of the photos.
        clusters: (n,): photos, and so products, of one cluster are not independent.
        for_review: bool (products,): products that are for review too, such as those of which all photos show the
            packaging.
        no_class: bool (n,): photos of which every prediction is incorrect; so is that of a product with such a photo
            and without a label.
    """
    calibrated = calibrate_probabilities(target, np.asarray(probabilities, np.float32), calibration_data)
    combined = combine(calibrated, product_numbers, multilabel=target.kind == "multilabel")
    first = first_photos(product_numbers)
    labels_of_products = product_labels(target, labels, product_numbers)
    none_correct = None
    if no_class is not None:
        has_such = np.bincount(np.unique(product_numbers, return_inverse=True)[1], weights=no_class) > 0
        none_correct = has_such & ~has_label(labels_of_products)
    return fit_calibration_data(
        target,
        labels_of_products,
        combined.probabilities,
        None if clusters is None else np.asarray(clusters)[first],
        label_thresholds=calibration_data.label_thresholds.tolist(),
        for_review=combined.contradictory if for_review is None else combined.contradictory | for_review,
        no_class=none_correct,
        seed=seed,
    )


def first_photos(product_numbers: ProductNumbers) -> NDArray[np.intp]:
    """The index of each product's first photo, in rising order of the products' numbers."""
    return np.unique(product_numbers, return_index=True)[1]


def product_labels(target: Target, labels: Labels, product_numbers: ProductNumbers) -> NDArray[np.int64]:
    """The label of most of a product's labelled photos; UNKNOWN where two labels are as frequent.

    Of a multilabel target, each label by itself.

    Args:
        labels: integer (n,) or (n, classes), as in a Dataset.
        product_numbers: integer (n,): the product of each photo.

    Returns:
        int64 (products,) or (products, classes), in rising order of the products' numbers.
    """
    places = np.unique(product_numbers, return_inverse=True)[1]
    n_products = int(places.max(initial=-1)) + 1
    if target.kind == "multilabel":
        votes = np.zeros((n_products, len(target.classes)), dtype=np.int64)
        np.add.at(votes, places, np.where(labels == UNKNOWN, 0, 2 * labels.astype(np.int64) - 1))
        return np.where(votes == 0, UNKNOWN, (votes > 0).astype(np.int64))
    known = labels != UNKNOWN
    pairs, counts = np.unique(np.stack([places[known], labels[known]]), axis=1, return_counts=True)
    most = np.zeros(n_products, dtype=np.int64)
    np.maximum.at(most, pairs[0], counts)
    is_most = counts == most[pairs[0]]
    is_only = np.bincount(pairs[0][is_most], minlength=n_products) == 1
    chosen = np.full(n_products, UNKNOWN, dtype=np.int64)
    chosen[pairs[0][is_most]] = pairs[1][is_most]
    return np.where(is_only, chosen, UNKNOWN)


def count_ambiguous(labels: Labels, of_products: NDArray[np.int64], product_numbers: ProductNumbers) -> int:
    """The number of products without a label of which photos have some, because two labels are as frequent.

    Args:
        labels: of the photos.
        of_products: the `product_labels` of these.
    """
    places = np.unique(product_numbers, return_inverse=True)[1]
    of_photos = np.zeros(len(of_products), dtype=bool)
    of_photos[places[has_label(labels)]] = True
    return int((of_photos & ~has_label(of_products)).sum())


def has_label(labels: Labels) -> NDArray[np.bool_]:
    """bool (n,): whether a label is known, of a multilabel target any; from integer (n,) or (n, classes)."""
    known = np.asarray(labels != UNKNOWN)
    return np.asarray(known if known.ndim == 1 else known.any(axis=1))


def product_probabilities(
    target: Target,
    probabilities: Probabilities,
    product_numbers: ProductNumbers,
    calibration_data: CalibrationData | None,
    is_ood: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Probabilities of products, float32 (products, classes), in rising order of the products' numbers.

    Args:
        probabilities: float (n, classes) of the photos, calibrated.
        product_numbers: integer (n,): the product of each photo.
        calibration_data: of products; None to leave the combined probabilities as they are.
        is_ood: bool (n,): photos out of scope; see `photos_in_scope`.
    """
    kept, _ = photos_in_scope(product_numbers, is_ood)
    combined = combine(probabilities[kept], product_numbers[kept], multilabel=target.kind == "multilabel")
    return calibrate_probabilities(target, combined.probabilities, calibration_data)

"""How good the predictions for products are, each from all its photos."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.evaluation.intervals import Correctness, Groups, Interval, mean_with_interval
from muslin.evaluation.metrics import correctness
from muslin.evaluation.precision_choice import AcceptanceRow
from muslin.evaluation.product_calibration import (
    ProductNumbers,
    count_ambiguous,
    first_photos,
    has_label,
    product_labels,
)
from muslin.evaluation.products import combine, photos_in_scope
from muslin.evaluation.selective import (
    ACCEPT,
    OUT_OF_SCOPE,
    REVIEW,
    AcceptancePolicy,
    CalibrationData,
    calibrate_probabilities,
    triage,
)

if TYPE_CHECKING:
    from muslin.evaluation.reliability import Predictions


@dataclass(frozen=True)
class ProductMetrics:
    """The predictions for `n` products.

    Attributes:
        n: products with a label.
        n_photos: their photos.
        n_ambiguous: products left out, of which two labels have as many photos.
        accuracy: of the products, with its 95 % interval; for a multilabel target as in `Reliability`.
        precision_target: of the products that are accepted; None where the model is not calibrated per product, so
            that the following are None too.
        accepted: accepted products.
        coverage: their share, with its 95 % interval.
        accepted_accuracy: their accuracy, with its 95 % interval.
        contradictory: products in review because their photos contradict each other.
        acceptance: how many of its calibration products the model accepts at which precision.
    """

    n: int
    n_photos: int
    n_ambiguous: int
    accuracy: float | None
    accuracy_interval: Interval
    precision_target: float | None = None
    accepted: int | None = None
    coverage: float | None = None
    coverage_interval: Interval = (0.0, 1.0)
    accepted_accuracy: float | None = None
    accepted_accuracy_interval: Interval = (0.0, 1.0)
    contradictory: int | None = None
    acceptance: tuple[AcceptanceRow, ...] = ()


@dataclass(frozen=True, eq=False)
class _Decided:
    """Products with a label: how correct each is (`Correctness`), the decision, whether its photos contradict."""

    correct: Correctness
    decisions: NDArray[np.uint8]
    contradictory: NDArray[np.bool_]


def measure_products(
    target: Target,
    predictions: "Predictions",
    product_numbers: ProductNumbers,
    calibration_data: CalibrationData | None,
    policy: AcceptancePolicy,
    acceptance: tuple[AcceptanceRow, ...] = (),
    for_review: NDArray[np.bool_] | None = None,
) -> ProductMetrics | None:
    """See `ProductMetrics`; None where no product has a label.

    Args:
        predictions: of the photos.
        product_numbers: integer (n,): the product of each photo.
        calibration_data: of products; None where the model has none.
        policy: for products; without `calibration_data` only its thresholds of labels count.
        acceptance: see `ProductMetrics`.
        for_review: bool (products,): products that are for review whatever is predicted.
    """
    labels = product_labels(target, predictions.labels, product_numbers)
    labelled = has_label(labels)
    if not labelled.any():
        return None
    n_photos = np.unique(product_numbers, return_counts=True)[1]
    decided = _decide(target, predictions, product_numbers, calibration_data, policy, labels)
    clusters: Groups = None
    if predictions.groups is not None:
        of_products = np.asarray(predictions.groups)[first_photos(product_numbers)][labelled]
        clusters = of_products if len(np.unique(of_products.astype(str))) < len(of_products) else None
    correct = decided.correct[labelled]
    accuracy, interval = mean_with_interval(correct, clusters)
    counts = (
        int(labelled.sum()),
        int(n_photos[labelled].sum()),
        count_ambiguous(predictions.labels, labels, product_numbers),
    )
    if calibration_data is None:
        return ProductMetrics(*counts, accuracy, interval)
    if for_review is not None:
        decided.decisions[for_review & (decided.decisions == ACCEPT)] = REVIEW
    accepted = decided.decisions[labelled] == ACCEPT
    return ProductMetrics(
        *counts,
        accuracy,
        interval,
        policy.precision_target,
        int(accepted.sum()),
        *mean_with_interval(accepted.astype(np.float64), clusters),
        *mean_with_interval(correct, clusters, accepted),
        int((decided.contradictory[labelled] & (decided.decisions[labelled] == REVIEW)).sum()),
        acceptance,
    )


def _decide(
    target: Target,
    predictions: "Predictions",
    product_numbers: ProductNumbers,
    calibration_data: CalibrationData | None,
    policy: AcceptancePolicy,
    labels: NDArray[np.int64],
) -> _Decided:
    """All products, as `muslin.models.product_prediction` decides; those `for_review` are the caller's."""
    kept, is_outside = photos_in_scope(product_numbers, predictions.is_ood)
    multilabel = target.kind == "multilabel"
    combined = combine(predictions.probabilities[kept], product_numbers[kept], multilabel=multilabel)
    probabilities = calibrate_probabilities(target, combined.probabilities, calibration_data)
    decided = triage(target, probabilities, policy, is_outside)
    decisions = decided.decisions.copy()
    decisions[combined.contradictory & (decisions != OUT_OF_SCOPE)] = REVIEW
    return _Decided(correctness(labels, decided.labels), decisions, combined.contradictory)

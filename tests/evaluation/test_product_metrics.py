from dataclasses import replace

import numpy as np

from muslin.data.dataset import Target
from muslin.evaluation.product_calibration import fit_product_calibration_data
from muslin.evaluation.product_metrics import measure_products
from muslin.evaluation.reliability import Predictions
from muslin.evaluation.selective import acceptance_policy, calibrate_probabilities, fit_calibration_data

KIND = Target("kind", ("coat", "dress"))
UNCALIBRATED = acceptance_policy(KIND, None)


def predictions(labels: list[int], second: list[float], **arrays: np.ndarray) -> Predictions:
    p = np.array([[1 - s, s] for s in second], dtype=np.float32)
    return Predictions(np.array(labels), p, p, **arrays)


def test_products_count_once_under_the_label_of_most_photos() -> None:
    numbers = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    photos = predictions([1, 1, 0, 0, 0, 0, 1, -1], [0.9, 0.9, 0.2, 0.1, 0.6, 0.9, 0.9, 0.9])
    metrics = measure_products(KIND, photos, numbers, None, UNCALIBRATED)
    assert metrics is not None
    assert (metrics.n, metrics.n_photos, metrics.n_ambiguous, metrics.accuracy) == (2, 5, 1, 1.0)
    assert metrics.accuracy_interval[0] < 0.5
    assert (metrics.precision_target, metrics.accepted, metrics.coverage) == (None, None, None)


def test_products_of_one_group_widen_the_interval() -> None:
    numbers = np.repeat(np.arange(20), 2)
    labels = [int(n % 4 == 0) for n in numbers]
    photos = predictions(labels, [0.1] * 40)
    alone = measure_products(KIND, photos, numbers, None, UNCALIBRATED)
    grouped = measure_products(
        KIND, predictions(labels, [0.1] * 40, groups=(numbers // 2).astype(str)), numbers, None, UNCALIBRATED
    )
    one_each = measure_products(KIND, predictions(labels, [0.1] * 40, groups=numbers), numbers, None, UNCALIBRATED)
    assert alone is not None
    assert grouped is not None
    assert alone.accuracy == grouped.accuracy == 0.75
    assert alone == one_each
    assert alone.accuracy_interval != grouped.accuracy_interval


def test_contradicting_and_out_of_scope_products_are_not_accepted() -> None:
    random = np.random.default_rng(0)
    numbers = np.repeat(np.arange(200), 2)
    labels = np.repeat(random.integers(0, 2, 200), 2)
    second = np.where(labels == 1, 0.97, 0.03).astype(np.float64)
    photos = predictions(labels.tolist(), second.tolist())
    of_photos = fit_calibration_data(KIND, photos.labels, photos.raw_probabilities, numbers)
    assert of_photos is not None
    data = fit_product_calibration_data(KIND, photos.labels, photos.raw_probabilities, numbers, of_photos)
    policy = acceptance_policy(KIND, data, 0.9)
    second[0], second[1] = 0.97, 0.03
    is_ood = np.zeros(400, dtype=bool)
    is_ood[[2, 4, 5]] = True  # half of product 1's photos, all of product 2's
    photos = predictions(labels.tolist(), second.tolist(), is_ood=is_ood)
    photos = replace(photos, probabilities=calibrate_probabilities(KIND, photos.raw_probabilities, of_photos))
    metrics = measure_products(KIND, photos, numbers, data, policy)
    assert metrics is not None
    assert (metrics.accepted, metrics.contradictory) == (197, 1)
    assert metrics.accepted_accuracy == 1


def test_without_a_label_there_are_no_metrics() -> None:
    assert measure_products(KIND, predictions([-1, -1], [0.1, 0.2]), np.array([0, 0]), None, UNCALIBRATED) is None

import numpy as np

from muslin.data.dataset import UNKNOWN, Target
from muslin.evaluation.product_calibration import fit_product_calibration_data, product_labels
from muslin.evaluation.selective import acceptance_policy, fit_calibration_data

KIND = Target("kind", ("coat", "dress", "bag"))
TAGS = Target("tags", ("red", "striped"), "multilabel")


def test_the_label_of_most_photos_is_the_products() -> None:
    labels = np.array([0, 0, 1, UNKNOWN, 2, 1, 2, UNKNOWN])
    numbers = np.array([7, 7, 7, 3, 3, 9, 9, 11])
    assert product_labels(KIND, labels, numbers).tolist() == [2, 0, UNKNOWN, UNKNOWN]


def test_each_label_of_several_is_voted_on_alone() -> None:
    labels = np.array([[1, 0], [1, 1], [0, UNKNOWN], [UNKNOWN, UNKNOWN]], dtype=np.int8)
    numbers = np.array([0, 0, 0, 1])
    assert product_labels(TAGS, labels, numbers).tolist() == [[1, UNKNOWN], [UNKNOWN, UNKNOWN]]


def shop(n_products: int, n_photos: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and product numbers of photos, of which 75 % are predicted correctly."""
    random = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(n_products), n_photos)
    labels = np.repeat(random.integers(0, 3, n_products), n_photos)
    logits = random.normal(0, 1, (len(labels), 3))
    logits[np.arange(len(labels)), labels] += 1.8
    powers = np.exp(logits)
    return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32), numbers


def test_products_have_one_row_each_and_fewer_errors() -> None:
    labels, probabilities, numbers = shop(300, 3, 0)
    photos = fit_calibration_data(KIND, labels, probabilities, numbers)
    assert photos is not None
    products = fit_product_calibration_data(KIND, labels, probabilities, numbers, photos, numbers)
    assert products is not None
    assert (len(photos), len(products)) == (900, 300)
    assert photos.n_groups == 300
    assert products.n_groups is None
    assert products.correct.mean() > photos.correct.mean() + 0.05
    accepted = [acceptance_policy(KIND, data, 0.95).expected_coverage for data in (photos, products)]
    assert accepted[1] > accepted[0]


def test_products_keep_the_groups_they_are_in() -> None:
    labels, probabilities, numbers = shop(40, 2, 1)
    photos = fit_calibration_data(KIND, labels, probabilities, numbers // 4)
    assert photos is not None
    products = fit_product_calibration_data(KIND, labels, probabilities, numbers, photos, numbers // 4)
    assert products is not None
    assert products.n_groups == 10


def test_a_product_whose_photos_contradict_has_confidence_0() -> None:
    labels, probabilities, numbers = shop(30, 2, 2)
    probabilities[0], probabilities[1] = [0.999, 0.0005, 0.0005], [0.0005, 0.999, 0.0005]
    photos = fit_calibration_data(KIND, labels, probabilities)
    assert photos is not None
    products = fit_product_calibration_data(KIND, labels, probabilities, numbers, photos)
    assert products is not None
    assert products.confidence.min() == 0
    assert (products.confidence == 0).sum() >= 1


def test_such_a_product_is_not_counted_as_accepted() -> None:
    labels = np.repeat(np.arange(300) % 3, 2)
    probabilities = np.where(labels[:, np.newaxis] == [0, 1, 2], 0.9, 0.05).astype(np.float32)
    for_review = np.arange(300) < 2
    photos = fit_calibration_data(KIND, labels, probabilities)
    assert photos is not None
    rows = KIND, labels, probabilities, np.arange(600) // 2, photos
    policy = acceptance_policy(KIND, fit_product_calibration_data(*rows, for_review=for_review), 0.9)
    assert (policy.accepted, policy.correct, policy.n) == (298, 298, 300)


def test_another_threshold_keeps_such_products_for_review() -> None:
    two = Target("kind", ("coat", "dress"))
    labels = np.repeat([0, 1] * 15, 2)
    probabilities = np.where(labels[:, np.newaxis] == [0, 1], 0.8, 0.2).astype(np.float32)
    probabilities[0], probabilities[1] = [0.999, 0.001], [0.001, 0.999]
    photos = fit_calibration_data(two, labels, probabilities)
    assert photos is not None
    products = fit_product_calibration_data(two, labels, probabilities, np.arange(60) // 2, photos)
    assert products is not None
    changed = products.with_label_thresholds(two, (0.3,))
    assert changed is not None
    assert changed.confidence.tolist().count(0) == 1
    assert changed.correct.sum() >= 29


def test_labels_keep_the_thresholds_of_the_photos() -> None:
    random = np.random.default_rng(3)
    numbers = np.repeat(np.arange(50), 3)
    labels = np.repeat(random.integers(0, 2, (50, 2)), 3, axis=0).astype(np.int8)
    probabilities = np.clip(labels * 0.5 + random.uniform(0.1, 0.4, labels.shape), 0, 1).astype(np.float32)
    photos = fit_calibration_data(TAGS, labels, probabilities)
    assert photos is not None
    products = fit_product_calibration_data(TAGS, labels, probabilities, numbers, photos)
    assert products is not None
    assert len(products) == 50
    assert np.array_equal(products.label_thresholds, photos.label_thresholds)
    assert len(products.temperature) == 2


def test_without_a_labelled_product_there_are_no_rows() -> None:
    labels, probabilities, numbers = shop(10, 2, 4)
    photos = fit_calibration_data(KIND, labels, probabilities)
    assert photos is not None
    labels[::2] = (labels[1::2] + 1) % 3  # two labels, one photo each
    assert fit_product_calibration_data(KIND, labels, probabilities, numbers, photos) is None

"""Synthetic garments: their ground truth is correct, and they are neither too easy nor too hard."""

import numpy as np
import pytest

from muslin.data.synthetic import CLASSES, make_garments
from muslin.errors import DataError


def test_garments_depend_only_on_the_seed():
    assert make_garments(50, seed=3).dataset.fingerprint == make_garments(50, seed=3).dataset.fingerprint
    assert make_garments(50, seed=3).dataset.fingerprint != make_garments(50, seed=4).dataset.fingerprint


def test_fewer_garments_are_the_first_of_more():
    assert np.array_equal(
        make_garments(20, seed=3).dataset.images.pixels, make_garments(50, seed=3).dataset.images.pixels[:20]
    )


def test_classes_are_balanced():
    synthetic = make_garments(100, seed=0)
    assert synthetic.dataset.target().classes == CLASSES
    assert list(np.bincount(synthetic.true_labels)) == [20] * 5


def test_gray_is_light_on_black_and_colour_on_white():
    gray = make_garments(50, seed=0).dataset.images.pixels
    colour = make_garments(50, seed=0, size_px=48, colour=True).dataset.images.pixels
    assert gray.shape == (50, 28, 28, 1)
    assert colour.shape == (50, 48, 48, 3)
    assert np.median(gray) == 0
    assert np.median(colour) == 255
    assert (gray.max(axis=(1, 2, 3)) > 60).all()


def test_label_noise_is_exact_and_known():
    synthetic = make_garments(1000, seed=5, label_noise=0.03)
    labels = synthetic.dataset.labels["label"]
    assert len(synthetic.mislabelled) == 30
    assert list(np.flatnonzero(labels != synthetic.true_labels)) == list(synthetic.mislabelled)
    assert labels.min() >= 0
    assert labels.max() < len(CLASSES)


def test_duplicates_are_exact_and_known():
    synthetic = make_garments(400, seed=5, label_noise=0.05, duplicates=12)
    rows = synthetic.dataset.images.pixels.reshape(400, -1)

    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = {tuple(np.flatnonzero(inverse == i)) for i in np.flatnonzero(np.bincount(inverse) > 1)}

    assert found == {tuple(pair) for pair in synthetic.duplicates}
    assert len(found) == 12
    assert (
        synthetic.dataset.labels["label"][synthetic.duplicates] == synthetic.true_labels[synthetic.duplicates]
    ).all()


def test_a_small_network_is_accurate_but_not_perfect():
    from sklearn.neural_network import MLPClassifier

    synthetic = make_garments(2000, seed=7)
    x, y = synthetic.dataset.images.pixels.reshape(2000, -1) / 255, synthetic.true_labels
    network = MLPClassifier((32,), max_iter=1000, random_state=0).fit(x[:1200], y[:1200])
    assert 0.90 < network.score(x[1200:], y[1200:]) < 0.995


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ({"count": 0}, "synthetic_settings"),
        ({"size_px": 4}, "synthetic_settings"),
        ({"seed": -1}, "synthetic_settings"),
        ({"label_noise": 1.5}, "synthetic_settings"),
        ({"duplicates": -1}, "synthetic_settings"),
        ({"duplicates": 51}, "synthetic_count"),
    ],
)
def test_invalid_settings_are_refused(setting, code):
    with pytest.raises(DataError) as error:
        make_garments(**({"count": 100, "seed": 0} | setting))
    assert error.value.code == code

"""The drawn garments: what is known about them is true, and they are neither too easy nor too hard."""

import numpy as np
import pytest

from muslin.data.synthetic import CLASSES, make_garments
from muslin.errors import DataError


def test_the_same_seed_draws_the_same_and_another_seed_draws_others():
    assert make_garments(50, seed=3).dataset.fingerprint == make_garments(50, seed=3).dataset.fingerprint
    assert make_garments(50, seed=3).dataset.fingerprint != make_garments(50, seed=4).dataset.fingerprint


def test_a_smaller_drawing_is_the_beginning_of_a_larger_one():
    assert np.array_equal(
        make_garments(20, seed=3).dataset.images.pixels, make_garments(50, seed=3).dataset.images.pixels[:20]
    )


def test_every_class_is_there_as_often_as_the_others():
    drawn = make_garments(100, seed=0)
    assert drawn.dataset.target().classes == CLASSES
    assert list(np.bincount(drawn.true_labels)) == [20] * 5


def test_gray_ones_are_light_on_black_and_colour_ones_stand_on_white():
    gray = make_garments(50, seed=0).dataset.images.pixels
    colour = make_garments(50, seed=0, size_px=48, colour=True).dataset.images.pixels
    assert gray.shape == (50, 28, 28, 1)
    assert colour.shape == (50, 48, 48, 3)
    assert np.median(gray) == 0
    assert np.median(colour) == 255
    assert (gray.max(axis=(1, 2, 3)) > 60).all()


def test_exactly_the_wrong_labels_that_were_asked_for_are_wrong_and_known():
    drawn = make_garments(1000, seed=5, label_noise=0.03)
    labels = drawn.dataset.labels["label"]
    assert len(drawn.mislabelled) == 30
    assert list(np.flatnonzero(labels != drawn.true_labels)) == list(drawn.mislabelled)
    assert labels.min() >= 0
    assert labels.max() < len(CLASSES)


def test_exactly_the_duplicates_that_were_asked_for_are_there_and_known():
    drawn = make_garments(400, seed=5, label_noise=0.05, duplicates=12)
    rows = drawn.dataset.images.pixels.reshape(400, -1)

    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = {tuple(np.flatnonzero(inverse == i)) for i in np.flatnonzero(np.bincount(inverse) > 1)}

    assert found == {tuple(pair) for pair in drawn.duplicates}
    assert len(found) == 12
    assert (drawn.dataset.labels["label"][drawn.duplicates] == drawn.true_labels[drawn.duplicates]).all()


def test_a_small_network_learns_them_well_but_not_perfectly():
    from sklearn.neural_network import MLPClassifier

    drawn = make_garments(2000, seed=7)
    x, y = drawn.dataset.images.pixels.reshape(2000, -1) / 255, drawn.true_labels
    network = MLPClassifier((32,), max_iter=1000, random_state=0).fit(x[:1200], y[:1200])
    assert 0.90 < network.score(x[1200:], y[1200:]) < 0.995


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"size_px": 4},
        {"seed": -1},
        {"label_noise": 1.5},
        {"duplicates": -1},
        {"duplicates": 51},
    ],
)
def test_impossible_wishes_are_refused(wrong):
    with pytest.raises(DataError):
        make_garments(**({"count": 100, "seed": 0} | wrong))

import numpy as np
import pytest

from muslin.evaluation.products import combine


def test_combination_is_the_normalised_geometric_mean():
    combined = combine(np.array([[0.8, 0.1, 0.1], [0.2, 0.4, 0.4]]), np.array([7, 7]))
    means = np.sqrt([0.8 * 0.2, 0.1 * 0.4, 0.1 * 0.4])
    np.testing.assert_allclose(combined.probabilities, [means / means.sum()], rtol=1e-6)
    assert combined.photo_counts.tolist() == [2]


def test_products_come_in_rising_order_of_their_numbers():
    combined = combine(np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]), np.array([5, 2, 5]))
    assert combined.photo_counts.tolist() == [1, 2]
    np.testing.assert_allclose(combined.probabilities[0], [0.3, 0.7], rtol=1e-6)


def test_the_order_of_photos_does_not_matter():
    random = np.random.default_rng(0)
    p, numbers = random.dirichlet(np.ones(4), size=60), random.integers(0, 9, size=60)
    order = random.permutation(60)
    first, second = combine(p, numbers), combine(p[order], numbers[order])
    np.testing.assert_allclose(first.probabilities, second.probabilities, rtol=1e-6)
    np.testing.assert_array_equal(first.disagreement, second.disagreement)


def test_copies_of_a_photo_change_nothing():
    one = combine(np.array([[0.7, 0.2, 0.1]]), np.array([0]))
    many = combine(np.array([[0.7, 0.2, 0.1]] * 60), np.zeros(60, dtype=np.int64))
    np.testing.assert_allclose(one.probabilities, many.probabilities, rtol=1e-6)
    assert many.disagreement.tolist() == [0]


def test_probabilities_of_0_give_finite_results():
    combined = combine(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    np.testing.assert_allclose(combined.probabilities, [[0.5, 0.5]])
    assert combined.contradictory.tolist() == [True]


def test_disagreement_is_the_probability_both_photos_reach():
    p = np.array([[0.95, 0.03, 0.02], [0.05, 0.85, 0.1], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]])
    combined = combine(p, np.array([0, 0, 0, 1, 1]))
    assert combined.disagreement.tolist() == pytest.approx([0.85, 0])
    assert combined.contradictory.tolist() == [True, False]


def test_unsure_photos_do_not_contradict():
    combined = combine(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    assert combined.disagreement.tolist() == pytest.approx([0.6])
    assert combined.contradictory.tolist() == [False]


def test_labels_are_combined_by_their_log_odds():
    p = np.array([[0.9, 0.5], [0.5, 0.1]])
    combined = combine(p, np.array([0, 0]), multilabel=True)
    np.testing.assert_allclose(combined.probabilities, [[0.75, 0.25]], rtol=1e-6)  # odds: the root of 9 and of 1/9
    assert combined.disagreement.tolist() == [0.5]


def test_a_label_that_another_photo_denies_contradicts():
    p = np.array([[0.95, 0.6, 0.1], [0.1, 0.9, 0.2]])
    combined = combine(p, np.array([0, 0]), multilabel=True)
    assert combined.disagreement.tolist() == pytest.approx([0.9])


def test_no_photos_give_no_products():
    combined = combine(np.empty((0, 3)), np.empty(0, dtype=np.int64))
    assert combined.probabilities.shape == (0, 3)
    assert combined.disagreement.shape == (0,)


def test_one_class_never_disagrees():
    assert combine(np.ones((2, 1)), np.array([0, 0])).disagreement.tolist() == [0]

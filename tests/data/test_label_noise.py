"""How probable it is that a label is wrong: calibrated, with an estimate that holds."""

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.metrics import roc_auc_score

from muslin.data.audit import label_noise
from muslin.data.audit.label_noise import expected_wrong, fit_label_noise


def labelled(share, n=3000, classes=6, overconfidence=2.0, seed=0, similar=False):
    """Given labels, probabilities that are overconfident, also of two classes that are often confused, and
    which labels are wrong: any other class, or one for the other of the two alike."""
    random = np.random.default_rng(seed)
    scores = 3 * random.normal(size=(n, classes))
    alike = random.random(n) < 0.3
    scores[alike, :2] += 6
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    true = (probabilities.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    wrong = random.random(n) < share
    wrong &= (true < 2) | (not similar)
    other = 1 - true if similar else (true + random.integers(1, classes, n)) % classes
    labels = np.where(wrong, other, true)
    shown = np.exp(overconfidence * scores)
    return labels, shown / shown.sum(axis=1, keepdims=True), wrong


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_the_share_of_wrong_labels_is_estimated(share):
    labels, probabilities, wrong = labelled(share)
    noise = fit_label_noise(labels, probabilities)
    assert noise.wrong_share == pytest.approx(wrong.mean(), abs=0.01)
    assert noise.temperature == pytest.approx(2, rel=0.1)


def test_labels_that_are_all_correct_are_hardly_suspect():
    labels, probabilities, _ = labelled(0)
    noise = fit_label_noise(labels, probabilities)
    assert noise.wrong_share < 0.003
    assert (noise.wrong_probabilities(labels, probabilities) >= 0.5).sum() <= 3


def test_probabilities_of_wrong_labels_are_calibrated():
    totals = np.zeros((2, 4))
    for seed in range(6):
        labels, probabilities, wrong = labelled(0.05, seed=seed)
        stated = fit_label_noise(labels, probabilities).wrong_probabilities(labels, probabilities)
        bins = np.digitize(stated, [0.05, 0.3, 0.7])
        totals += [np.bincount(bins, values, 4) for values in (stated, wrong)]
    assert totals[0] == pytest.approx(totals[1], rel=0.2)


@pytest.mark.parametrize(("similar", "worse"), [(False, 0.005), (True, -0.005)])
def test_ranking_is_as_good_as_by_self_confidence_or_better(similar, worse):
    labels, probabilities, wrong = labelled(0.1 if similar else 0.05, similar=similar)
    stated = fit_label_noise(labels, probabilities).wrong_probabilities(labels, probabilities)
    own = probabilities[np.arange(len(labels)), labels]
    assert roc_auc_score(wrong, stated) >= roc_auc_score(wrong, -own) - worse


def test_intervals_of_wrong_labels_hold():
    held = 0
    for seed in range(20):
        labels, probabilities, wrong = labelled(0.03, n=800, seed=seed)
        noise = fit_label_noise(labels, probabilities)
        order = np.argsort(-noise.wrong_probabilities(labels, probabilities), kind="stable")
        for each in expected_wrong([(labels, probabilities, noise)], [20, 50], seed=seed):
            assert each.low <= round(each.expected) <= each.high <= each.n
            held += each.low <= wrong[order[: each.n]].sum() <= each.high
    assert held >= 36, "of 40"


def test_the_gradient_is_that_of_the_loss():
    labels, probabilities, _ = labelled(0.05, n=200)
    logarithms, kinds = np.log(probabilities), label_noise._confusions(labels, probabilities)

    def part(index):
        return lambda parameters: label_noise._loss(parameters, labels, logarithms, kinds)[index]

    point = np.concatenate([[0.1, -3, 0.5], np.linspace(-0.1, 0.1, 6)])
    assert check_grad(part(0), part(1), point) < 1e-3


def test_wrong_labels_count_that_go_to_a_similar_class():
    held = 0
    for seed in range(10):
        labels, probabilities, wrong = labelled(0.1, seed=seed, similar=True)
        noise = fit_label_noise(labels, probabilities)
        order = np.argsort(-noise.wrong_probabilities(labels, probabilities), kind="stable")[:20]
        (each,) = expected_wrong([(labels, probabilities, noise)], [20], seed=seed)
        held += each.low <= wrong[order].sum() <= each.high
    assert held >= 9, "of 10"


def test_wrong_labels_are_of_any_class_or_a_similar_one():
    confusions = [fit_label_noise(*labelled(0.05, similar=similar)[:2]).confusions for similar in (False, True)]
    for each in confusions:
        assert each.sum(axis=1) == pytest.approx(1)
        assert not each.diagonal().any()
    assert confusions[0][0, 1] < confusions[1][0, 1]


def test_a_class_that_is_never_confused_has_even_confusions():
    confusions = label_noise._confusions(np.array([0, 1, 2]), np.eye(3))
    assert confusions[1] == pytest.approx((1 - np.eye(3)) / 2)

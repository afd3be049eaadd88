"""The intervals of a test set whose images come in groups."""

import numpy as np
import pytest

from muslin.evaluation import evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.intervals import mean_with_interval, wilson_interval

PER_GROUP = 50


def senders(n_groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and groups: of each sender's photos all, or none, are predicted correctly."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), PER_GROUP)
    labels = random.integers(0, 3, len(groups))
    is_correct = (random.random(n_groups) < 0.8)[groups]
    predicted = np.where(is_correct, labels, (labels + 1) % 3)
    return labels, np.eye(3)[predicted] * 0.8 + 0.2 / 3, groups


def test_accuracy_interval_is_that_of_groups() -> None:
    labels, probabilities, groups = senders(29)
    evaluation = evaluate_multiclass(labels, probabilities, ("a", "b", "c"), groups=groups)
    correct = (probabilities.argmax(axis=1) == labels).astype(float)
    assert evaluation.accuracy_interval == mean_with_interval(correct, groups)[1]
    assert evaluation.n_groups == 29
    low, high = wilson_interval(int(correct.sum()), len(labels))
    assert np.diff(evaluation.accuracy_interval) > 3 * (high - low)


@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_interval_of_few_groups_holds(n_groups: int) -> None:
    random, held = np.random.default_rng(n_groups), 0
    for _ in range(100):
        of_group = random.beta(36, 4, n_groups)  # 0.9 on average
        groups = np.repeat(np.arange(n_groups), random.geometric(1 / 15, n_groups).clip(1, 60))
        correct = (random.random(len(groups)) < of_group[groups]).astype(float)
        low, high = mean_with_interval(correct, groups)[1]
        held += low <= 0.9 <= high
    assert held >= 93  # a bootstrap of groups holds in 40 to 75


def test_intervals_of_two_classes_are_those_of_groups() -> None:
    random, (labels, _, groups) = np.random.default_rng(1), senders(29)
    labels = labels.clip(max=1)
    is_correct = (random.random(29) < 0.8)[groups]
    second = np.where(is_correct == (labels == 1), 0.9, 0.2) + 0.01 * random.random(len(labels))
    arrays = labels, np.column_stack([1 - second, second]), ("plain", "striped")
    of_groups, of_images = evaluate_multiclass(*arrays, groups=groups), evaluate_multiclass(*arrays)
    assert of_groups.binary
    assert of_images.binary
    at_half, of_image = (each.binary.operating_points[10] for each in (of_groups, of_images))
    assert at_half.accuracy_interval == of_groups.accuracy_interval
    assert of_image.accuracy_interval == wilson_interval(of_images.correct, len(labels))
    for name in ("accuracy", "precision", "recall"):
        assert getattr(at_half, name) == getattr(of_image, name)
        name = f"{name}_interval"
        assert np.diff(getattr(at_half, name)) > 2 * np.diff(getattr(of_image, name))
    for name in ("roc_auc_interval", "average_precision_interval"):
        assert np.diff(getattr(of_groups.binary, name)) > 2 * np.diff(getattr(of_images.binary, name))


def test_one_group_says_nothing_of_the_ranking_in_others() -> None:
    labels, second = np.arange(40) % 2, np.linspace(0.1, 0.9, 40)
    arrays = labels, np.column_stack([1 - second, second]), ("plain", "striped")
    alone, together = (evaluate_multiclass(*arrays, groups=each).binary for each in (None, np.zeros(40)))
    assert alone
    assert together
    assert (together.roc_auc, together.average_precision) == (alone.roc_auc, alone.average_precision)
    assert together.roc_auc_interval == together.average_precision_interval == (0, 1)


def test_groups_of_one_image_are_independent_images() -> None:
    labels, probabilities, _ = senders(4)
    evaluation = evaluate_multiclass(labels, probabilities, ("a", "b", "c"), groups=np.arange(len(labels)))
    assert evaluation == evaluate_multiclass(labels, probabilities, ("a", "b", "c"))
    assert evaluation.n_groups is None


def test_unlabelled_images_are_in_no_group() -> None:
    labels, probabilities, groups = senders(5)
    labels[groups == 2] = -1
    assert evaluate_multiclass(labels, probabilities, ("a", "b", "c"), groups=groups).n_groups == 4


@pytest.mark.parametrize("n_groups", [1, 29])
def test_f1_interval_is_that_of_groups(n_groups: int) -> None:
    labels, probabilities, groups = senders(n_groups)
    arrays = np.eye(3, dtype=int)[labels], probabilities, ("a", "b", "c"), (0.5, 0.5, 0.5)
    of_groups, of_images = evaluate_multilabel(*arrays, groups=groups), evaluate_multilabel(*arrays)
    assert (of_groups.micro.f1, of_groups.n_groups) == (of_images.micro.f1, n_groups)
    if n_groups == 1:
        assert of_groups.micro.f1_interval == (0, 1)
    else:
        assert np.diff(of_groups.micro.f1_interval) > 3 * np.diff(of_images.micro.f1_interval)

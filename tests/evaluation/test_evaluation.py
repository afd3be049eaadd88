"""Evaluation against scikit-learn, scipy and figures worked by hand."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from muslin.errors import DataError
from muslin.evaluation import Evaluation, evaluate_multiclass, wilson_interval
from muslin.evaluation.metrics import calibration_bins, expected_calibration_error

CLASSES = ("coat", "shirt", "bag", "boot")


def _answers(n: int = 600, seed: int = 0, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    scores = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


@given(st.integers(0, 2000), st.integers(1, 2000), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None, max_examples=60)
def test_the_wilson_interval_is_scipys(successes: int, n: int, level: float) -> None:
    successes = min(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson_interval(successes, n, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_tries_say_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)])
def test_an_impossible_count_or_level_is_refused(successes: int, n: int, level: float) -> None:
    with pytest.raises(DataError):
        wilson_interval(successes, n, level)


def test_every_measure_agrees_with_scikit_learn() -> None:
    labels, probabilities = _answers()
    found = evaluate_multiclass(labels, probabilities, CLASSES)
    predicted = probabilities.argmax(axis=1)
    report: dict[str, Any] = metrics.classification_report(
        labels, predicted, target_names=CLASSES, output_dict=True
    )
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert np.array_equal(found.confusion, metrics.confusion_matrix(labels, predicted))
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-6)
    assert found.brier_score == pytest.approx(
        metrics.brier_score_loss(labels, probabilities, labels=range(4)), rel=1e-5
    )
    for figures in found.per_class:
        row = report[figures.name]
        assert (figures.precision, figures.recall, figures.f1, figures.support) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"], row["support"])
        )
    for averages, row in ((found.macro, report["macro avg"]), (found.weighted, report["weighted avg"])):
        assert (averages.precision, averages.recall, averages.f1) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"])
        )


def test_a_class_never_met_or_never_called_counts_as_scikit_learn_does_over_the_classes_met() -> None:
    labels = np.array([0, 0, 1, 1, 1, 3])
    predicted = np.array([0, 1, 1, 1, 2, 1])  # bag (2) never true, boot (3) never called
    found = evaluate_multiclass(labels, np.eye(4)[predicted], CLASSES)
    bag, boot = found.per_class[2], found.per_class[3]
    assert (bag.support, bag.recall, bag.precision) == (0, None, 0.0)
    assert (boot.predicted, boot.precision, boot.recall) == (0, None, 0.0)
    for averages, kind in ((found.macro, "macro"), (found.weighted, "weighted")):
        expected = metrics.precision_recall_fscore_support(
            labels, predicted, labels=[0, 1, 3], average=kind, zero_division=0
        )
        assert (averages.precision, averages.recall, averages.f1) == pytest.approx(expected[:3])


def test_a_certain_mistake_costs_as_much_as_in_scikit_learn() -> None:
    labels = np.array([0, 1, 1])
    for dtype in (np.float32, np.float64):
        probabilities = np.array([[1, 0], [1, 0], [0.25, 0.75]], dtype=dtype)
        expected = metrics.log_loss(labels, probabilities)
        assert evaluate_multiclass(labels, probabilities, ("a", "b")).log_loss == pytest.approx(
            expected, rel=1e-6
        )


def test_calibration_worked_by_hand() -> None:
    # Two at 0.9 of which one is right, two at 0.6 of which both are: (2·|0.5-0.9| + 2·|1-0.6|) / 4 = 0.4
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    bins = calibration_bins(labels, probabilities)
    assert expected_calibration_error(bins) == pytest.approx(0.4)
    assert [b.n for b in bins if b.n] == [2, 2]
    assert evaluate_multiclass(labels, probabilities, ("a", "b")).expected_calibration_error == pytest.approx(
        0.4
    )


def test_calibration_bins_hold_every_image_once_and_include_their_upper_edge() -> None:
    labels = np.zeros(3, dtype=np.int64)
    probabilities = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    bins = calibration_bins(labels, probabilities, n_bins=4)
    assert [b.n for b in bins] == [0, 1, 1, 1]  # 0.5 is in the bin up to 0.5, and 0.75 in the one up to 0.75


def test_calibration_agrees_with_a_plain_loop() -> None:
    labels, probabilities = _answers(seed=4)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(float(right[inside].mean()) - float(confidence[inside].mean()))
    found = evaluate_multiclass(labels, probabilities, CLASSES).expected_calibration_error
    assert found == pytest.approx(total / len(labels), abs=1e-6)


def test_unknown_labels_are_left_out_and_indices_still_point_at_the_given_images() -> None:
    labels = np.array([-1, 0, -1, 1, 1])
    probabilities = np.eye(2)[[0, 0, 1, 0, 1]] * 0.8 + 0.1
    found = evaluate_multiclass(labels, probabilities, ("a", "b"), ids=["p0", "p1", "p2", "p3", "p4"])
    assert (found.n, found.n_unlabelled, found.right) == (3, 2, 2)
    assert [(m.index, m.id, m.true, m.predicted) for m in found.mistakes] == [(3, "p3", 1, 0)]
    assert found.mistakes[0].probability == pytest.approx(0.9)
    assert found.mistakes[0].probability_of_true == pytest.approx(0.1)
    assert found.confused_pairs[0].examples == (3,)


def test_the_most_confused_pair_and_the_surest_mistake_come_first() -> None:
    labels, probabilities = _answers(seed=3)
    found = evaluate_multiclass(labels, probabilities, CLASSES)
    predicted = probabilities.argmax(axis=1)
    counts = [pair.count for pair in found.confused_pairs]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == found.n - found.right
    for pair in found.confused_pairs:
        assert pair.count == int(((labels == pair.true) & (predicted == pair.predicted)).sum())
        assert pair.share == pytest.approx(pair.count / int((labels == pair.true).sum()))
        assert all(labels[i] == pair.true and predicted[i] == pair.predicted for i in pair.examples)
    sureness = [mistake.probability for mistake in found.mistakes]
    assert sureness == sorted(sureness, reverse=True)
    assert sureness[0] == pytest.approx(float(probabilities.max(axis=1)[predicted != labels].max()))


def test_a_model_without_mistakes_has_none_to_show() -> None:
    labels = np.array([0, 1, 2, 3])
    found = evaluate_multiclass(labels, np.eye(4, dtype=np.float32), CLASSES)
    assert (found.accuracy, found.mistakes, found.confused_pairs) == (1.0, (), ())
    assert found.accuracy_interval == pytest.approx((0.5101, 1.0), abs=1e-4)


def test_an_evaluation_comes_back_from_json_as_it_was() -> None:
    found = evaluate_multiclass(*_answers(40, seed=1, classes=3), ("a", "b", "<c>"))
    assert Evaluation.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == found


def test_a_damaged_evaluation_is_refused_in_one_line() -> None:
    values = evaluate_multiclass(*_answers(40), CLASSES).to_dict()
    for damaged in (
        {},
        {**values, "per_class": [{}]},
        {**values, "accuracy_interval": 1},
        {**values, "more": 1},
    ):
        with pytest.raises(DataError, match="not an evaluation as muslin writes it"):
            Evaluation.from_dict(damaged)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([[0, 1]], [[0.5, 0.5]], r"labels are int64 \(1, 2\)"),
        ([0.0, 1.0], [[0.5, 0.5]] * 2, "labels are float64"),
        ([0, 1], [[0.5, 0.5]], r"expected float \(2, 2\)"),
        ([0, 1], [[1, 0], [0, 1]], "probabilities are int64"),
        ([0, 1], [[0.2, 0.3, 0.5]] * 2, r"expected float \(2, 2\)"),
        ([0, 2], [[0.5, 0.5]] * 2, "label 2 of image 1"),
        ([0, -2], [[0.5, 0.5]] * 2, "label -2 of image 1"),
        ([0, 1], [[0.5, 0.5], [1.5, -0.5]], "row 1 of the probabilities has 1.5 for 'a'"),
        ([0, 1], [[0.5, 0.5], [float("nan"), 1.0]], "row 1 of the probabilities has nan"),
        ([0, 1], [[0.5, 0.5], [0.9, 0.6]], "row 1 of the probabilities sums to 1.5"),
        ([-1, -1], [[0.5, 0.5]] * 2, "none of 2 images has a known class"),
    ],
)
def test_wrong_input_is_named(labels: Any, probabilities: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_multiclass(np.array(labels), np.array(probabilities), ("a", "b"))


def test_a_wrong_number_of_ids_or_classes_is_named() -> None:
    half = np.full((2, 2), 0.5)
    with pytest.raises(DataError, match="1 ids for 2 labels"):
        evaluate_multiclass(np.array([0, 1]), half, ("a", "b"), ids=["x"])
    with pytest.raises(DataError, match="1 class; a classifier chooses"):
        evaluate_multiclass(np.array([0, 0]), np.ones((2, 1)), ("a",))

"""The multiclass evaluation equals scikit-learn, SciPy and numbers worked by hand."""

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
from muslin.evaluation import evaluate_multiclass, wilson_interval
from muslin.evaluation.metrics import calibration_bins, expected_calibration_error

CLASSES = ("coat", "shirt", "bag", "boot")


def predictions(n: int = 600, seed: int = 0, classes: int = 4) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    scores = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return labels, probabilities.astype(np.float32)


@given(st.integers(0, 2000), st.integers(1, 2000), st.sampled_from([0.8, 0.95, 0.99]))
@settings(deadline=None, max_examples=60)
def test_wilson_interval_is_scipys(successes: int, n: int, level: float) -> None:
    successes = min(successes, n)
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert wilson_interval(successes, n, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_trials_give_the_widest_interval() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "n", "level", "code"),
    [
        (-1, 5, 0.95, "success_count"),
        (6, 5, 0.95, "success_count"),
        (1, 5, 1.0, "interval_level"),
        (1, 5, 0.0, "interval_level"),
    ],
)
def test_impossible_counts_and_levels_are_refused(successes: int, n: int, level: float, code: str) -> None:
    with pytest.raises(DataError) as error:
        wilson_interval(successes, n, level)
    assert error.value.code == code


def test_every_metric_equals_scikit_learns() -> None:
    labels, probabilities = predictions()
    evaluation = evaluate_multiclass(labels, probabilities, CLASSES)
    predicted = probabilities.argmax(axis=1)
    report: dict[str, Any] = metrics.classification_report(labels, predicted, target_names=CLASSES, output_dict=True)
    assert evaluation.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert np.array_equal(evaluation.confusion, metrics.confusion_matrix(labels, predicted))
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-6)
    assert evaluation.brier_score == pytest.approx(
        metrics.brier_score_loss(labels, probabilities, labels=range(4)), rel=1e-5
    )
    for each in evaluation.per_class:
        row = report[each.name]
        assert (each.precision, each.recall, each.f1, each.support) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"], row["support"])
        )
    for averages, row in ((evaluation.macro, report["macro avg"]), (evaluation.weighted, report["weighted avg"])):
        assert (averages.precision, averages.recall, averages.f1) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"])
        )


def test_averages_over_classes_with_images_are_scikit_learns() -> None:
    labels = np.array([0, 0, 1, 1, 1, 3])
    predicted = np.array([0, 1, 1, 1, 2, 1])  # bag (2) has no image, boot (3) is never predicted
    evaluation = evaluate_multiclass(labels, np.eye(4)[predicted], CLASSES)
    bag, boot = evaluation.per_class[2], evaluation.per_class[3]
    assert (bag.support, bag.recall, bag.precision) == (0, None, 0.0)
    assert (boot.predicted, boot.precision, boot.recall) == (0, None, 0.0)
    for averages, kind in ((evaluation.macro, "macro"), (evaluation.weighted, "weighted")):
        expected = metrics.precision_recall_fscore_support(
            labels, predicted, labels=[0, 1, 3], average=kind, zero_division=0
        )
        assert (averages.precision, averages.recall, averages.f1) == pytest.approx(expected[:3])


def test_log_loss_of_a_certain_error_is_scikit_learns() -> None:
    labels = np.array([0, 1, 1])
    for dtype in (np.float32, np.float64):
        probabilities = np.array([[1, 0], [1, 0], [0.25, 0.75]], dtype=dtype)
        expected = metrics.log_loss(labels, probabilities)
        assert evaluate_multiclass(labels, probabilities, ("a", "b")).log_loss == pytest.approx(expected, rel=1e-6)


def test_calibration_error_worked_by_hand() -> None:
    # Two at 0.9 of which one is correct, two at 0.6 of which both are: (2·|0.5-0.9| + 2·|1-0.6|) / 4 = 0.4
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    bins = calibration_bins(labels, probabilities)
    assert expected_calibration_error(bins) == pytest.approx(0.4)
    assert [b.n for b in bins if b.n] == [2, 2]
    evaluation = evaluate_multiclass(labels, probabilities, ("a", "b"))
    assert evaluation.expected_calibration_error == pytest.approx(0.4)


def test_calibration_bins_include_their_upper_edge() -> None:
    labels = np.zeros(3, dtype=np.int64)
    probabilities = np.array([[1.0, 0.0], [0.75, 0.25], [0.5, 0.5]])
    bins = calibration_bins(labels, probabilities, n_bins=4)
    assert [b.n for b in bins] == [0, 1, 1, 1]


def test_calibration_error_equals_a_plain_loop() -> None:
    labels, probabilities = predictions(seed=4)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    total = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(float(correct[inside].mean()) - float(confidence[inside].mean()))
    error = evaluate_multiclass(labels, probabilities, CLASSES).expected_calibration_error
    assert error == pytest.approx(total / len(labels), abs=1e-6)


def test_indices_count_unlabelled_images() -> None:
    labels = np.array([-1, 0, -1, 1, 1])
    probabilities = np.eye(2)[[0, 0, 1, 0, 1]] * 0.8 + 0.1
    evaluation = evaluate_multiclass(labels, probabilities, ("a", "b"), ids=["p0", "p1", "p2", "p3", "p4"])
    assert (evaluation.n, evaluation.n_unlabelled, evaluation.correct) == (3, 2, 2)
    (error,) = evaluation.confident_errors
    assert (error.index, error.id, error.true, error.predicted) == (3, "p3", 1, 0)
    assert error.probability == pytest.approx(0.9)
    assert error.probability_of_true == pytest.approx(0.1)
    assert evaluation.confused_pairs[0].examples == (3,)


def test_most_confused_pair_and_most_confident_error_come_first() -> None:
    labels, probabilities = predictions(seed=3)
    evaluation = evaluate_multiclass(labels, probabilities, CLASSES)
    predicted = probabilities.argmax(axis=1)
    counts = [pair.count for pair in evaluation.confused_pairs]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == evaluation.n - evaluation.correct
    for pair in evaluation.confused_pairs:
        assert pair.count == int(((labels == pair.true) & (predicted == pair.predicted)).sum())
        assert pair.fraction == pytest.approx(pair.count / int((labels == pair.true).sum()))
        assert all(labels[i] == pair.true and predicted[i] == pair.predicted for i in pair.examples)
    confidence = [error.probability for error in evaluation.confident_errors]
    assert confidence == sorted(confidence, reverse=True)
    assert confidence[0] == pytest.approx(float(probabilities.max(axis=1)[predicted != labels].max()))


def test_perfect_model_has_no_errors() -> None:
    labels = np.array([0, 1, 2, 3])
    evaluation = evaluate_multiclass(labels, np.eye(4, dtype=np.float32), CLASSES)
    assert (evaluation.accuracy, evaluation.confident_errors, evaluation.confused_pairs) == (1.0, (), ())
    assert evaluation.accuracy_interval == pytest.approx((0.5101, 1.0), abs=1e-4)


def test_json_has_every_metric() -> None:
    evaluation = evaluate_multiclass(*predictions(40, seed=1, classes=3), ("a", "b", "<c>"))
    values = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert (values["n"], values["accuracy"]) == (40, evaluation.accuracy)
    assert values["accuracy_interval"] == list(evaluation.accuracy_interval)
    assert [row["name"] for row in values["per_class"]] == ["a", "b", "<c>"]
    assert np.sum(values["confusion"]) == 40
    assert values["confident_errors"][0]["probability"] == evaluation.confident_errors[0].probability


HALF = [[0.5, 0.5]] * 2


@pytest.mark.parametrize(
    ("labels", "probabilities", "code", "params"),
    [
        ([[0, 1]], [[0.5, 0.5]], "labels_array", {"dtype": "int64", "shape": "(1, 2)"}),
        ([0.0, 1.0], HALF, "labels_array", {"dtype": "float64"}),
        ([0, 1], [[0.5, 0.5]], "probabilities_array", {"shape": "(1, 2)", "expected": "(2, 2)"}),
        ([0, 1], [[1, 0], [0, 1]], "probabilities_array", {"dtype": "int64"}),
        ([0, 1], [[0.2, 0.3, 0.5]] * 2, "probabilities_array", {"shape": "(2, 3)", "expected": "(2, 2)"}),
        ([0, 2], HALF, "class_index", {"row": 1, "found": 2}),
        ([0, -2], HALF, "class_index", {"row": 1, "found": -2}),
        ([0, 1], [[0.5, 0.5], [1.5, -0.5]], "probability_range", {"row": 1, "class_name": "a", "found": 1.5}),
        ([0, 1], [[0.5, 0.5], [float("nan"), 1.0]], "probability_range", {"row": 1, "class_name": "a"}),
        ([0, 1], [[0.5, 0.5], [0.9, 0.6]], "probability_sum", {"row": 1, "found": 1.5}),
        ([-1, -1], HALF, "no_labels", {"n": 2}),
    ],
)
def test_wrong_arrays_are_refused(labels: Any, probabilities: Any, code: str, params: dict[str, Any]) -> None:
    with pytest.raises(DataError) as error:
        evaluate_multiclass(np.array(labels), np.array(probabilities), ("a", "b"))
    assert error.value.code == code
    assert params.items() <= error.value.params.items()


def test_wrong_number_of_ids_or_classes_is_refused() -> None:
    with pytest.raises(DataError) as error:
        evaluate_multiclass(np.array([0, 1]), np.array(HALF), ("a", "b"), ids=["x"])
    assert (error.value.code, error.value.params) == ("id_count", {"found": 1, "expected": 2})
    with pytest.raises(DataError) as error:
        evaluate_multiclass(np.array([0, 0]), np.ones((2, 1)), ("a",))
    assert error.value.code == "class_count"


def test_json_of_many_classes_is_without_a_confusion_matrix() -> None:
    for n, expected in ((500, 500), (501, None)):
        labels = np.arange(n)
        metrics = evaluate_multiclass(labels, np.eye(n), [f"class {i}" for i in range(n)]).to_dict()
        assert (metrics["confusion"] and len(metrics["confusion"])) == expected
        assert len(metrics["per_class"]) == n

"""Multilabel metrics equal scikit-learn's on the labelled cells; label thresholds decide what is predicted."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError
from muslin.evaluation import evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.thresholds import best_f1_thresholds, change_thresholds

NAMES = ("floral", "long", "denim", "rare")


def predictions(n: int = 300, seed: int = 1) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    truth = (random.random((n, 4)) < [0.5, 0.3, 0.2, 0.02]).astype(np.int8)
    probabilities = np.clip(truth * 0.3 + 0.7 * random.random((n, 4)), 0, 1).round(2).astype(np.float32)
    truth[random.random((n, 4)) < 0.4] = UNKNOWN
    return truth, probabilities


def test_every_metric_equals_scikit_learns_on_labelled_cells() -> None:
    truth, probabilities = predictions()
    thresholds = (0.5, 0.6, 0.55, 0.4)
    evaluation = evaluate_multilabel(truth, probabilities, NAMES, thresholds)
    for i, row in enumerate(evaluation.per_label):
        labelled = truth[:, i] != UNKNOWN
        y, p = truth[labelled, i], probabilities[labelled, i]
        predicted = p.astype(float) >= thresholds[i]
        assert row.precision == pytest.approx(metrics.precision_score(y, predicted))
        assert row.recall == pytest.approx(metrics.recall_score(y, predicted))
        assert row.f1 == pytest.approx(metrics.f1_score(y, predicted))
        assert row.f1 is not None
        assert row.average_precision == pytest.approx(metrics.average_precision_score(y, p))
        assert row.f1_interval[0] <= row.f1 <= row.f1_interval[1]
        assert (row.labelled, row.unlabelled) == (labelled.sum(), (~labelled).sum())
    labelled = truth != UNKNOWN
    predicted = probabilities.astype(float) >= np.array(thresholds)
    assert evaluation.micro.f1 == pytest.approx(metrics.f1_score(truth[labelled], predicted[labelled]))
    assert evaluation.micro.average_precision == pytest.approx(
        metrics.average_precision_score(truth[labelled], probabilities[labelled])
    )
    assert evaluation.macro.f1 == pytest.approx(np.mean([row.f1 for row in evaluation.per_label]))
    assert evaluation.unlabelled_fraction == (truth == UNKNOWN).mean()
    assert evaluation.correct_cells == (predicted == truth)[labelled].sum()
    values = json.loads(json.dumps(evaluation.to_dict()))
    assert values["micro"]["f1_interval"] == list(evaluation.micro.f1_interval)


def test_unlabelled_cells_change_no_metric() -> None:
    truth, probabilities = predictions()
    other = np.where(truth == UNKNOWN, 1 - probabilities, probabilities)
    one, two = (evaluate_multilabel(truth, p, NAMES, (0.5,) * 4) for p in (probabilities, other))
    assert one == two


def test_thresholds_have_the_best_f1() -> None:
    truth, probabilities = predictions(600)
    thresholds = best_f1_thresholds(truth, probabilities)
    labelled = truth[:, 0] != UNKNOWN
    y, p = truth[labelled, 0], probabilities[labelled, 0]
    best = max(metrics.f1_score(y, p >= t) for t in np.unique(p))
    assert metrics.f1_score(y, p >= thresholds[0]) == pytest.approx(best)


def test_rare_labels_share_one_threshold() -> None:
    truth, probabilities = predictions(600)
    thresholds = best_f1_thresholds(truth, probabilities)
    assert (truth[:, 3] == 1).sum() < 10
    cells = truth != UNKNOWN
    common = max(metrics.f1_score(truth[cells], probabilities[cells] >= t) for t in np.unique(probabilities[cells]))
    assert metrics.f1_score(truth[cells], probabilities[cells] >= thresholds[3]) == pytest.approx(common)
    assert best_f1_thresholds(np.full((5, 2), UNKNOWN), np.full((5, 2), 0.3)) == (0.5, 0.5)


def test_binary_metrics_are_scikit_learns_at_the_threshold() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 200)
    second = np.clip(0.3 * truth + 0.7 * random.random(200), 0, 1).round(2)
    probabilities = np.stack([1 - second, second], axis=1)
    evaluation = evaluate_multiclass(truth, probabilities, ("worn", "flat"), threshold=0.7)
    assert evaluation.binary
    assert evaluation.binary.roc_auc == pytest.approx(metrics.roc_auc_score(truth, second))
    assert evaluation.binary.average_precision == pytest.approx(metrics.average_precision_score(truth, second))
    assert evaluation.correct == (truth == (second >= 0.7)).sum()
    at_half = next(point for point in evaluation.binary.operating_points if point.threshold == 0.5)
    assert at_half.recall == pytest.approx(metrics.recall_score(truth, second >= 0.5))


TWO = Target("kind", ("worn", "flat"))
TAGS = Target("tags", ("red", "long"), "multilabel")
MORE_TAGS = Target("more", ("red", "x"), "multilabel")
THREE = Target("colour", ("a", "b", "c"))


def test_threshold_is_changed_by_the_name_of_a_class() -> None:
    assert change_thresholds([TWO, TAGS, THREE], {}, {"worn": 0.9, "red": 0.2}) == {
        "kind": (pytest.approx(0.1),),
        "tags": (0.2, 0.5),
    }
    assert change_thresholds([TWO, TAGS], {}, {"": 0.7}) == {"kind": (0.7,), "tags": (0.7, 0.7)}


@pytest.mark.parametrize(
    ("targets", "change", "code", "params"),
    [
        ([TWO], {"wron": 0.5}, "threshold_unknown", {"name": "wron", "nearest": "worn"}),
        ([TWO], {"worn": 1.5}, "threshold_range", {"found": 1.5}),
        ([TWO], {"worn": float("nan")}, "threshold_range", {}),
        ([THREE], {"": 0.5}, "no_thresholds", {}),
        ([TAGS, MORE_TAGS], {"red": 0.5}, "threshold_ambiguous", {"choices": ["tags/red", "more/red"]}),
    ],
)
def test_wrong_threshold_changes_are_refused(
    targets: list[Target], change: dict[str, float], code: str, params: dict[str, Any]
) -> None:
    with pytest.raises(DataError) as error:
        change_thresholds(targets, {}, change)
    assert error.value.code == code
    assert params.items() <= error.value.params.items()


@pytest.mark.parametrize(
    ("labels", "thresholds", "code"),
    [
        ([[0, 1, 1]], (0.5, 0.5), "labels_array"),
        ([[0, 1]], (0.5,), "threshold_count"),
        ([[0, 2]], (0.5, 0.5), "label_value"),
        ([[-1, -1]], (0.5, 0.5), "no_labels"),
    ],
)
def test_wrong_multilabel_arrays_are_refused(labels: Any, thresholds: tuple[float, ...], code: str) -> None:
    with pytest.raises(DataError) as error:
        evaluate_multilabel(np.array(labels), np.array([[0.5, 0.5]]), ("a", "b"), thresholds)
    assert error.value.code == code

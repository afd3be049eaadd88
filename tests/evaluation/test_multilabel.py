"""Several labels an image: the figures are scikit-learn's on the known cells, and thresholds do what they say."""

import json

import numpy as np
import pytest
from sklearn import metrics

from muslin.data.dataset import UNKNOWN, Target
from muslin.errors import DataError
from muslin.evaluation import MultilabelEvaluation, evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.thresholds import choose, move

NAMES = ("floral", "long", "denim", "rare")


def answers(n=300, seed=1):
    random = np.random.default_rng(seed)
    truth = (random.random((n, 4)) < [0.5, 0.3, 0.2, 0.02]).astype(np.int8)
    raw_probabilities = np.clip(truth * 0.3 + 0.7 * random.random((n, 4)), 0, 1).round(2).astype(np.float32)
    truth[random.random((n, 4)) < 0.4] = UNKNOWN
    return truth, raw_probabilities


def test_the_figures_are_scikit_learns_on_the_known_cells():
    truth, raw_probabilities = answers()
    from_on = (0.5, 0.6, 0.55, 0.4)
    found = evaluate_multilabel(truth, raw_probabilities, NAMES, from_on)
    for i, row in enumerate(found.per_label):
        known = truth[:, i] != UNKNOWN
        y, p = truth[known, i], raw_probabilities[known, i]
        said = p.astype(float) >= from_on[i]
        assert row.precision == pytest.approx(metrics.precision_score(y, said))
        assert row.recall == pytest.approx(metrics.recall_score(y, said))
        assert row.f1 == pytest.approx(metrics.f1_score(y, said))
        assert row.average_precision == pytest.approx(metrics.average_precision_score(y, p))
        assert row.f1_interval[0] <= row.f1 <= row.f1_interval[1]
        assert row.unknown == (~known).sum()
    known = truth != UNKNOWN
    said = raw_probabilities.astype(float) >= np.array(from_on)
    assert found.micro.f1 == pytest.approx(metrics.f1_score(truth[known], said[known]))
    assert found.micro.average_precision == pytest.approx(
        metrics.average_precision_score(truth[known], raw_probabilities[known])
    )
    assert found.macro.f1 == pytest.approx(np.mean([row.f1 for row in found.per_label]))
    assert found.unlabelled_fraction == (truth == UNKNOWN).mean()
    assert MultilabelEvaluation.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_is_not_known_changes_no_figure():
    truth, raw_probabilities = answers()
    other = np.where(truth == UNKNOWN, 1 - raw_probabilities, raw_probabilities)
    one, two = (evaluate_multilabel(truth, p, NAMES, (0.5,) * 4) for p in (raw_probabilities, other))
    assert one == two


def test_the_chosen_threshold_has_the_best_f1_and_few_images_choose_none_of_their_own():
    truth, raw_probabilities = answers(600)
    chosen = choose(truth, raw_probabilities)
    known = truth[:, 0] != UNKNOWN
    y, p = truth[known, 0], raw_probabilities[known, 0]
    best = max(metrics.f1_score(y, p >= t) for t in np.unique(p))
    assert metrics.f1_score(y, p >= chosen[0]) == pytest.approx(best)
    assert (truth[:, 3] == 1).sum() < 10
    cells = truth != UNKNOWN
    common = max(
        metrics.f1_score(truth[cells], raw_probabilities[cells] >= t)
        for t in np.unique(raw_probabilities[cells])
    )
    assert metrics.f1_score(truth[cells], raw_probabilities[cells] >= chosen[3]) == pytest.approx(common)
    assert choose(np.full((5, 2), UNKNOWN), np.full((5, 2), 0.3)) == (0.5, 0.5)


def test_two_classes_have_scikit_learns_areas_and_obey_the_threshold():
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 200)
    second = np.clip(0.3 * truth + 0.7 * random.random(200), 0, 1).round(2)
    raw_probabilities = np.stack([1 - second, second], axis=1)
    found = evaluate_multiclass(truth, raw_probabilities, ("worn", "flat"), threshold=0.7)
    assert found.binary.roc_auc == pytest.approx(metrics.roc_auc_score(truth, second))
    assert found.binary.average_precision == pytest.approx(metrics.average_precision_score(truth, second))
    assert found.right == (truth == (second >= 0.7)).sum()
    assert type(found).from_dict(json.loads(json.dumps(found.to_dict()))) == found
    at_half = next(point for point in found.binary.points if point.threshold == 0.5)
    assert at_half.recall == pytest.approx(metrics.recall_score(truth, second >= 0.5))


def test_a_threshold_is_moved_by_the_name_of_a_class_and_odd_ones_are_refused():
    two, tags = Target("kind", ("worn", "flat")), Target("tags", ("red", "long"), "multilabel")
    many = Target("colour", ("a", "b", "c"))
    assert move([two, tags, many], {}, {"worn": 0.9, "red": 0.2}) == {
        "kind": (pytest.approx(0.1),),
        "tags": (0.2, 0.5),
    }
    assert move([two, tags], {}, {"": 0.7}) == {"kind": (0.7,), "tags": (0.7, 0.7)}
    for targets, change, said in (
        ([two], {"wron": 0.5}, "no threshold is called 'wron'. Did you mean worn"),
        ([two], {"worn": 1.5}, "expected a probability from 0 to 1"),
        ([two], {"worn": float("nan")}, "expected a probability"),
        ([many], {"": 0.5}, "no threshold can be moved"),
        ([tags, Target("more", ("red", "x"), "multilabel")], {"red": 0.5}, "tags/red or more/red"),
    ):
        with pytest.raises(DataError, match=said):
            move(targets, {}, change)

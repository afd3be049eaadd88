"""What calibrates a model, folds or the validation set: chosen by the time budget, and said with its reason."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import muslin
from muslin.data.dataset import Dataset
from muslin.data.synthetic import SyntheticDataset, make_garments
from muslin.learn.recipes import LinearProbeRecipe, SGDRecipe, recipe
from muslin.workflows.calibration_choice import FOLDS, calibration_without_folds, choose_folds
from muslin.workflows.training_data import Callbacks, TrainingData, prepare_data
from muslin.workflows.training_plan import TrainingPlan, TrainOptions, plan_training

DAYS = 1e6
SMALL = {"batch_size": 40}


def prepared(dataset: Dataset, **settings: Any) -> TrainingData:
    return prepare_data(dataset, recipe("quick", **SMALL, **settings), 0, 0.2, Callbacks())


def chosen_by(dataset: Dataset, budget_s: float, **settings: Any) -> tuple[int, str | None]:
    quick = recipe("quick", **SMALL, **settings)
    assert isinstance(quick, SGDRecipe)
    choice = choose_folds(budget_s, prepared(dataset, **settings), quick)
    return choice.folds, choice.reason and choice.reason.code


def test_folds_are_chosen_where_their_trainings_fit(synthetic: SyntheticDataset) -> None:
    assert chosen_by(synthetic.dataset, DAYS) == (FOLDS, "folds_within_budget")
    assert chosen_by(synthetic.dataset, 1e-6) == (0, "folds_over_budget")


def test_large_or_given_validation_sets_are_held_out(synthetic: SyntheticDataset) -> None:
    large = make_garments(3000, seed=0).dataset
    assert chosen_by(large, DAYS, validation_fraction=0.5) == (0, "folds_not_needed")
    senders = np.char.add("sender ", (np.arange(3000) // 4).astype(str)).astype(object)
    in_groups = replace(large, groups=senders)
    assert chosen_by(in_groups, DAYS, validation_fraction=0.5) == (FOLDS, "folds_within_budget")
    parts = np.resize(np.array(["train", "train", "validation", "test"], dtype=object), 200)
    assert chosen_by(replace(synthetic.dataset, parts=parts), DAYS) == (0, "validation_set_given")


def planned(dataset: Dataset, **settings: Any) -> TrainingPlan:
    options = TrainOptions("quick", settings={**SMALL, **settings}, time_budget_s=DAYS)
    return plan_training(dataset, options, Callbacks())


def test_plan_of_a_time_budget_counts_all_trainings(synthetic: SyntheticDataset) -> None:
    plan = planned(synthetic.dataset)
    assert isinstance(plan.choice.recipe, SGDRecipe)
    assert plan.choice.recipe.folds == FOLDS
    assert plan.choice.reason is not None
    assert plan.choice.reason.params["trainings"] == 1 + FOLDS
    assert plan.calibration_reason is not None


@pytest.mark.parametrize("folds", [0, 2])
def test_named_folds_are_kept_within_a_time_budget(synthetic: SyntheticDataset, folds: int) -> None:
    plan = planned(synthetic.dataset, folds=folds)
    assert isinstance(plan.choice.recipe, SGDRecipe)
    assert (plan.choice.recipe.folds, plan.calibration_reason) == (folds, None)


def test_no_advice_is_given_that_would_be_refused(synthetic: SyntheticDataset) -> None:
    data = prepared(synthetic.dataset)
    quick, probe, flipped = recipe("quick"), recipe("photo", folds=0), recipe("photo", tta_flip=True)
    assert isinstance(probe, LinearProbeRecipe)
    hints = [calibration_without_folds(each, data, 2.0).hint_code for each in (quick, probe, flipped)]
    assert hints == ["folds", "folds", "tta_flip"]
    large = prepared(make_garments(3000, seed=0).dataset, validation_fraction=0.5)
    assert calibration_without_folds(quick, large, 2.0).hint_code == "enough"
    one_group = replace(data.dataset, groups=np.full(len(data.dataset), "one", dtype=object))
    assert calibration_without_folds(quick, replace(data, dataset=one_group), 2.0).hint_code == "groups"


def test_training_without_folds_says_what_folds_cost(synthetic: SyntheticDataset, tmp_path: Path) -> None:
    logged: list[Any] = []
    settings = {"epochs": 1, **SMALL}
    run = muslin.train(synthetic.dataset, recipe="quick", settings=settings, out=tmp_path / "run", log=logged.append)
    [note] = [note for note in logged if note.code == "calibrating_on_validation_set"]
    assert note.params.items() >= {"n": 27, "total": 160, "folds": FOLDS}.items()
    rounded_s = 0.0005  # the record keeps three decimals
    assert note.params["more_s"] == pytest.approx(FOLDS * run.record["train_s"], abs=FOLDS * rounded_s)

"""The table of recipes, and changing settings."""

import dataclasses
import json
from pathlib import Path
from statistics import median

import pytest

from muslin.data.registry import DATASETS
from muslin.errors import RecipeError
from muslin.learn.recipes import (
    LADDER,
    METHODS,
    RECIPES,
    cross_fitting_folds,
    eval_image_size,
    image_scale,
    recipe,
    recipe_from_dict,
    settings,
)
from refusals import refuses

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_tutorial_has_the_settings_of_the_article():
    r = recipe("tutorial")
    assert (r.epochs, r.batch_size, r.learning_rate, r.optimizer) == (50, 512, 1e-3, "adam")
    assert (r.widths, r.dropout, r.activation) == ((64, 32, 32), 0.25, "sigmoid")
    assert (r.validation_fraction, r.split_seed, r.stratified) == (0.2, 12345, False)


def test_settings_can_be_text():
    changed = recipe("quick", epochs="3", learning_rate="1e-2", widths="8-16", flip="no", split_seed="none")
    assert (changed.epochs, changed.learning_rate, changed.widths) == (3, 0.01, (8, 16))
    assert changed.flip is False
    assert changed.split_seed is None


def test_all_faults_are_reported_together():
    with pytest.raises(RecipeError) as error:
        recipe("quick", epoch=3, batch_size="many", dropout=1.5, schedule="liner", weights="random")
    assert error.value.code == "settings_faulty"
    faults = {fault.code: fault.params for fault in error.value.params["faults"]}
    assert faults["setting_unknown"]["nearest"] == "epochs"
    assert faults["setting_not_integer"] == {"name": "batch_size", "value": "many"}
    assert faults["setting_out_of_range"]["high"] == 0.9
    assert faults["setting_choice"]["nearest"] == "linear"
    assert faults["setting_not_read"]["name"] == "weights"
    assert error.value.to_dict()["params"]["faults"][0]["code"]


@pytest.mark.parametrize("name", ["quick", "photo", "photo-tuned"])
def test_one_fold_is_refused(name):
    with refuses("one_fold"):
        recipe(name, folds="1")
    assert [recipe(name, folds=folds).folds for folds in (0, 2)] == [0, 2]


def test_folds_of_a_linear_probe_with_tta_are_not_used():
    assert cross_fitting_folds(recipe("photo")) == 5
    assert cross_fitting_folds(recipe("photo", tta_flip=True)) == 0
    assert cross_fitting_folds(recipe("quick", tta_flip=True, folds=3)) == 3


def test_unknown_recipe_is_refused_with_the_nearest_name():
    with refuses("recipe_unknown", name="quik", nearest="quick"):
        recipe("quik")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", ""])
def test_impossible_learning_rates_are_refused(value):
    with pytest.raises(RecipeError) as error:
        recipe("quick", learning_rate=value)
    assert error.value.params["name"] == "learning_rate"


@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "optimizer", "dropout", "widths", "activation"])
def test_settings_that_the_method_does_not_read_are_refused(name):
    with refuses("setting_not_read", name=name, recipe="photo", method="linear_probe"):
        recipe("photo", **{name: getattr(RECIPES["quick"], name)})


@pytest.mark.parametrize(
    ("row", "changes", "name", "needed"),
    [
        ("tutorial", {"weight_decay": 0.1}, "weight_decay", "optimizer"),
        ("tutorial", {"warmup": 0.1}, "warmup", "schedule"),
        ("photo-tuned", {"bias_learning_rate": 0.1}, "bias_learning_rate", "optimizer"),
        ("photo-tuned", {"widths": (8, 16)}, "widths", "network"),
        ("quick", {"network": "efficientnet-lite0", "widths": (8,)}, "widths", "network"),
        ("quick", {"low_res_scale": 0.7}, "low_res_scale", "low_res_fraction"),
    ],
)
def test_settings_that_another_one_disables_are_refused(row, changes, name, needed):
    with refuses("setting_not_read_with", name=name, needed=needed):
        recipe(row, **changes)


def test_rows_record_only_what_they_read():
    assert not {"optimizer", "learning_rate", "batch_size"} & RECIPES["photo"].to_dict().keys()
    for name, row in RECIPES.items():
        record = row.to_dict()
        assert recipe_from_dict(record).to_dict() == record, name
        unread = settings(type(row)).keys() - record.keys()
        defaults = {f.name: f.default for f in dataclasses.fields(row)}
        assert all(getattr(row, setting) == defaults[setting] for setting in unread), name


def test_images_are_small_in_the_first_epochs_only():
    r = recipe("quick", epochs=8, low_res_fraction=0.5, low_res_scale=0.7)
    assert [image_scale(r, epoch) for epoch in range(8)] == [0.7] * 4 + [1.0] * 4
    assert [eval_image_size(r, epoch, (28, 28)) for epoch in (0, 3, 4, 7)] == [(20, 20)] * 2 + [(28, 28)] * 2
    only_small = recipe("quick", epochs=8, low_res_fraction=1, low_res_scale=0.7)
    assert eval_image_size(only_small, 0, (28, 28)) == (28, 28), "predictions are made at full size"
    assert {image_scale(recipe("tutorial"), epoch) for epoch in range(50)} == {1.0}


def test_name_and_method_of_a_recipe_are_fixed():
    for name in ("name", "method", "benchmark"):
        with refuses("setting_unknown", name=name):
            recipe("quick", **{name: "mine"})


def test_every_setting_and_recipe_is_described():
    for method in METHODS.values():
        for name, setting in settings(method).items():
            assert setting.help, name
    assert all(row.summary for row in RECIPES.values())


MEASURED = [name for name, row in RECIPES.items() if row.benchmark]


@pytest.mark.parametrize("name", MEASURED)
def test_benchmark_of_a_recipe_equals_the_kept_result(name):
    benchmark = RECIPES[name].benchmark
    result = json.loads((RESULTS / benchmark.source).read_text())
    if benchmark.data == "fashion-mnist":
        runs, n_images = result["runs"], 10_000
        assert result["recipe"] == name
        accuracies = [run["test_accuracy"] for run in runs]
    else:
        runs = [row for row in result["rows"] if row["method"] == name]
        accuracies = [run["accuracy"] for run in runs]
        n_images = runs[0]["validation_n"] + runs[0]["test_n"]
    assert benchmark.accuracy == round(median(accuracies), 4)
    assert benchmark.train_s == pytest.approx(median(run["train_s"] for run in runs), abs=0.1)
    assert (benchmark.n_seeds, benchmark.n_images) == (len(runs), n_images)
    machine = result["machine"]
    assert benchmark.machine == f"{machine['processor']}, {machine['cores']} cores"
    assert benchmark.data in DATASETS


def test_ladder_has_a_measured_accuracy_to_begin_with():
    assert {"quick", "brisk"} <= set(MEASURED) & set(LADDER)

"""`--time-budget`: how long training may take."""

import json
from dataclasses import replace

import numpy as np
import pytest

from command_line import run
from muslin.data.dataset import Split
from muslin.data.synthetic import make_garments
from muslin.errors import RecipeError
from muslin.learn.batches import total_steps
from muslin.learn.recipes import LADDER, RECIPES, recipe
from muslin.workflows.expected_time import TrainingSpeed, estimate_train_s
from muslin.workflows.time_budget import (
    MAX_EPOCHS_RATIO,
    check_time_budget,
    fit_epochs_to_budget,
    fit_time_budget,
    ladder_recipes,
    parse_duration,
)

COUNT = 50_000
SPEED = TrainingSpeed({1.0: 0.1, 0.72: 0.05}, validation_s=2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90", 90), ("2min", 120), ("2 min", 120), ("1.5h", 5400), ("1h30min", 5400), ("2m", 120)],
)
def test_parse_duration_reads_hours_minutes_and_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-3s", "10 apples", "min", "1e9", "nan", "3s2", "inf"])
def test_parse_duration_refuses_other_texts(text):
    with pytest.raises(RecipeError) as error:
        parse_duration(text)
    assert (error.value.code, error.value.params["value"]) == ("duration_format", text)


def test_estimate_counts_steps_per_scale_and_validation():
    thorough = replace(RECIPES["thorough"], epochs=4, low_res_fraction=0.5, batch_size=500)  # 100 steps an epoch
    assert estimate_train_s(thorough, COUNT, SPEED) == pytest.approx(200 * 0.05 + 200 * 0.1 + 4 * 2)
    shortened = replace(thorough, max_steps=150)  # two epochs, of which the first has small images
    assert estimate_train_s(shortened, COUNT, SPEED) == pytest.approx(100 * 0.05 + 50 * 0.1 + 2 * 2)


@pytest.mark.parametrize("name", LADDER)
@pytest.mark.parametrize("seconds", [1, 3, 10, 25, 41, 60, 300, 100_000])
def test_budget_is_filled_to_the_last_step(name, seconds):
    whole = RECIPES[name]
    fitting = fit_epochs_to_budget(whole, seconds, COUNT, SPEED)
    steps = total_steps(COUNT, fitting)
    assert estimate_train_s(fitting, COUNT, SPEED) <= seconds + 1e-6 or steps == 1
    one_more = replace(fitting, epochs=fitting.epochs + (not fitting.max_steps), max_steps=steps + 1)
    at_its_longest = fitting.epochs == MAX_EPOCHS_RATIO * whole.epochs and not fitting.max_steps
    assert at_its_longest or estimate_train_s(one_more, COUNT, SPEED) > seconds


def test_ladder_rises_and_its_recipes_split_data_alike():
    accuracies = [RECIPES[name].benchmark.accuracy for name in LADDER if RECIPES[name].benchmark]
    assert accuracies == sorted(accuracies)
    shares = {(r.validation_fraction, r.stratified, r.split_seed) for r in map(RECIPES.get, LADDER)}
    assert len(shares) == 1, "recipes of the ladder replace each other after the split"


@pytest.mark.parametrize(
    ("time_budget_s", "settings", "code"),
    [
        (10, {"epochs": 3}, "time_budget_and_steps"),
        (10, {"max_steps": 3}, "time_budget_and_steps"),
        (float("nan"), {}, "time_budget_not_positive"),
        (0, {}, "time_budget_not_positive"),
    ],
)
def test_impossible_time_budgets_are_refused(time_budget_s, settings, code):
    with pytest.raises(RecipeError) as error:
        check_time_budget(time_budget_s, settings)
    assert error.value.code == code


def test_run_within_a_time_budget_can_be_repeated(fashion_slice, tmp_path):
    done = run("train", fashion_slice, "--time-budget", "6s", "--out", "run", "--json", cwd=tmp_path)
    assert done.code == 0, done
    summary = json.loads(done.out.splitlines()[-1])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert summary["expected_s"] == record["expected_s"] > 0
    assert "for 6.0 s; expected:" in done.err
    words = record["command"].split()[1:]
    assert words[words.index("--recipe") + 1] == summary["recipe"]
    again = run(*words, "--out", "again", "--json", cwd=tmp_path)
    assert again.code == 0, again
    histories = [(tmp_path / name / "history.jsonl").read_text().splitlines() for name in ("run", "again")]
    losses = [[json.loads(row)["train_loss"] for row in rows] for rows in histories]
    assert losses[0] == losses[1]


def test_images_too_small_for_slower_recipes_get_quick():
    dataset = make_garments(120, seed=0, size_px=10).dataset
    split = Split(np.arange(100), np.arange(100, 110), np.arange(110, 120))
    ladder = ladder_recipes(RECIPES["quick"], 100, {"batch_size": 20})
    assert fit_time_budget(60, dataset, split, ladder).recipe.name == "quick"


def test_time_budget_too_short_leaves_no_run(fashion_slice, tmp_path):
    done = run("train", fashion_slice, "--time-budget", "0.01s", "--out", "run", cwd=tmp_path)
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("muslin: ")
    assert not (tmp_path / "run").exists()


def test_run_ends_after_max_steps(synthetic, tmp_path):
    import muslin

    settings = {"epochs": 50, "max_steps": 5, "batch_size": 40}
    reports, logged = [], []
    done = muslin.train(
        synthetic.dataset, recipe="quick", out=tmp_path / "run", settings=settings, on_progress=reports.append,
        log=logged.append,
    )  # fmt: skip
    assert {report.epochs for report in reports} == {done.record["epochs"]} == {len(done.history)} == {2}
    assert [report.step for report in reports] == [1, 2, 3, 4, 1]
    assert {note.code for note in logged} == {"calibrating_on_validation_set", "validation_too_small"}
    assert [row["learning_rate"] for row in done.history][-1] < recipe("quick").learning_rate / 4
    assert total_steps(200, recipe("quick", **settings)) == 5
    assert done.record["images_seen"] == 133 + 40, "one epoch of 133 images, and one step"

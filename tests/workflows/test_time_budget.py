"""How long may it take: `--within` and `--reach`."""

import json
from dataclasses import replace

import pytest

from command_line import run
from muslin.errors import RecipeError
from muslin.learn.batches import steps_in_all
from muslin.learn.recipes import LADDER, RECIPES, recipe
from muslin.workflows.time_budget import (
    LONGEST,
    Pace,
    check_asked,
    expected_seconds,
    fitted_into,
    rung,
    seconds_of,
)

COUNT = 50_000
PACE = Pace({1.0: 0.1, 0.72: 0.05}, judging_s=2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("90", 90), ("2min", 120), ("2 min", 120), ("1.5h", 5400), ("1h30min", 5400), ("2m", 120)],
)
def test_a_time_is_written_as_people_write_it(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-3s", "10 apples", "min", "1e9", "nan", "3s2", "inf"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(RecipeError, match="Write it as 30s, 2min or 1h30min"):
        seconds_of(text)


def test_expected_are_the_steps_of_each_scale_and_a_look_after_each_epoch():
    thorough = replace(
        RECIPES["thorough"], epochs=4, low_res_fraction=0.5, batch_size=500
    )  # 100 steps an epoch
    assert expected_seconds(thorough, COUNT, PACE) == pytest.approx(200 * 0.05 + 200 * 0.1 + 4 * 2)
    assert expected_seconds(replace(thorough, max_steps=150), COUNT, PACE) == pytest.approx(150 * 0.05 + 4)


@pytest.mark.parametrize("name", LADDER)
@pytest.mark.parametrize("seconds", [1, 3, 10, 25, 41, 60, 300, 100_000])
def test_as_many_steps_as_fit_and_not_one_more(name, seconds):
    whole = RECIPES[name]
    fitting = fitted_into(whole, seconds, COUNT, PACE)
    steps = steps_in_all(COUNT, fitting)
    assert expected_seconds(fitting, COUNT, PACE) <= seconds + 1e-6 or steps == 1
    one_more = replace(fitting, epochs=fitting.epochs + (not fitting.max_steps), max_steps=steps + 1)
    at_its_longest = fitting.epochs == LONGEST * whole.epochs and not fitting.max_steps
    assert at_its_longest or expected_seconds(one_more, COUNT, PACE) > seconds


def test_the_ladder_climbs_and_its_rungs_divide_data_alike():
    assert list(LADDER.values()) == sorted(LADDER.values())
    shares = {(r.validation_share, r.stratified, r.split_seed) for r in map(RECIPES.get, LADDER)}
    assert len(shares) == 1, "a rung may take another's place after the data were divided"


def test_the_quickest_recipe_that_reaches_it_is_taken():
    for name, reached in LADDER.items():
        assert rung(reached) == name
    assert rung(0.5) == next(iter(LADDER))
    with pytest.raises(RecipeError, match=r"The most is 0\.9\d+, on Fashion-MNIST: --reach 0\.9"):
        rung(0.9999)
    for share in (0, -1, 94, float("nan")):
        with pytest.raises(RecipeError, match=r"as 0\.94 for 94 %"):
            rung(share)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"time_budget_s": 10, "reach": 0.9}, "Give one of them"),
        ({"time_budget_s": 10, "settings": {"epochs": 3}}, "--within chooses epochs"),
        ({"time_budget_s": float("nan")}, "Give more than 0"),
        ({"reach": 0.9, "recipe": "small-photo"}, "what that reaches on images like yours nobody knows"),
    ],
)
def test_what_contradicts_itself_is_refused(asked, said):
    whole = {"recipe": "auto", "time_budget_s": None, "reach": None, "settings": {}} | asked
    with pytest.raises(RecipeError, match=said):
        check_asked(**whole)


def test_within_says_what_fits_trains_that_and_can_be_repeated(fashion_slice, tmp_path):
    done = run("train", fashion_slice, "--time-budget", "6s", "--out", "run", "--json", cwd=tmp_path)
    assert done.code == 0, done
    told = json.loads(done.out.splitlines()[-1])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["expected_s"] == record["expected_s"] > 0
    assert "for 6.0 s; expected:" in done.err
    words = record["command"].split()[1:]
    assert words[words.index("--recipe") + 1] == told["recipe"]
    again = run(*words, "--out", "again", "--json", cwd=tmp_path)
    assert again.code == 0, again
    histories = [(tmp_path / name / "history.jsonl").read_text().splitlines() for name in ("run", "again")]
    losses = [[json.loads(row)["train_loss"] for row in rows] for rows in histories]
    assert losses[0] == losses[1]


def test_a_time_too_short_for_anything_leaves_no_run(fashion_slice, tmp_path):
    done = run("train", fashion_slice, "--time-budget", "0.01s", "--out", "run", cwd=tmp_path)
    assert done.code == 1
    assert "Allow at least" in done.err
    assert not (tmp_path / "run").exists()


def test_reach_names_the_recipe_its_figure_and_the_time(fashion_slice, tmp_path):
    words = ["--reach", "0.9", "--set", "batch_size=64", "--set", "epochs=1", "--out", "run"]
    done = run("train", fashion_slice, *words, cwd=tmp_path)
    assert done.code == 0, done
    assert "recipe quick: got 90.9 % of Fashion-MNIST's test images right" in done.err
    assert "expected:" in done.err
    refused = run("train", fashion_slice, "--reach", "0.9", "--recipe", "quick", "--out", "no", cwd=tmp_path)
    assert (refused.code, "Leave --recipe out" in refused.err) == (1, True)


def test_a_run_of_a_given_number_of_steps_ends_after_them(drawn, tmp_path):
    import muslin

    settings = {"epochs": 3, "max_steps": 5, "batch_size": 40}
    done = muslin.train(drawn.dataset, recipe="quick", out=tmp_path / "run", settings=settings)
    assert [row["learning_rate"] for row in done.history][-1] < recipe("quick").learning_rate / 4
    assert steps_in_all(200, recipe("quick", **settings)) == 5

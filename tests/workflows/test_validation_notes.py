"""`train` says how many validation images a guarantee takes, and how to set them aside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import muslin
from muslin.data.dataset import Dataset
from muslin.data.synthetic import make_garments
from muslin.evaluation.precision_bound import accept_threshold, images_needed
from muslin.evaluation.selective import DEFAULT_PRECISION
from muslin.learn.batches import images_seen
from muslin.learn.recipes import recipe
from muslin.learn.training_loop import State, progress_of

SETTINGS = {"epochs": 1, "batch_size": 40}


def notes_of(dataset: Dataset, out: Path, **settings: Any) -> list[Any]:
    logged: list[Any] = []
    muslin.train(dataset, recipe="quick", out=out, settings=SETTINGS | settings, log=logged.append)
    return [note for note in logged if note.code == "validation_too_small"]


@pytest.mark.parametrize("precision", [0.9, 0.98, 0.99])
def test_images_needed_are_the_fewest_that_can_prove_a_precision(precision: float) -> None:
    needed = images_needed(precision)
    for n, is_proven in ((needed, True), (needed - 1, False)):
        confidence, correct = np.linspace(1, 0.5, n), np.ones(n, bool)
        assert (accept_threshold(confidence, correct, precision) < np.inf) == is_proven


def test_suggested_fraction_gives_enough_validation_images(tmp_path: Path) -> None:
    dataset = make_garments(740, seed=0).dataset
    [note] = notes_of(dataset, tmp_path / "a", validation_fraction=0.1)
    assert (note.params["needed"], note.params["precision"]) == (149, DEFAULT_PRECISION)
    assert note.hint_code == "set_aside"
    assert notes_of(dataset, tmp_path / "b", validation_fraction=note.params["fraction"]) == []
    assert note.params["total"] == 592
    assert notes_of(dataset, tmp_path / "c", validation_fraction=0.1, folds=2) == []


def test_speed_and_epochs_are_those_of_the_steps_that_run() -> None:
    short = recipe("quick", epochs=50, max_steps=5, batch_size=40)
    state = State("", step=5, elapsed_s=2.0, loss_sum=40.0, images=40)
    progress = progress_of(state, State(""), short, 133)
    assert (progress.epoch, progress.epochs, progress.step) == (2, 2, 1)
    assert progress.images_per_s == images_seen(133, short, 5) / 2.0 == 173 / 2.0
    assert progress.left_s == 0


def test_set_without_validation_images_says_that_nothing_calibrates(tmp_path: Path) -> None:
    logged: list[Any] = []
    options = {"recipe": "quick", "settings": SETTINGS | {"validation_fraction": 0}, "log": logged.append}
    muslin.train(make_garments(100, seed=0).dataset, out=tmp_path / "run", **options)
    [note] = [note for note in logged if note.code == "not_calibrated"]
    assert (note.hint_code, note.params["total"]) == ("folds", 80)

"""The trial that chooses between a linear probe and a network from scratch, on small photos with random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.folds import draw_sample
from muslin.data.photos import resize_photos
from muslin.data.synthetic import make_garments
from muslin.errors import StoppedError
from muslin.learn.recipe_choice import RecipeChoice, choose_recipe
from muslin.learn.recipes import LinearProbeRecipe, recipe
from muslin.learn.train import extract_features
from muslin.workflows.expected_time import estimate_extraction_s
from muslin.workflows.recipe_trial import MIN_BUDGET_S, Trial, better, choose_by_trial
from muslin.workflows.training_data import Callbacks

PROBE = recipe("photo", network="efficientnet-lite0", weights="random", image_size=48)
SCRATCH = recipe("small-photo", widths="8-16-16", image_size=32, batch_size=16, epochs=10)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    garments = make_garments(120, seed=0, size_px=40, colour=True).dataset
    for number, label in enumerate(garments.labels["label"]):
        folder = tmp_path / "photos" / str(int(label) % 3)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(garments.images[number]).save(folder / f"{number}.png")
    return read(tmp_path / "photos")


def choice() -> RecipeChoice:
    assert isinstance(PROBE, LinearProbeRecipe)
    return RecipeChoice(SCRATCH, alternative=PROBE)


def trial(name: str, expected: float, expected_s: float) -> Trial:
    return Trial(recipe(name), expected, (expected, expected), expected, expected_s)


def test_better_recipe_wins_and_else_the_quicker() -> None:
    slow = trial("small-photo", 0.90, 120.0)
    for accuracy, seconds, winner in ((0.80, 10.0, slow), (0.89, 10.0, None), (0.95, 500.0, None), (0.91, 500.0, slow)):
        other = trial("photo", accuracy, seconds)
        for pair in ((slow, other), (other, slow)):
            assert better(*pair)[0] is (winner or other), (accuracy, seconds)


def test_trial_says_what_it_measured(photos: Dataset) -> None:
    logged: list[Any] = []
    chosen = choose_by_trial(photos, choice(), 0, None, Callbacks(log=logged.append))
    assert [message.code for message in logged if hasattr(message, "code")] == ["recipe_trial"]
    assert chosen.reason is not None
    assert chosen.reason.code == "recipe_by_trial"
    params = chosen.reason.params
    assert {chosen.recipe.name, params["other"]} == {"photo", "small-photo"}
    assert params["n"] >= 20
    assert chosen.expected_s == params["expected_s"] > 0
    again = choose_by_trial(photos, choice(), 0, None, Callbacks())
    assert again.reason is not None
    accuracies = [
        {each.params[prefix + "accuracy"] for prefix in ("", "other_")} for each in (chosen.reason, again.reason)
    ]
    assert accuracies[0] == accuracies[1], "the same seed gives the same figures"


def test_no_trial_of_few_photos_or_in_little_time(photos: Dataset) -> None:
    few = photos.take(np.arange(0, 120, 2))
    assert choose_by_trial(few, choice(), 0, None, Callbacks()).recipe is SCRATCH
    assert choose_by_trial(photos, choice(), 0, MIN_BUDGET_S / 2, Callbacks()).recipe is SCRATCH


def test_several_targets_with_unknown_labels_are_tried(photos: Dataset) -> None:
    colours = np.arange(len(photos)) % 2
    colours[::5] = UNKNOWN
    several = np.stack([np.arange(len(photos)) % 3 == 0, np.arange(len(photos)) % 4 == 0], axis=1).astype(np.int8)
    targets = (Target("colour", ("red", "blue")), Target("marks", ("x", "y"), "multilabel"))
    dataset = replace(photos, targets=targets, labels={"colour": colours, "marks": several})
    reason = choose_by_trial(dataset, choice(), 0, None, Callbacks()).reason
    assert reason is not None
    assert 0 <= reason.params["accuracy"] <= 1


def test_trial_stops_and_keeps_its_features(photos: Dataset) -> None:
    with pytest.raises(StoppedError):
        choose_by_trial(photos, choice(), 0, None, Callbacks(should_stop=lambda: True))


def test_sample_parts_no_group_and_no_copies(photos: Dataset) -> None:
    groups = np.array([f"g{i // 4}" for i in range(len(photos))], dtype=object)
    grouped = replace(photos, groups=groups)
    indices = np.arange(2, len(photos))
    sample, rest = draw_sample(grouped, indices, 30, seed=1)
    assert sorted([*sample, *rest]) == indices.tolist()
    assert 20 < len(sample) <= 30
    assert not set(groups[sample]) & set(groups[rest])
    again, _ = draw_sample(grouped, indices, 30, seed=1)
    assert (again == sample).all()


def test_cached_photos_take_no_time_to_extract(photos: Dataset) -> None:
    assert isinstance(PROBE, LinearProbeRecipe)
    few = photos.take(np.arange(20))
    assert estimate_extraction_s(few, PROBE, 0) > 0
    assert estimate_extraction_s(few, PROBE, 0) > 0, "an estimate keeps no features"
    extract_features(resize_photos(few, (PROBE.image_size, PROBE.image_size, 3)), PROBE, seed=0, threads=1)
    assert estimate_extraction_s(few, PROBE, 0) == 0
    assert estimate_extraction_s(photos, PROBE, 0) > 0


def test_settings_of_one_recipe_leave_no_alternative(photos: Dataset) -> None:
    assert choose_recipe(photos, 90, {"epochs": 3}).alternative is None
    assert choose_recipe(photos, 90, {"batch_size": 16}).alternative is None

"""What is said of recipes before a training: which suit the images, what they change, and how long they take."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garment_files import write_garment_folders
from muslin.data import read
from muslin.errors import DataError, StoppedError
from muslin.learn.batches import steps_per_epoch, total_steps, with_min_steps
from muslin.learn.recipes import LADDER, RECIPES, SGDRecipe
from muslin.messages import no_log
from muslin.workflows.expected_time import TRIAL_STEPS, expected_train_s, with_trial_steps
from muslin.workflows.training_data import Callbacks
from muslin.workflows.training_offers import PHOTO_RECIPES, RecipeOffer, TrainingOffers, offer_recipes
from muslin.workflows.training_plan import TrainOptions

LARGE_PX = 300


def untimed(data: Path, **options: object) -> TrainingOffers:
    """The offers of a person who has left before any recipe is timed."""
    shown: list[TrainingOffers] = []
    callbacks = Callbacks(no_log, should_stop=lambda: True)
    with pytest.raises(StoppedError) as error:
        offer_recipes(str(data), TrainOptions(**options), callbacks, shown.append)  # type: ignore[arg-type]
    (found,) = shown
    assert error.value.code == "recipe_timing_stopped"
    assert error.value.params == {"done": 0, "count": len(found.offers)}
    return found


def names(offers: Sequence[RecipeOffer]) -> list[str]:
    return [offer.recipe for offer in offers]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_garment_folders(tmp_path_factory.mktemp("small"), 40)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    numbers = np.random.default_rng(0)
    for number in range(40):
        pixels = numbers.integers(0, 256, (LARGE_PX, LARGE_PX, 3), np.uint8)
        path = folder / ("shirt", "coat")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def test_each_recipe_is_timed_and_shown_as_soon_as_it_is(small: Path) -> None:
    shown: list[TrainingOffers] = []
    found = offer_recipes(str(small), TrainOptions(), Callbacks(no_log), shown.append)
    assert [sum(offer.expected_s is not None for offer in each.offers) for each in shown] == list(
        range(len(LADDER) + 2)
    )
    assert shown[-1] == found
    times = [offer.expected_s for offer in found.offers]
    assert all(time is not None and time > 0 for time in times)
    assert all(offer.problem is None for offer in found.offers)


def test_small_images_are_offered_the_ladder_and_then_tutorial(small: Path) -> None:
    found = untimed(small)
    assert (names(found.offers), found.chosen) == ([*LADDER, "tutorial"], "quick")
    assert sum(found.counts.values()) == 40
    for offer in found.offers[:-1]:
        assert offer.benchmark == RECIPES[offer.recipe].benchmark
        assert offer.settings["image_size"] == 28
        assert 0 < offer.settings["batch_size"] <= found.counts["train"]


def test_recipe_that_the_reason_names_is_offered_too(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / ("shirt", "coat")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    found = untimed(tmp_path)
    assert found.chosen == "quick"
    assert found.reason is not None
    assert found.reason.params["slower"] == "small-photo"
    assert set(names(found.offers)) == {*LADDER, "small-photo"}


def test_trial_has_many_steps_where_an_epoch_has_one() -> None:
    recipe = with_min_steps(RECIPES["quick"], 40)
    assert isinstance(recipe, SGDRecipe)
    assert total_steps(40, with_trial_steps(recipe, 40)) >= TRIAL_STEPS
    assert total_steps(60_000, with_trial_steps(recipe, 60_000)) == steps_per_epoch(60_000, recipe)


def test_large_photos_are_offered_recipes_for_photos(large: Path) -> None:
    found = untimed(large)
    assert set(names(found.offers)) <= {*PHOTO_RECIPES, found.chosen}
    assert found.chosen in names(found.offers)
    assert found.targets == {"label": ["coat", "shirt"]}
    assert all(offer.settings.get("batch_size", 1) <= found.counts["train"] for offer in found.offers)


def test_fine_tuning_is_timed_with_its_features_and_validation(large: Path) -> None:
    recipe = replace(RECIPES["photo-tuned"], network="efficientnet-lite0", weights="random", image_size=32, epochs=1)
    assert 0 < expected_train_s(read(large), recipe, 0) < math.inf


def test_excluded_images_are_left_out_of_the_counts(small: Path, tmp_path: Path) -> None:
    some = sorted(path.relative_to(small).as_posix() for path in small.rglob("*.png"))[:5]
    (tmp_path / "exclude.csv").write_text("\n".join(["id", *some]) + "\n")
    assert sum(untimed(small, exclude=tmp_path / "exclude.csv").counts.values()) == 35


def test_data_without_a_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        untimed(tmp_path)

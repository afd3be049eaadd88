"""What a person should know before a training: what is in the data, and what each recipe takes and promises."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from muslin.data import photos
from muslin.data.dataset import Dataset, Split
from muslin.data.photos import PhotoImages
from muslin.errors import MuslinError, StoppedError
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipe_choice import choose_recipe
from muslin.learn.recipes import LADDER, RECIPES, FineTuneRecipe, LinearProbeRecipe, Recipe, SGDRecipe, with_min_steps
from muslin.messages import Message
from muslin.workflows import time_budget
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.training_data import Callbacks, read_source
from muslin.workflows.training_plan import TrainOptions, edit_dataset

PHOTO_RECIPES = ("photo", "photo-tuned", "small-photo")
LEARNERS_RECIPE = "tutorial"
"""Less accurate and slower than the others, with few layers to look at: the network of the walk."""

TRIAL_PHOTOS = 256
"""Photos that are decoded to measure how long a recipe takes that decodes all of them."""

BENCHMARK_DATA = "fashion-mnist"
"""On which the accuracy of recipes was measured."""


@dataclass(frozen=True)
class RecipeOffer:
    """A recipe for a data set.

    Attributes:
        expected_s: seconds of its training on this machine, from a trial; None where none was possible.
        accuracy: its mean on Fashion-MNIST's test set, 0 to 1; None where it was not measured.
        problem: why it cannot train on these data.
        settings: what must be changed for images that are so few or so small.
    """

    recipe: str
    network: str
    epochs: int
    expected_s: float | None = None
    accuracy: float | None = None
    problem: Message | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingOffers:
    """The recipes for a data set, and which of them muslin chooses.

    Attributes:
        name: the data set's.
        targets: per target the classes.
        counts: per part the number of images.
        chosen: the recipe that `auto` takes, before a trial of its alternative.
        reason: why.
    """

    name: str
    targets: dict[str, list[str]]
    counts: dict[str, int]
    chosen: str
    reason: Message | None
    offers: tuple[RecipeOffer, ...]
    fixes: tuple[str, ...]


def offer_recipes(
    data: str, options: TrainOptions, callbacks: Callbacks, on_offers: Callable[[TrainingOffers], None]
) -> TrainingOffers:
    """Read the data, and measure how long each recipe that suits the images would take.

    Args:
        on_offers: called with what is known so far: first with all recipes, then each time that one is timed.

    Raises:
        MuslinError: the data cannot be used.
        StoppedError: `callbacks.should_stop` returned True before every recipe was timed.
    """
    source = {"data": data, "test": options.test and str(options.test), "read_options": dict(options.read_options)}
    dataset, _, _ = edit_dataset(read_source(source, callbacks.log), options, callbacks.log)
    first = RECIPES["quick"]
    split = split_for_recipe(dataset, first, options.seed)
    choice = choose_recipe(dataset, len(split.train), {})
    found = TrainingOffers(
        dataset.name,
        {target.name: list(target.classes) for target in dataset.targets},
        {part: len(getattr(split, part)) for part in ("train", "validation", "test")},
        choice.recipe.name,
        choice.reason,
        (),
        tuple(dataset.fixes),
    )
    recipes = _recipes(dataset, len(split.train), choice.recipe)
    found = replace(found, offers=tuple(offer for offer, _ in recipes))
    on_offers(found)
    for number, (offer, recipe) in enumerate(recipes):
        if callbacks.should_stop():
            raise StoppedError("recipe_timing_stopped", done=number, count=len(recipes))
        try:
            timed = replace(offer, expected_s=expected_s(dataset, recipe, options.seed))
        except MuslinError as error:
            timed = replace(offer, problem=error.message)
        found = replace(found, offers=(*found.offers[:number], timed, *found.offers[number + 1 :]))
        on_offers(found)
    return found


def _recipes(dataset: Dataset, n_train: int, chosen: Recipe) -> list[tuple[RecipeOffer, Recipe]]:
    """The recipes that suit the images, in the order of the table, not yet timed."""
    names = (
        PHOTO_RECIPES
        if isinstance(dataset.images, PhotoImages) and chosen.name != "quick"
        else (*LADDER, LEARNERS_RECIPE)
    )
    recipes: list[tuple[RecipeOffer, Recipe]] = []
    for name in sorted({chosen.name, *names}, key=_place):
        recipe = chosen if name == chosen.name else RECIPES[name]
        settings = _fitted_settings(recipe, chosen)
        if is_backbone(recipe.network) and not has_imagenet_weights(recipe.network):
            continue
        if isinstance(recipe, SGDRecipe) and n_train < recipe.batch_size:
            settings["batch_size"] = max(n_train // 4, 1)
        recipe = replace(recipe, **settings)
        accuracy = recipe.benchmark.accuracy if recipe.benchmark else None
        offer = RecipeOffer(name, recipe.network, recipe.epochs, accuracy=accuracy, settings=settings)
        recipes.append((offer, recipe))
    return recipes


def _place(name: str) -> tuple[bool, int]:
    """For sorting: as in the table of recipes, with the learners' recipe last, since its trial is the slowest."""
    return name == LEARNERS_RECIPE, list(RECIPES).index(name)


def _fitted_settings(recipe: Recipe, chosen: Recipe) -> dict[str, Any]:
    """What `chosen` changes for these images, as far as `recipe` should do the same."""
    if recipe.name == chosen.name:
        row = RECIPES[recipe.name].to_dict()
        return {name: value for name, value in chosen.to_dict().items() if row[name] != value}
    is_smaller = chosen.image_size < recipe.image_size
    no_backbone = not (is_backbone(recipe.network) or is_backbone(chosen.network))
    return {"image_size": chosen.image_size} if is_smaller and no_backbone else {}


def expected_s(dataset: Dataset, recipe: Recipe, seed: int) -> float:
    """Seconds of a training with this recipe, and of decoding the photos or extracting their features."""
    if isinstance(recipe, LinearProbeRecipe):
        return time_budget.estimate_extraction_s(dataset, recipe, seed)
    assert isinstance(recipe, SGDRecipe)
    split, reading_s = split_for_recipe(dataset, recipe, seed), 0.0
    recipe = with_min_steps(recipe, len(split.train))
    trial_data, trial = dataset, split
    if isinstance(dataset.images, PhotoImages):
        n = len(dataset)
        sample = dataset.take(np.unique(np.linspace(0, n - 1, min(n, TRIAL_PHOTOS)).astype(int)))
        started = time.perf_counter()
        trial_data = photos.decode_photos(sample, (recipe.image_size, recipe.image_size, 3), max_unreadable=1)
        reading_s = (time.perf_counter() - started) * n / len(sample)
        if isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks:
            reading_s = max(reading_s, time_budget.estimate_extraction_s(dataset, recipe, seed))
        all_of_them = np.arange(len(trial_data))
        trial = replace(split, train=all_of_them, validation=all_of_them[: recipe.batch_size], test=all_of_them[:0])
    return reading_s + _steps_s(trial_data, trial, recipe, split)


def _steps_s(dataset: Dataset, trial: Split, recipe: SGDRecipe, split: Split) -> float:
    """Seconds of the steps on the parts of `split`, from a few on those of `trial`, and of the validation."""
    from muslin.learn.torch_setup import choose_compute_settings

    compute = choose_compute_settings()
    smaller = replace(recipe, batch_size=min(recipe.batch_size, len(trial.train)))
    speed = time_budget.measure_speed(dataset, trial, smaller, compute, time_budget.SHORT_TRIAL_S, split)
    return time_budget.estimate_train_s(recipe, len(split.train), speed)

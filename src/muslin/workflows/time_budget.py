"""Which recipe fits a time budget, and how much of it, by the time that a training is expected to take."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from muslin.data.dataset import Dataset, Split
from muslin.errors import RecipeError
from muslin.learn.batches import steps_per_epoch, total_steps, with_min_steps
from muslin.learn.networks import NETWORKS, is_backbone
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipe_choice import RecipeChoice
from muslin.learn.recipes import LADDER, LinearProbeRecipe, SGDRecipe, image_scale
from muslin.learn.recipes import recipe as recipe_named
from muslin.messages import Message
from muslin.workflows.expected_time import (
    SHORT_TRIAL_S,
    TrainingSpeed,
    estimate_train_s,
    expected_train_s,
    measure_speed,
)

MIN_STEPS_RATIO = 0.5
"""A recipe is shortened to no less than this share of its steps while a quicker recipe would fit."""

MAX_EPOCHS_RATIO = 2
"""A recipe is extended to at most this many times its epochs: more was not tried."""

MIN_STEPS = 20
"""Fewer steps teach next to nothing."""


def parse_duration(text: str) -> float:
    """`30s`, `2min`, `1.5h` or `1h30min` in seconds; a number alone is seconds.

    Raises:
        RecipeError: none of these, or zero.
    """
    units = {"h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, "": 1.0}
    number = r"\d+(?:\.\d+)?"
    compact = text.replace(" ", "").lower()
    if re.fullmatch(rf"{number}|(?:{number}(?:h|min|m|s))+", compact):
        seconds = sum(float(n) * units[unit] for n, unit in re.findall(rf"({number})(h|min|m|s|)", compact))
        if seconds > 0:
            return seconds
    raise RecipeError("duration_format", value=text)


def check_time_budget(time_budget_s: float | None, settings: Mapping[str, Any]) -> None:
    """
    Raises:
        RecipeError: the budget is not positive, or `settings` fix the number of epochs or steps.
    """
    if time_budget_s is None:
        return
    if fixed := sorted({"epochs", "max_steps", "min_steps"} & settings.keys()):
        raise RecipeError("time_budget_and_steps", settings=fixed)
    if not time_budget_s > 0:
        raise RecipeError("time_budget_not_positive", value=time_budget_s)


def fit_epochs_to_budget(recipe: SGDRecipe, seconds: float, n: int, speed: TrainingSpeed) -> SGDRecipe:
    """`recipe` with as many steps as `seconds` allow, at most `MAX_EPOCHS_RATIO` times its epochs."""
    best = replace(recipe, min_steps=0)
    for epochs in range(1, MAX_EPOCHS_RATIO * recipe.epochs + 1):
        longer = replace(best, epochs=epochs, max_steps=0)
        excess_s = estimate_train_s(longer, n, speed) - seconds
        if excess_s <= 0:
            best = longer
            continue
        steps = steps_per_epoch(n, recipe)
        last_epoch = steps - math.ceil(excess_s / speed.step_s[image_scale(longer, epochs - 1)] - 1e-9)
        if last_epoch > 0:
            best = replace(longer, max_steps=(epochs - 1) * steps + last_epoch)
        elif epochs == 1:
            best = replace(longer, max_steps=1)
        break
    return best


def fit_time_budget(
    budget_s: float, dataset: Dataset, split: Split, recipes: Sequence[SGDRecipe], trainings: int = 1
) -> RecipeChoice:
    """The slowest of `recipes` (quickest first) of which at least `MIN_STEPS_RATIO` fits the budget.

    Args:
        trainings: that the budget is for, such as those of folds.

    Raises:
        RecipeError: the budget allows fewer than `MIN_STEPS` steps, or not even the quickest can train on the images.
    """
    from muslin.learn.torch_setup import choose_compute_settings

    compute, n, seconds = choose_compute_settings(), len(split.train), budget_s / trainings
    chosen = recipes[0]
    for slower in recipes[1:]:
        try:
            speed = measure_speed(dataset, split, slower, compute, SHORT_TRIAL_S)
        except RecipeError:  # the images are too small for its network, which a quicker one's may not be
            break
        if MIN_STEPS_RATIO * estimate_train_s(slower, n, speed) > seconds:
            break
        chosen = slower
    speed = measure_speed(dataset, split, chosen, compute)
    best = fit_epochs_to_budget(chosen, seconds, n, speed)
    steps, full_steps = total_steps(n, best), total_steps(n, chosen)
    expected_s = estimate_train_s(best, n, speed)
    least = min(MIN_STEPS, full_steps)
    if steps < least:
        epochs = math.ceil(least / steps_per_epoch(n, chosen))
        shortest = replace(chosen, epochs=epochs, max_steps=least)
        min_s = trainings * estimate_train_s(shortest, n, speed)
        raise RecipeError("time_budget_too_short", budget_s=budget_s, n=n, min_s=min_s)
    lengths = {"steps": steps, "full_steps": full_steps, "budget_s": budget_s, "expected_s": trainings * expected_s}
    if trainings > 1:
        lengths["trainings"] = trainings
    reason = Message("recipe_fits_budget", recipe=best.name, **lengths)
    return RecipeChoice(best, reason, trainings * expected_s)


def ladder_recipes(recipe: SGDRecipe, n: int, settings: Mapping[str, Any]) -> list[SGDRecipe]:
    """The recipes that can replace `recipe` within a time budget, quickest first: the ladder's if it is one of them."""
    if recipe.name not in LADDER:
        return [recipe]
    changes = {"image_size": recipe.image_size, **settings}
    recipes = [with_min_steps(recipe_named(name, **changes), n) for name in LADDER]
    return [each for each in recipes if isinstance(each, SGDRecipe)]


def fit_backbone_to_budget(
    seconds: float, dataset: Dataset, recipe: LinearProbeRecipe, seed: int, settings: Mapping[str, Any] = {}
) -> RecipeChoice:
    """A linear-probe `recipe` with the best backbone of which extraction and fits are expected to
    take at most `seconds`.

    Args:
        settings: those that the user changes: a network, its weights or an image size stays.

    Raises:
        RecipeError: even the smallest backbone that may be chosen takes longer.
    """
    expected_s = math.inf
    best = NETWORKS[recipe.network].native_image_size or 0
    backbones = [(name, spec.native_image_size or 0) for name, spec in NETWORKS.items() if is_backbone(name)]
    for network, side in reversed(backbones):
        is_fixed = network != recipe.network and {"network", "weights"} & settings.keys()
        if side > best or is_fixed or (network != recipe.network and not has_imagenet_weights(network)):
            continue
        tried = recipe if network == recipe.network else replace(recipe, network=network, image_size=side)
        if "image_size" in settings:
            tried = replace(tried, image_size=recipe.image_size)
        expected_s = expected_train_s(dataset, tried, seed)
        if expected_s <= seconds:
            times = {"budget_s": seconds, "expected_s": expected_s}
            names = {"recipe": tried.name, "network": network}
            reason = Message("backbone_fits_budget", **names, n=len(dataset), **times)
            return RecipeChoice(tried, reason, expected_s)
    raise RecipeError("time_budget_too_short_for_photos", budget_s=seconds, n=len(dataset), min_s=expected_s)

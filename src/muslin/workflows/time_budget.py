"""How long a training takes on this machine, measured before it starts; and which recipe fits a time budget."""

import contextlib
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from muslin.data.dataset import Dataset, Split
from muslin.data.photos import ResizedPhotos, resize_photos
from muslin.errors import RecipeError, StoppedError
from muslin.learn.batches import steps_per_epoch, total_steps
from muslin.learn.networks import NETWORKS, is_backbone
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipe_choice import RecipeChoice
from muslin.learn.recipes import LADDER, LinearProbeRecipe, PretrainedRecipe, SGDRecipe, image_scale, with_min_steps
from muslin.learn.recipes import recipe as recipe_named
from muslin.messages import Message

if TYPE_CHECKING:
    from muslin.learn.torch_setup import ComputeSettings

MIN_STEPS_RATIO = 0.5
"""A recipe is shortened to no less than this share of its steps while a quicker recipe would fit."""

MAX_EPOCHS_RATIO = 2
"""A recipe is extended to at most this many times its epochs: more was not tried."""

MIN_STEPS = 20
"""Fewer steps teach next to nothing."""

EXTRACTION_FRACTION = 0.85  # of the budget, for extracting features; the rest is for the head
TRIAL_PHOTOS = 32
TRIAL_S = 2.5  # of timed steps per image size: a machine's speed changes from second to second
SHORT_TRIAL_S = 0.5  # the same, to choose between recipes
TRIAL_STEPS = 100
WARMUP_STEPS = 2


@dataclass(frozen=True)
class TrainingSpeed:
    """Seconds on this machine: of a step at each image scale, and of validating after an epoch."""

    step_s: Mapping[float, float]
    validation_s: float


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


def measure_speed(
    dataset: Dataset, split: Split, recipe: SGDRecipe, compute: "ComputeSettings", trial_s: float = TRIAL_S,
    whole: Split | None = None,
) -> TrainingSpeed:  # fmt: skip
    """Train a throw-away network for `trial_s` seconds at each image scale that the recipe uses.

    The mean counts, not the minimum: whatever else the machine does now, it will also do later.

    Args:
        whole: the parts of all data, where `dataset` is a sample of them.
    """
    from muslin.learn.losses import evaluate_network
    from muslin.learn.modules import Net
    from muslin.learn.train import network_for, training_arrays, validation_subset

    train = training_arrays(dataset, split.train[: recipe.batch_size * TRIAL_STEPS])
    validation = validation_subset(split)
    sample = validation[: 4 * recipe.batch_size]
    net = Net(network_for(dataset, split, recipe), 0)
    empty = training_arrays(dataset, sample[:0])
    step_s = {
        scale: _step_seconds(net, train, empty, replace(recipe, low_res_fraction=fraction), compute, trial_s)
        for scale, fraction in ((1.0, 0.0), (recipe.low_res_scale, 1.0))
        if fraction == recipe.low_res_fraction or 0 < recipe.low_res_fraction < 1
    }
    started = time.perf_counter()
    evaluate_network(net, *training_arrays(dataset, sample))
    validation_s = (time.perf_counter() - started) * len(validation_subset(whole or split)) / max(len(sample), 1)
    return TrainingSpeed(step_s, validation_s)


def _step_seconds(
    net: Any, train: Any, validation: Any, recipe: SGDRecipe, compute: "ComputeSettings", trial_s: float
) -> float:
    from muslin.learn.training_loop import TrainingControl, fit

    moments: list[float] = []

    def should_stop() -> bool:
        moments.append(time.perf_counter())
        return len(moments) > 2 * WARMUP_STEPS and moments[-1] - moments[0] > trial_s

    one_epoch = replace(recipe, epochs=1, max_steps=0)
    started = time.perf_counter()
    with contextlib.suppress(StoppedError):
        control = TrainingControl(should_stop=should_stop)
        fit(net, train, validation, one_epoch, seed=0, compute=compute, control=control)
    timed = moments[min(WARMUP_STEPS, len(moments) - 1) :]
    return (timed[-1] - timed[0]) / (len(timed) - 1) if len(timed) > 1 else timed[0] - started


def estimate_train_s(recipe: SGDRecipe, n: int, speed: TrainingSpeed) -> float:
    """Seconds of a whole training on `n` images."""
    steps, left, seconds = steps_per_epoch(n, recipe), total_steps(n, recipe), 0.0
    for epoch in range(recipe.epochs):
        in_epoch = min(steps, left)
        left -= in_epoch
        seconds += in_epoch * speed.step_s[image_scale(recipe, epoch)]
        seconds += speed.validation_s if in_epoch else 0
    return seconds


def measure_train_s(dataset: Dataset, split: Split, recipe: SGDRecipe) -> float:
    """Seconds of a whole training on the training set, estimated from a short trial."""
    from muslin.learn.torch_setup import choose_compute_settings

    speed = measure_speed(dataset, split, recipe, choose_compute_settings(), SHORT_TRIAL_S)
    return estimate_train_s(recipe, len(split.train), speed)


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
        RecipeError: the budget allows fewer than `MIN_STEPS` steps.
    """
    from muslin.learn.torch_setup import choose_compute_settings

    compute, n, seconds = choose_compute_settings(), len(split.train), budget_s / trainings
    chosen = recipes[0]
    for slower in recipes[1:]:
        speed = measure_speed(dataset, split, slower, compute, SHORT_TRIAL_S)
        if MIN_STEPS_RATIO * estimate_train_s(slower, n, speed) > seconds:
            break
        chosen = slower
    speed = measure_speed(dataset, split, chosen, compute)
    best = fit_epochs_to_budget(chosen, seconds, n, speed)
    steps, full_steps = total_steps(n, best), total_steps(n, chosen)
    expected_s = estimate_train_s(best, n, speed)
    if steps < min(MIN_STEPS, full_steps):
        epochs = math.ceil(MIN_STEPS / steps_per_epoch(n, chosen))
        shortest = replace(chosen, epochs=epochs, max_steps=MIN_STEPS)
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
    """A linear-probe `recipe` with the best backbone that extracts the features of all photos in `seconds`.

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
        expected_s = estimate_extraction_s(dataset, tried, seed)
        if expected_s <= EXTRACTION_FRACTION * seconds:
            times = {"budget_s": seconds, "expected_s": expected_s}
            names = {"recipe": tried.name, "network": network}
            reason = Message("backbone_fits_budget", **names, n=len(dataset), **times)
            return RecipeChoice(tried, reason, expected_s)
    min_s = expected_s / EXTRACTION_FRACTION
    raise RecipeError("time_budget_too_short_for_photos", budget_s=seconds, n=len(dataset), min_s=min_s)


def estimate_extraction_s(dataset: Dataset, recipe: PretrainedRecipe, seed: int) -> float:
    """Seconds to extract the features of the photos of `dataset` that are not in the cache, from a few of them."""
    from muslin import machine
    from muslin.learn.features import uncached_photos
    from muslin.learn.train import backbone_with_weights, evenly_spaced, extract_features

    resized = resize_photos(dataset, (recipe.image_size, recipe.image_size, 3))
    assert isinstance(resized.images, ResizedPhotos)
    uncached = uncached_photos(resized.images, *backbone_with_weights(resized.images, recipe, seed))
    if not len(uncached):
        return 0.0
    sample = uncached[evenly_spaced(len(uncached), TRIAL_PHOTOS)]
    started = time.perf_counter()
    extract_features(resized.take(sample), recipe, seed=seed, threads=machine.physical_cores())
    return (time.perf_counter() - started) * len(uncached) / len(sample)

"""How long a training will take on this machine, measured before it begins; and what fits into a given time."""

import contextlib
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from muslin.data.dataset import Dataset, Split
from muslin.data.photos import resize_photos
from muslin.errors import RecipeError
from muslin.learn.batches import steps_in_all, steps_per_epoch
from muslin.learn.networks import BACKBONES
from muslin.learn.pretrained import is_there
from muslin.learn.recipe_choice import AUTO
from muslin.learn.recipes import LADDER, Recipe, fitted, scale_in
from muslin.learn.recipes import recipe as recipe_named
from muslin.text import duration

if TYPE_CHECKING:
    from muslin.learn.torch_setup import ComputeSettings

SHORTEST = 0.5
"""A recipe is shortened to no less than this share of its steps where a quicker recipe would do."""

LONGEST = 2
"""How many times its epochs a recipe is drawn out to at most: more was not tried."""

FEWEST_STEPS = 20
"""Fewer steps than these teach next to nothing."""

_SEEING = 0.85  # share of the time in which photos are to be seen; the rest is for the head
_TRIAL_PHOTOS = 32
_TRIAL_S = 2.5  # of steps timed per size of images: a machine's speed changes from second to second
_GLANCE_S = 0.5  # the same, to choose among recipes
_TRIAL_STEPS = 100
_WARM_STEPS = 2


@dataclass(frozen=True)
class Pace:
    """What a recipe's work takes on this machine, in seconds: a step on images of each scale, and telling how far
    it is after an epoch."""

    step_s: Mapping[float, float]
    judging_s: float


@dataclass(frozen=True)
class Plan:
    """A recipe, the seconds of training it is expected to take here, and a sentence that says so."""

    recipe: Recipe
    expected_s: float
    why: str


def seconds_of(text: str) -> float:
    """`30s`, `2min`, `1.5h` or `1h30min` in seconds; a number alone is seconds.

    Raises:
        RecipeError: it is none of these, or no time at all.
    """
    units = {"h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, "": 1.0}
    number = r"\d+(?:\.\d+)?"
    written = text.replace(" ", "").lower()
    if re.fullmatch(rf"{number}|(?:{number}(?:h|min|m|s))+", written):
        found = sum(float(n) * units[unit] for n, unit in re.findall(rf"({number})(h|min|m|s|)", written))
        if found > 0:
            return found
    raise RecipeError(f"{text!r} is no time to train in. Write it as 30s, 2min or 1h30min.")


def measured_pace(
    dataset: Dataset, parts: Split, recipe: Recipe, engine: "ComputeSettings", trial_s: float = _TRIAL_S
) -> Pace:
    """So many seconds of steps of a network that is thrown away, for each scale that the recipe sees images at.

    The mean and not the least counts, for whatever else the machine does it will also do later.
    """
    from muslin.learn.losses import judge
    from muslin.learn.modules import Net
    from muslin.learn.train import network_for, training_arrays, validation_subset

    some = training_arrays(dataset, parts.train[: recipe.batch_size * _TRIAL_STEPS])
    checked = validation_subset(parts)
    few = checked[: 4 * recipe.batch_size]
    net = Net(network_for(dataset, parts, recipe), 0)
    judged, nothing = training_arrays(dataset, few), training_arrays(dataset, few[:0])
    step_s = {
        scale: _step_seconds(net, some, nothing, replace(recipe, low_res_fraction=share), engine, trial_s)
        for scale, share in ((1.0, 0.0), (recipe.low_res_scale, 1.0))
        if share == recipe.low_res_fraction or 0 < recipe.low_res_fraction < 1
    }
    started = time.perf_counter()
    judge(net, *judged)
    judging_s = (time.perf_counter() - started) * len(checked) / max(len(few), 1)
    return Pace(step_s, judging_s)


def _step_seconds(
    net: Any, train: Any, nothing: Any, recipe: Recipe, engine: "ComputeSettings", trial_s: float
) -> float:
    from muslin.learn.training_loop import Progress, Stopped, fit

    moments: list[float] = []

    def on_progress(progress: Progress) -> None:
        moments.append(time.perf_counter())

    def should_stop() -> bool:
        return len(moments) > 2 * _WARM_STEPS and moments[-1] - moments[0] > trial_s

    once = replace(recipe, epochs=1, max_steps=0)
    began = time.perf_counter()
    with contextlib.suppress(Stopped):
        fit(
            net, train, nothing, once, seed=0, engine=engine, on_progress=on_progress, should_stop=should_stop
        )
    kept = moments[min(_WARM_STEPS, len(moments) - 1) :]
    return (kept[-1] - kept[0]) / (len(kept) - 1) if len(kept) > 1 else kept[0] - began


def expected_seconds(recipe: Recipe, count: int, pace: Pace) -> float:
    """Of a whole training on `count` images."""
    steps, left, seconds = steps_per_epoch(count, recipe), steps_in_all(count, recipe), 0.0
    for epoch in range(recipe.epochs):
        here = min(steps, left)
        left -= here
        seconds += here * pace.step_s[scale_in(recipe, epoch)] + (pace.judging_s if here else 0)
    return seconds


def fitted_into(recipe: Recipe, seconds: float, count: int, pace: Pace) -> Recipe:
    """`recipe` with as many steps as `seconds` allow, at most `LONGEST` times its own; its schedule fits them."""
    fitting = replace(recipe, min_steps=0)
    for epochs in range(1, LONGEST * recipe.epochs + 1):
        longer = replace(fitting, epochs=epochs, max_steps=0)
        over = expected_seconds(longer, count, pace) - seconds
        if over <= 0:
            fitting = longer
            continue
        whole = steps_per_epoch(count, recipe)
        in_last = whole - math.ceil(over / pace.step_s[scale_in(longer, epochs - 1)] - 1e-9)
        if in_last > 0:
            fitting = replace(longer, max_steps=(epochs - 1) * whole + in_last)
        elif epochs == 1:
            fitting = replace(longer, max_steps=1)
        break
    return fitting


def within(
    seconds: float, dataset: Dataset, parts: Split, recipes: Sequence[Recipe], engine: "ComputeSettings"
) -> Plan:
    """The best of `recipes`, the quickest first, that needs no more than to be halved to take `seconds` of training.

    Raises:
        RecipeError: in that time nothing can be learned.
    """
    count = len(parts.train)
    chosen = recipes[0]
    for slower in recipes[1:]:
        at_a_glance = measured_pace(dataset, parts, slower, engine, _GLANCE_S)
        if SHORTEST * expected_seconds(slower, count, at_a_glance) > seconds:
            break
        chosen = slower
    pace = measured_pace(dataset, parts, chosen, engine)
    planned = fitted_into(chosen, seconds, count, pace)
    steps, usual = steps_in_all(count, planned), steps_in_all(count, chosen)
    expected_s = expected_seconds(planned, count, pace)
    if steps < min(FEWEST_STEPS, usual):
        epochs = math.ceil(FEWEST_STEPS / steps_per_epoch(count, chosen))
        fewest = replace(chosen, epochs=epochs, max_steps=FEWEST_STEPS)
        least = expected_seconds(fewest, count, pace)
        raise RecipeError(
            f"in {duration(seconds)} nothing can be learned from these {count:,} images on this machine. "
            f"Allow at least {duration(least)}."
        )
    why = f"recipe {planned.name}: {steps:,} steps instead of {usual:,} for {duration(seconds)}"
    return Plan(planned, expected_s, f"{why}; expected: {duration(expected_s)} of training on this machine")


def check_asked(
    recipe: str, time_budget_s: float | None, reach: float | None, settings: Mapping[str, Any]
) -> None:
    """
    Raises:
        RecipeError: what was asked of `recipe`, by its name, contradicts itself or cannot be had.
    """
    if time_budget_s is not None and reach is not None:
        raise RecipeError("--within and --reach: each chooses how long to train. Give one of them.")
    if time_budget_s is not None and (named := {"epochs", "max_steps"} & settings.keys()):
        raise RecipeError(f"--within chooses {' and '.join(sorted(named))}. Give one or the other.")
    if time_budget_s is not None and not time_budget_s > 0:
        raise RecipeError(f"{time_budget_s:g} s is no time to train in. Give more than 0.")
    if reach is None:
        return
    rung(reach)
    if recipe != AUTO and recipe not in LADDER:
        raise RecipeError(
            f"the recipe is {recipe}, and what that reaches on images like yours nobody knows. "
            "Leave --reach out, or say how long training may take: --within 10min"
        )


def planned(
    dataset: Dataset,
    parts: Split,
    chosen: Recipe,
    *,
    automatic: bool,
    time_budget_s: float | None,
    reach: float | None,
    settings: Mapping[str, Any],
) -> Plan:
    """What becomes of the recipe `chosen` for `dataset` where a time or an accuracy was asked for.

    Args:
        automatic: whether another recipe of the ladder may take its place.
        within_s: seconds of training; or None, and then `reach` is what `rung` takes.
        settings: what the user wants changed in any recipe.

    Raises:
        RecipeError: the time is too short.
    """
    from muslin.learn.torch_setup import choose_compute_settings

    def named(name: str) -> Recipe:
        changes = {"image_size": chosen.image_size, **settings}
        return fitted(recipe_named(name, **changes), len(parts.train))

    engine = choose_compute_settings()
    if time_budget_s is not None:
        ladder = automatic and chosen.name in LADDER
        recipes = [named(name) for name in LADDER] if ladder else [chosen]
        return within(time_budget_s, dataset, parts, recipes, engine)
    assert reach is not None
    elsewhere = dataset.name != "fashion-mnist"
    return reaching(dataset, parts, named(rung(reach)), engine, elsewhere=elsewhere)


def rung(accuracy: float) -> str:
    """The quickest recipe that got at least `accuracy` of Fashion-MNIST's test images right.

    Raises:
        RecipeError: none did, or it is no share.
    """
    if not 0 < accuracy <= 1:
        raise RecipeError(f"--reach {accuracy:g}: give a share of right answers, as 0.94 for 94 %.")
    for name, reached in LADDER.items():
        if reached >= accuracy:
            return name
    best = max(LADDER, key=lambda name: LADDER[name])
    raise RecipeError(
        f"no recipe here reaches {accuracy:g}. The most is {LADDER[best]:g}, on Fashion-MNIST: --reach {LADDER[best]:g}"
    )


def reaching(
    dataset: Dataset, parts: Split, recipe: Recipe, engine: "ComputeSettings", *, elsewhere: bool
) -> Plan:
    """`recipe`, which `rung` named, and what it is expected to take.

    Args:
        elsewhere: whether these are other images than Fashion-MNIST's, of which nothing can be promised.
    """
    expected_s = expected_seconds(recipe, len(parts.train), measured_pace(dataset, parts, recipe, engine))
    why = (
        f"recipe {recipe.name}: got {100 * LADDER[recipe.name]:g} % of Fashion-MNIST's test images right"
        f"{' (how many of these nobody knows)' if elsewhere else ''}"
    )
    return Plan(recipe, expected_s, f"{why}; expected: {duration(expected_s)} of training on this machine")


def backbone_within(seconds: float, dataset: Dataset, recipe: Recipe, seed: int) -> tuple[Recipe, float, str]:
    """`recipe`, which fits a head on a frozen network, with the best network that sees all photos in `seconds`.

    Returns:
        The recipe, the seconds expected for seeing the photos and for the head, and a sentence.

    Raises:
        RecipeError: even the smallest takes longer.
    """
    from muslin import machine
    from muslin.learn.train import extract_features, spread

    some = dataset.take(spread(len(dataset), _TRIAL_PHOTOS))
    expected_s = math.inf
    for network, side in reversed(BACKBONES.items()):
        is_better = side > BACKBONES[recipe.network]
        if is_better or (network != recipe.network and not is_there(network)):
            continue
        tried = recipe if network == recipe.network else replace(recipe, network=network, image_size=side)
        size = (tried.image_size, tried.image_size, 3)
        started = time.perf_counter()
        extract_features(resize_photos(some, size), tried, seed=seed, threads=machine.physical_cores())
        expected_s = (time.perf_counter() - started) * len(dataset) / len(some)
        if expected_s <= _SEEING * seconds:
            said = f"recipe {tried.name}, {network}: {len(dataset):,} photos in {duration(seconds)}"
            return tried, expected_s, f"{said}; expected: {duration(expected_s)} on this machine"
    raise RecipeError(
        f"{len(dataset):,} photos cannot be seen in {duration(seconds)} on this machine. "
        f"Allow at least {duration(expected_s / _SEEING)}, or take --recipe small-photo."
    )

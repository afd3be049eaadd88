"""What a person should know before a training: what is in the data, and what each recipe takes and promises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from muslin.data.dataset import Dataset
from muslin.data.photos import PhotoImages
from muslin.errors import MuslinError, StoppedError
from muslin.extras import require_extra
from muslin.learn.batches import batch_size_for_few, with_min_steps
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipe_choice import FROM_SCRATCH, RecipeChoice, choose_recipe
from muslin.learn.recipes import LADDER, RECIPES, Benchmark, Recipe, SGDRecipe
from muslin.messages import Message
from muslin.workflows.assumed_data import assumed_data
from muslin.workflows.expected_time import expected_train_s
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.training_data import Callbacks, read_source
from muslin.workflows.training_plan import TrainOptions, edit_dataset

PHOTO_RECIPES = ("photo", "photo-tuned", "small-photo")
LEARNERS_RECIPE = "tutorial"
"""Less accurate and slower than the others, with few layers to look at: the network of the walk."""


@dataclass(frozen=True)
class RecipeOffer:
    """A recipe for a data set.

    Attributes:
        epochs: of its training on these data.
        expected_s: seconds of its training on this machine, from a trial; None where none was possible.
        benchmark: what it reached on a public data set; None where that was not measured.
        problem: why it cannot train on these data.
        settings: what must be changed for images that are so few or so small.
    """

    recipe: str
    network: str
    epochs: int
    expected_s: float | None = None
    benchmark: Benchmark | None = None
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
        is_assumed: whether nobody named the data: a few images stand for as many as `name` has.
    """

    name: str
    targets: dict[str, list[str]]
    counts: dict[str, int]
    chosen: str
    reason: Message | None
    offers: tuple[RecipeOffer, ...]
    fixes: tuple[str, ...]
    is_assumed: bool = False


OnOffers = Callable[[TrainingOffers], None]
"""Called with what is known so far: first with all recipes, then each time that one is timed."""


def offer_recipes(
    data: str, options: TrainOptions, callbacks: Callbacks, on_offers: OnOffers = lambda offers: None
) -> TrainingOffers:
    """Read the data, and measure how long each recipe that suits the images would take.

    Raises:
        MuslinError: the data cannot be used.
        StoppedError: `callbacks.should_stop` returned True before every recipe was timed.
    """
    source = {"data": data, "test": options.test and str(options.test), "read_options": dict(options.read_options)}
    dataset, _, _ = edit_dataset(read_source(source, callbacks.log), options, callbacks.log)
    return _time_recipes(dataset, len(dataset), options.seed, callbacks, on_offers)


def offer_for_assumed_data(callbacks: Callbacks) -> list[TrainingOffers]:
    """How long each recipe would take on images as in Fashion-MNIST, or on photos as in clothing-small.

    Raises:
        StoppedError: `callbacks.should_stop` returned True before every recipe was timed.
    """
    with assumed_data() as assumed:
        found = [_time_recipes(each.dataset, sum(each.counts.values()), 0, callbacks) for each in assumed]
    return [
        replace(offers, name=each.like, counts=dict(each.counts), is_assumed=True)
        for offers, each in zip(found, assumed, strict=True)
    ]


def _time_recipes(
    dataset: Dataset, count: int, seed: int, callbacks: Callbacks, on_offers: OnOffers = lambda offers: None
) -> TrainingOffers:
    """The offers for `count` images, for which `dataset` stands."""
    require_extra("train")
    split = split_for_recipe(dataset, RECIPES["quick"], seed)
    choice = choose_recipe(dataset, len(split.train), {})
    growth = count / len(dataset)
    recipes = _recipes(dataset, round(growth * len(split.train)), choice)
    found = TrainingOffers(
        dataset.name,
        {target.name: list(target.classes) for target in dataset.targets},
        {part: round(growth * len(getattr(split, part))) for part in ("train", "validation", "test")},
        choice.recipe.name,
        choice.reason,
        tuple(offer for offer, _ in recipes),
        tuple(dataset.fixes),
    )
    callbacks.log(Message("recipes_timing", n=len(recipes)))
    on_offers(found)
    for number, (offer, recipe) in enumerate(recipes):
        if callbacks.should_stop():
            raise StoppedError("recipe_timing_stopped", done=number, count=len(recipes))
        try:
            timed = replace(offer, expected_s=expected_train_s(dataset, recipe, seed, count))
        except MuslinError as error:
            timed = replace(offer, problem=error.message)
        found = replace(found, offers=(*found.offers[:number], timed, *found.offers[number + 1 :]))
        on_offers(found)
    return found


def _recipes(dataset: Dataset, n_train: int, choice: RecipeChoice) -> list[tuple[RecipeOffer, Recipe]]:
    """The recipes that suit the images and those that the reason of the choice names, in the order of the table, not
    yet timed."""
    chosen = choice.recipe
    names = {chosen.name, *(LADDER if chosen.name == "quick" else ())}
    if not isinstance(dataset.images, PhotoImages):
        names |= {*LADDER, LEARNERS_RECIPE}
    elif chosen.name != "quick":
        names |= {*PHOTO_RECIPES, *(["quick"] if chosen.name == FROM_SCRATCH else [])}
    if choice.reason:
        names |= {str(choice.reason.params.get("slower"))} & RECIPES.keys()
    recipes: list[tuple[RecipeOffer, Recipe]] = []
    for name in sorted(names, key=_place):
        recipe = chosen if name == chosen.name else RECIPES[name]
        settings = _fitted_settings(recipe, chosen)
        if is_backbone(recipe.network) and not has_imagenet_weights(recipe.network):
            continue
        fitted = with_min_steps(recipe, n_train)
        if isinstance(fitted, SGDRecipe) and n_train < fitted.batch_size:
            settings["batch_size"] = batch_size_for_few(n_train)
        recipe = replace(recipe, **settings)
        epochs = with_min_steps(recipe, n_train).epochs
        offer = RecipeOffer(name, recipe.network, epochs, benchmark=RECIPES[name].benchmark, settings=settings)
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

"""Options and data → a training that nothing speaks against: the recipe that fits them, the split, the features."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muslin.data import photos
from muslin.data.audit import exclusions
from muslin.data.audit.corrections import (
    Correction,
    correct_labels,
    corrections_of,
    known_corrections,
    read_corrections,
)
from muslin.data.dataset import Dataset
from muslin.data.photos import MAX_UNREADABLE, PhotoImages
from muslin.data.reader import check_read
from muslin.errors import TrainingError
from muslin.extras import install_command, require_extra
from muslin.learn import recipes
from muslin.learn.batches import with_min_steps
from muslin.learn.pretrained import has_imagenet_weights
from muslin.learn.recipe_choice import AUTO, FROM_SCRATCH, RecipeChoice, base_recipe, choose_recipe
from muslin.learn.recipes import LinearProbeRecipe, PretrainedRecipe, Recipe, SGDRecipe
from muslin.messages import Log, Message, examples
from muslin.storage.local_path import check_local
from muslin.workflows import time_budget
from muslin.workflows.calibration_choice import choose_folds
from muslin.workflows.network_folds import draw_folds
from muslin.workflows.recipe_trial import choose_by_trial
from muslin.workflows.run_folder import split_for_recipe
from muslin.workflows.run_schema import MAX_THREADS
from muslin.workflows.start_model import start_settings
from muslin.workflows.training_data import Callbacks, TrainingData, prepare_data, read_source
from muslin.workflows.unused_settings import check_settings_used


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training.

    Attributes:
        recipe: a row of `muslin.learn.recipes.RECIPES`; `auto` chooses the one that suits the images.
        seed: 0 to 4,294,967,295. Same seed, data, machine and threads: the same weights, bit for bit.
        settings: settings of the recipe to change, by name: `{"epochs": 5}`.
        test: a file with the test set, if the data have only the training set.
        time_budget_s: maximum seconds of training on this machine: the most accurate recipe that fits is used.
        read_options: how to read the files, as `muslin.read` takes it: `{"format": "pixels"}`.
        exclude: a CSV that names samples to exclude, by part and id, such as an audit's `exclude.csv`. The run keeps a
            copy.
        corrections: a CSV that corrects labels, such as an audit's `corrections.csv`. The run keeps a copy.
        leaves_out_unknown: whether rows of these two on images or labels that the data no longer have are left out and
            logged, and not refused.
        max_unreadable: maximum share of unreadable photos; they are left out and listed.
        snapshots: whether the run keeps the network after each epoch. The weights are the same with and without.
        threads: 1 to 1,024; by default one a core.
    """

    recipe: str = AUTO
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    test: str | Path | None = None
    time_budget_s: float | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)
    exclude: str | Path | None = None
    corrections: str | Path | None = None
    leaves_out_unknown: bool = False
    max_unreadable: float = MAX_UNREADABLE
    snapshots: bool = False
    threads: int | None = None


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """A training that nothing speaks against.

    Attributes:
        choice: the recipe, fitted to the data and the time budget; `reason_logged` if its reason has been logged.
        calibration_reason: why folds calibrate the model or do not, if muslin chose.
        source: where the data are, for `run.json`; None for data in memory.
        excluded: part and id of the excluded samples.
        corrections: the corrected labels.
    """

    options: TrainOptions
    data: TrainingData
    choice: RecipeChoice
    calibration_reason: Message | None
    reason_logged: bool
    source: Mapping[str, Any] | None
    excluded: list[tuple[str, str]] | None
    corrections: list[Correction] | None


@dataclass(frozen=True, eq=False)
class SourceData:
    """Data as a training reads and edits them, before any photo is decoded.

    Attributes:
        source, excluded, corrections: as in TrainingPlan.
    """

    dataset: Dataset
    source: Mapping[str, Any] | None
    excluded: list[tuple[str, str]] | None = None
    corrections: list[Correction] | None = None


def plan_training(data: str | Path | Dataset, options: TrainOptions, callbacks: Callbacks) -> TrainingPlan:
    """Read the data, choose the recipe and fit it to them. Faults in options are refused before files are read.

    Raises:
        MuslinError: the data or the recipe cannot be used.
    """
    options, requested = _checked(options, callbacks.log)
    return _plan(read_source_data(data, options, callbacks.log), requested, options, callbacks)


def plan_for(data: SourceData, options: TrainOptions, callbacks: Callbacks) -> TrainingPlan:
    """As `plan_training`, for data that were read and edited as `options` say."""
    options, requested = _checked(options, callbacks.log)
    return _plan(data, requested, options, callbacks)


def read_source_data(data: str | Path | Dataset, options: TrainOptions, log: Log) -> SourceData:
    """
    Raises:
        MuslinError: the data or the files that edit them cannot be used, or no photo can be read.
    """
    require_extra("train")
    dataset, source = _read(data, options, log)
    dataset, excluded, corrections = edit_dataset(dataset, options, log)
    photos.check_any_readable(dataset, log)
    return SourceData(dataset, source, excluded, corrections)


def _checked(options: TrainOptions, log: Log) -> tuple[TrainOptions, Recipe]:
    """`options` with all settings, and the requested recipe."""
    check_options(options)
    options = _with_weights(options)
    return options, _requested_recipe(options, log)


def _plan(data: SourceData, requested: Recipe, options: TrainOptions, callbacks: Callbacks) -> TrainingPlan:
    dataset = data.dataset
    check_settings_used(dataset, options.settings, options.max_unreadable)
    choice = _choose_before_decoding(dataset, requested, options, callbacks)
    logged = choice.reason if isinstance(dataset.images, PhotoImages) else None
    if logged:
        callbacks.log(logged)  # before photos are decoded, which takes a while
    prepared = prepare_data(dataset, choice.recipe, options.seed, options.max_unreadable, callbacks)
    choice, calibration_reason = _fit_to_data(choice, prepared, options)
    already = choice.reason is not None and choice.reason is logged
    edits = (data.source, data.excluded, data.corrections)
    return TrainingPlan(options, prepared, choice, calibration_reason, already, *edits)


def check_options(options: TrainOptions) -> None:
    """
    Raises:
        TrainingError, RecipeError: a number is out of range.
    """
    if not 0 <= options.seed <= recipes.MAX_SEED:
        raise TrainingError("seed_out_of_range", seed=options.seed, high=recipes.MAX_SEED)
    if options.threads is not None and not 1 <= options.threads <= MAX_THREADS:
        raise TrainingError("threads_out_of_range", threads=options.threads, high=MAX_THREADS)
    if not 0 <= options.max_unreadable <= 1:
        raise TrainingError("max_unreadable_out_of_range", value=options.max_unreadable)
    time_budget.check_time_budget(options.time_budget_s, options.settings)


def _with_weights(options: TrainOptions) -> TrainOptions:
    """`options` whose file of weights is found from any working folder; DataError where it is a URL.

    The network and the image size are those of a muslin model from which the training starts, where they are not set.
    """
    weights = options.settings.get("weights")
    if not weights or weights in (recipes.IMAGENET, recipes.RANDOM):
        return options
    check_local(weights)
    weights = str(Path(weights).absolute())
    takes_backbone = options.recipe == AUTO or isinstance(recipes.RECIPES.get(options.recipe), PretrainedRecipe)
    of_start = start_settings(weights) if takes_backbone else {}
    return replace(options, settings={**of_start, **options.settings, "weights": weights})


def _read(data: str | Path | Dataset, options: TrainOptions, log: Log) -> tuple[Dataset, Mapping[str, Any] | None]:
    """The data set, and where it is for `run.json`; None for data in memory."""
    if isinstance(data, Dataset):
        check_read(data, {"test": options.test, **options.read_options})
        return data, None
    test = str(options.test) if options.test else None
    source = {"data": str(data), "test": test, "read_options": dict(options.read_options)}
    return read_source(source, log), source


def edit_dataset(
    dataset: Dataset, options: TrainOptions, log: Log
) -> tuple[Dataset, list[tuple[str, str]] | None, list[Correction] | None]:
    """`dataset` with the labels corrected and without the samples to exclude, and what the two files say."""
    excluded, corrections = _read_edits(dataset, options, log)
    if corrections is not None:
        dataset = correct_labels(dataset, corrections, str(options.corrections))
        log(dataset.fixes[-1])
    if excluded is not None:
        dataset = exclusions.exclude_samples(dataset, excluded, str(options.exclude))
        log(dataset.fixes[-1])
    return dataset, excluded, corrections


def _read_edits(
    dataset: Dataset, options: TrainOptions, log: Log
) -> tuple[list[tuple[str, str]] | None, list[Correction] | None]:
    """The samples to exclude and the corrections; None where there is no file, or nothing of it is left."""
    excluded, corrections = None, None
    if options.corrections is not None:
        corrections = read_corrections(Path(options.corrections))
        if options.read_options.get("target"):
            corrections = corrections_of(dataset, corrections, log) or None
    if options.exclude is not None:
        excluded = exclusions.read_exclusions(Path(options.exclude))
    if not options.leaves_out_unknown:
        return excluded, corrections
    known = set(known_corrections(dataset, corrections or ()))
    there = exclusions.known_samples(dataset, excluded or ())
    left_out = [each.id for each in corrections or () if each not in known]
    left_out += [id_ for part, id_ in excluded or () if (part, id_) not in there]
    if left_out:
        log(Message("edits_left_out", **examples(left_out)))
    excluded = [each for each in excluded or () if each in there]
    corrections = [each for each in corrections or () if each in known]
    return excluded or None, corrections or None


def _choose_before_decoding(
    dataset: Dataset, requested: Recipe, options: TrainOptions, callbacks: Callbacks
) -> RecipeChoice:
    """The requested recipe, or the one that suits the images; a linear probe with a backbone that fits the budget."""
    choice, budget_s, seed = RecipeChoice(requested), options.time_budget_s, options.seed
    if options.recipe == AUTO:
        n_train = len(split_for_recipe(dataset, requested, seed).train)
        choice = choose_recipe(dataset, n_train, options.settings)
        if choice.alternative:
            choice = choose_by_trial(dataset, choice, seed, budget_s, callbacks)
    if budget_s is not None and isinstance(choice.recipe, LinearProbeRecipe):
        if choice.reason and choice.reason.code == "recipe_by_trial":
            callbacks.log(choice.reason)  # the next one replaces it
        return time_budget.fit_backbone_to_budget(budget_s, dataset, choice.recipe, seed, options.settings)
    return choice


def _fit_to_data(
    choice: RecipeChoice, data: TrainingData, options: TrainOptions
) -> tuple[RecipeChoice, Message | None]:
    """The chosen recipe with enough epochs for few images, or with as many as fit the time budget; and why folds
    calibrate it or do not, where muslin chose."""
    n_train, reason = len(data.split.train), None
    recipe = with_min_steps(choice.recipe, n_train)
    if not isinstance(recipe, SGDRecipe):
        return replace(choice, recipe=recipe), None
    folds = recipe.folds
    if folds:  # of which one is refused here, before the first training
        folds = int(draw_folds(data, folds, options.seed).max()) + 1
    if options.time_budget_s is None:
        return replace(choice, recipe=recipe), None
    candidates = [recipe]
    if options.recipe == AUTO:
        candidates = time_budget.ladder_recipes(recipe, n_train, options.settings)
    if "folds" not in options.settings:
        chosen = choose_folds(options.time_budget_s, data, candidates[0])
        folds, reason = chosen.folds, chosen.reason
        candidates = [replace(each, folds=folds) for each in candidates]
    fitted = time_budget.fit_time_budget(options.time_budget_s, data.dataset, data.split, candidates, 1 + folds)
    return fitted, reason


def _requested_recipe(options: TrainOptions, log: Log) -> Recipe:
    """The recipe by its name; the one from scratch if it needs weights that are not installed."""
    if options.recipe == AUTO:
        return base_recipe(options.settings)
    recipe = recipes.recipe(options.recipe, **options.settings)
    uses_imagenet = isinstance(recipe, PretrainedRecipe) and recipe.weights == recipes.IMAGENET
    if not uses_imagenet or has_imagenet_weights(recipe.network):
        return recipe
    names = {"recipe": recipe.name, "network": recipe.network, "instead": FROM_SCRATCH}
    log(Message("pretrained_weights_missing", **names, install=install_command("train")))
    return recipes.recipe(FROM_SCRATCH, **options.settings)

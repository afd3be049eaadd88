"""Train a classifier: plan, start, finish. The command line and the library call the same functions.

plan_training   options and data → a recipe that fits them, the split, the features of a frozen backbone
start_run       the plan → a folder with `run.json`
finish_run      the run, from its checkpoint if it has one → a calibrated bundle, its evaluation, the report
"""

import datetime
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from muslin import machine
from muslin.data import photos
from muslin.data.audit import exclusions
from muslin.data.audit.corrections import APPLIED_COLUMNS, Correction, correct_labels, read_corrections
from muslin.data.copies import copy_messages, leaked_into
from muslin.data.dataset import PARTS, Dataset, Split
from muslin.data.photos import MAX_UNREADABLE, PhotoImages, ResizedPhotos
from muslin.data.reader import check_read
from muslin.data.split import fold_numbers
from muslin.errors import DataError, MissingPartError, StoppedError, StorageError, TrainingError
from muslin.learn import recipes
from muslin.learn.networks import describe, is_backbone
from muslin.learn.pretrained import INSTALL, has_imagenet_weights
from muslin.learn.recipe_choice import AUTO, FROM_SCRATCH, RecipeChoice, base_recipe, choose_recipe
from muslin.learn.recipes import FineTuneRecipe, LinearProbeRecipe, PretrainedRecipe, Recipe, SGDRecipe
from muslin.messages import Log, Message, no_log
from muslin.models.seen_images import ImageDigests, SeenImages, digest_dataset
from muslin.storage.atomic import remove_partial_files
from muslin.storage.locks import locked_folder
from muslin.storage.outputs import Output
from muslin.workflows import run_folder as runs
from muslin.workflows import time_budget
from muslin.workflows.calibrate import CalibrationSet, calibrate, validation_notes
from muslin.workflows.run_folder import Run, split_for_recipe
from muslin.workflows.selected_part import SeenCounts, without_copies
from muslin.workflows.unused_settings import check_settings_used

if TYPE_CHECKING:
    from muslin.learn.checkpoint import Checkpoint
    from muslin.learn.features import Features
    from muslin.learn.modules import Net
    from muslin.learn.training_loop import Progress

OnProgress = Callable[["Progress"], None]
ShouldStop = Callable[[], bool]


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
        max_unreadable: maximum share of unreadable photos; they are left out and listed.
    """

    recipe: str = AUTO
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    test: str | Path | None = None
    time_budget_s: float | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)
    exclude: str | Path | None = None
    corrections: str | Path | None = None
    max_unreadable: float = MAX_UNREADABLE


@dataclass(frozen=True)
class Callbacks:
    """`log` is called with a sentence now and then, `on_progress` after every step; training stops cleanly once
    `should_stop` returns true."""

    log: Log = no_log
    on_progress: OnProgress = lambda progress: None
    should_stop: ShouldStop = lambda: False


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What training takes.

    Attributes:
        dataset: the readable images.
        split: the parts, without images of an earlier part.
        digests: of all images.
        seen: per part how many images were in an earlier one.
        features: of all images, from a frozen backbone.
    """

    dataset: Dataset
    split: Split
    digests: ImageDigests
    seen: Mapping[str, SeenCounts]
    features: "Features | None" = None


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """A training that nothing speaks against.

    Attributes:
        choice: the recipe, fitted to the data and the time budget; `reason_logged` if its reason has been logged.
        source: where the data are, for `run.json`; None for data in memory.
        excluded: part and id of the excluded samples.
        corrections: the corrected labels.
    """

    options: TrainOptions
    data: TrainingData
    choice: RecipeChoice
    reason_logged: bool
    source: Mapping[str, Any] | None
    excluded: list[tuple[str, str]] | None
    corrections: list[Correction] | None


def train(
    data: str | Path | Dataset,
    *,
    recipe: str = AUTO,
    out: str | Path | None = None,
    seed: int = 0,
    on_progress: OnProgress = lambda progress: None,
    log: Log = no_log,
    should_stop: ShouldStop = lambda: False,
    **options: Any,
) -> Run:
    """Train a classifier and write a finished run: the bundle, its evaluation on the test set, the report.

    Args:
        data: a registered name, a file or a folder, or a Dataset.
        recipe, seed: see `TrainOptions`.
        out: the run's folder, new or empty; by default `runs/DATA-RECIPE-TIME`.
        on_progress, log, should_stop: see `Callbacks`.
        options: `settings`, `test`, `time_budget_s`, `read_options`, `exclude`, `corrections`, `max_unreadable`; see
            `TrainOptions`.

    Raises:
        MuslinError: the data, the recipe or the folder cannot be used; no run is left behind.
        StoppedError: `should_stop` returned true; `resume` continues.
        StorageError: the disk became full. What was written is intact, and `resume` continues from it.
    """
    if out is not None:
        runs.check_new(Path(out))
    callbacks = Callbacks(log, on_progress, should_stop)
    given = {name: value for name, value in options.items() if value is not None}
    plan = plan_training(data, TrainOptions(recipe, seed, **given), callbacks)
    run = start_run(plan, out)
    if plan.choice.reason and not plan.reason_logged:
        log(plan.choice.reason)
    with _resume_command(run), locked_folder(run.folder, "run_locked"):
        return finish_run(run, plan.data, callbacks)


def plan_training(data: str | Path | Dataset, options: TrainOptions, callbacks: Callbacks) -> TrainingPlan:
    """Read the data, choose the recipe and fit it to them. Faults in options are refused before files are read.

    Raises:
        MuslinError: the data or the recipe cannot be used.
    """
    if not 0 <= options.seed <= recipes.MAX_SEED:
        raise TrainingError("seed_out_of_range", seed=options.seed, high=recipes.MAX_SEED)
    if not 0 <= options.max_unreadable <= 1:
        raise TrainingError("max_unreadable_out_of_range", value=options.max_unreadable)
    budget_s = options.time_budget_s
    time_budget.check_time_budget(budget_s, options.settings)
    weights = options.settings.get("weights")
    if weights and weights not in (recipes.IMAGENET, recipes.RANDOM):  # found from any working folder
        absolute = {"weights": str(Path(weights).absolute())}
        options = replace(options, settings={**options.settings, **absolute})
    choice = RecipeChoice(_requested_recipe(options, callbacks.log))
    require_training()
    source = None
    if isinstance(data, Dataset):
        check_read(data, {"test": options.test, **options.read_options})
        dataset = data
    else:
        test = str(options.test) if options.test else None
        source = {"data": str(data), "test": test, "read_options": dict(options.read_options)}
        dataset = _read_source(source, callbacks.log)
    dataset, excluded, corrections = _edit_dataset(dataset, options, callbacks.log)
    photos.check_any_readable(dataset, callbacks.log)
    check_settings_used(dataset, options.settings, options.max_unreadable)
    if options.recipe == AUTO:
        n_train = len(split_for_recipe(dataset, choice.recipe, options.seed).train)
        choice = choose_recipe(dataset, n_train, options.settings)
    if budget_s is not None and isinstance(choice.recipe, LinearProbeRecipe):
        choice = time_budget.fit_backbone_to_budget(budget_s, dataset, choice.recipe, options.seed, options.settings)
    logged = choice.reason if isinstance(dataset.images, PhotoImages) else None
    if logged:
        callbacks.log(logged)  # before photos are decoded, which takes a while
    prepared = prepare_data(dataset, choice.recipe, options.seed, options.max_unreadable, callbacks)
    n_train = len(prepared.split.train)
    recipe = recipes.with_min_steps(choice.recipe, n_train)
    choice = replace(choice, recipe=recipe)
    if budget_s is not None and isinstance(recipe, SGDRecipe):
        candidates = [recipe]
        if options.recipe == AUTO:
            candidates = time_budget.ladder_recipes(recipe, n_train, options.settings)
        choice = time_budget.fit_time_budget(budget_s, prepared.dataset, prepared.split, candidates)
    already = choice.reason is not None and choice.reason is logged
    return TrainingPlan(options, prepared, choice, already, source, excluded, corrections)


def _edit_dataset(
    dataset: Dataset, options: TrainOptions, log: Log
) -> tuple[Dataset, list[tuple[str, str]] | None, list[Correction] | None]:
    """`dataset` with the labels corrected and without the samples to exclude, and what the two files say."""
    excluded, corrections = None, None
    if options.corrections is not None:
        corrections = read_corrections(Path(options.corrections))
        dataset = correct_labels(dataset, corrections, str(options.corrections))
        log(dataset.fixes[-1])
    if options.exclude is not None:
        excluded = exclusions.read_exclusions(Path(options.exclude))
        dataset = exclusions.exclude_samples(dataset, excluded, str(options.exclude))
        log(dataset.fixes[-1])
    return dataset, excluded, corrections


def start_run(plan: TrainingPlan, out: str | Path | None) -> Run:
    """A new folder with `run.json`; none is left behind if it cannot be written.

    Raises:
        TrainingError, RecipeError: the network does not fit the data.
        StorageError: the folder is not empty, the disk is full, or the folder is not writable.
    """
    from muslin.learn.batches import total_epochs
    from muslin.learn.checkpoint import start_checkpoint
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import network_for

    options, recipe, dataset, parts = plan.options, plan.choice.recipe, plan.data.dataset, plan.data.split
    network = describe(network_for(dataset, parts, recipe))
    files = (options.exclude, options.corrections)
    record = {
        "status": "training",
        "recipe": recipe.to_dict(),
        "recipe_reason": plan.choice.reason,
        "expected_s": plan.choice.expected_s,
        "seed": options.seed,
        "command": runs.command_to_repeat(plan.source, recipe, options.seed, *files, options.max_unreadable),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": network["parameters"],
        "epochs": total_epochs(len(parts.train), recipe) if isinstance(recipe, SGDRecipe) else recipe.epochs,
        "source": plan.source and runs.absolute_source(plan.source),
        "exclude": _source_of(options.exclude, plan.excluded),
        "corrections": _source_of(options.corrections, plan.corrections),
        "max_unreadable": options.max_unreadable,
        "data": runs.describe_data(dataset, parts),
        "compute": asdict(choose_compute_settings()),
        "machine": machine.description(),
        "versions": runs.package_versions(),
    }
    run = Run(runs.new_run_folder(out, f"{dataset.name}-{recipe.name}"))
    with locked_folder(run.folder, "run_locked"):
        remove_partial_files(run.folder)
        runs.check_new(run.folder)
        try:
            if plan.excluded is not None:
                exclusions.write_exclusions(run.excluded, ("part", "id"), plan.excluded)
            if plan.corrections is not None:
                exclusions.write_exclusions(run.corrections, APPLIED_COLUMNS, (c[:4] for c in plan.corrections))
            record = {"name": run.folder.name} | record
            run.write_record(record)
            start_checkpoint(_checkpoint(run, record))
        except StorageError:
            with suppress(OSError):
                for path in (run.excluded, run.corrections, run.folder / "run.json"):
                    path.unlink(missing_ok=True)
                run.folder.rmdir()
            raise
    return run


def _source_of(path: str | Path | None, rows: Sequence[object] | None) -> dict[str, Any] | None:
    """What `run.json` records of a file with names of samples."""
    return None if rows is None else {"path": str(path), "n": len(rows)}


def resume(
    folder: str | Path,
    data: str | Path | Dataset | None = None,
    *,
    test: str | Path | None = None,
    on_progress: OnProgress = lambda progress: None,
    log: Log = no_log,
    should_stop: ShouldStop = lambda: False,
) -> Run:
    """Continue an interrupted run, to the weights it would have had; a finished run is returned as it is.

    Args:
        data: where the data are now, if they have moved.
        test: the same for the file with the test set.
        on_progress, log, should_stop: see `Callbacks`.

    Raises:
        DataError: the folder is not a run, or the data are not those of the run.
        StoppedError, StorageError: as for `train`.
    """
    run, callbacks = Run(Path(folder)), Callbacks(log, on_progress, should_stop)
    record = run.record
    finished = record["status"] == "finished" and run.model.exists()
    if not finished:
        require_training()
        from muslin.learn.checkpoint import has_steps

        resumes, _ = has_steps(_checkpoint(run, record)), run.history
    if not finished or data is not None:
        prepared = _read_run_data(run, record, data, test, callbacks)
    if finished:
        log(Message("run_finished"))
        return run
    remove_partial_files(run.folder)
    epochs = record["epochs"]
    messages = [Message("resuming_without_checkpoint")]
    if resumes:
        messages = [Message("resuming_from_checkpoint", epoch=len(run.history), epochs=epochs)]

    def log_and_report(progress: "Progress") -> None:
        if messages:  # only after a step: a refusal prints one line
            log(messages.pop())
        on_progress(progress)

    with _resume_command(run), locked_folder(run.folder, "run_locked"):
        return finish_run(run, prepared, replace(callbacks, on_progress=log_and_report))


def finish_run(run: Run, data: TrainingData, callbacks: Callbacks) -> Run:
    """Train from the run's checkpoint, or from the start; then write the bundle, its evaluation and the report."""
    from muslin.learn.batches import images_seen, total_steps
    from muslin.learn.checkpoint import has_steps
    from muslin.learn.linear_probe import fit_linear_heads
    from muslin.learn.torch_setup import ComputeSettings
    from muslin.learn.train import initial_network, training_arrays, validation_subset
    from muslin.learn.training_loop import fit

    record, dataset, parts = run.record, data.dataset, data.split
    recipe, seed = recipes.recipe_from_dict(record["recipe"]), record["seed"]
    checkpoint = _checkpoint(run, record)

    def on_progress(progress: "Progress") -> None:
        if progress.row:
            run.write_history([*(r for r in run.history if r["epoch"] < progress.epoch), progress.row])
        callbacks.on_progress(progress)

    options: dict[str, Any] = {"on_progress": on_progress, "should_stop": callbacks.should_stop}
    features = None if has_steps(checkpoint) else data.features
    net = initial_network(dataset, parts, recipe, seed=seed, features=features)
    if isinstance(recipe, SGDRecipe):
        train, validation = (training_arrays(dataset, i) for i in (parts.train, validation_subset(parts)))
        compute = ComputeSettings(**record["compute"])
        options |= {"seed": seed, "compute": compute, "checkpoint": checkpoint}
        history = fit(net, train, validation, recipe, **options)
        n_train = len(parts.train)
        record["images_seen"] = images_seen(n_train, recipe, total_steps(n_train, recipe))
    else:
        assert isinstance(recipe, LinearProbeRecipe)
        assert data.features is not None
        history = fit_linear_heads(net, data.features, dict(dataset.labels), parts, recipe, **options)
        record["images_seen"] = None  # only their features
        callbacks.log(_convergence(history, recipe))
    run.write_history(history)
    record["epochs"] = len(history)
    record["train_s"] = round(history[-1]["elapsed_s"], 3)
    calibration_set = None
    if isinstance(recipe, LinearProbeRecipe) and recipe.folds > 1 and not recipe.tta_flip:
        calibration_set = _cross_fit(net, data, recipe, seed, callbacks)
    _write_results(run, record, net, data, calibration_set, callbacks.log)
    return run


def _cross_fit(
    net: "Net", data: TrainingData, recipe: LinearProbeRecipe, seed: int, callbacks: Callbacks
) -> CalibrationSet:
    """Out-of-fold predictions of all images but the test set, to which the heads of `net` are then fitted."""
    from muslin.learn.linear_probe import cross_val_predict, fit_linear_heads

    dataset, parts, features = data.dataset, data.split, data.features
    assert features is not None
    samples = np.sort(np.concatenate([parts.train, parts.validation]))
    folds, notes = fold_numbers(dataset, samples, recipe.folds, seed)
    callbacks.log(Message("cross_fitting", n=len(samples), folds=len(np.unique(folds))))
    for note in notes:
        callbacks.log(note)
    arguments, should_stop = (net, features, dict(dataset.labels)), callbacks.should_stop
    predicted = cross_val_predict(*arguments, samples, folds, recipe, should_stop=should_stop)
    everything = replace(parts, train=samples, validation=samples[:0])
    fit_linear_heads(*arguments, everything, recipe, should_stop=should_stop)
    return CalibrationSet(samples, predicted)


def _convergence(history: list[dict[str, Any]], recipe: LinearProbeRecipe) -> Message:
    code = "linear_probe_converged" if history[-1]["converged"] else "linear_probe_not_converged"
    return Message(code, epochs=len(history), max_epochs=recipe.epochs)


def _write_results(
    run: Run, record: dict[str, Any], net: "Net", data: TrainingData, calibration_set: CalibrationSet | None, log: Log
) -> None:
    """Export the network, calibrate it, evaluate it on the test set, and write all that a finished run has."""
    from muslin.learn.export import export
    from muslin.learn.linear_probe import predict_from_features
    from muslin.learn.train import golden_images
    from muslin.models.bundle import seal
    from muslin.models.predictor import Predictor
    from muslin.reporting.report.multi_target import write_reports
    from muslin.reporting.report.report import ReportInputs
    from muslin.workflows.evaluate import EvaluationResult, evaluate_output, headline_metric, predict_dataset

    dataset, parts, recipe = data.dataset, data.split, recipes.recipe_from_dict(record["recipe"])
    names = ("name", "recipe", "seed", "command", "started", "train_s", "data", "versions", "machine")
    provenance = {name: record[name] for name in names}
    golden = golden_images(dataset, parts)
    bundle = export(net, dataset.targets, transform=dataset.transform, golden=golden, provenance=provenance)
    trained_on = parts.train if calibration_set is None else calibration_set.indices  # the last fit is to all of these
    seen_images = SeenImages.of(data.digests[trained_on], data.digests[parts.validation], bundle.weights)
    bundle = replace(bundle, seen_images=seen_images)
    infer_raw = None
    if isinstance(recipe, LinearProbeRecipe) and not recipe.tta_flip:  # flipped photos have no features yet
        assert data.features is not None
        infer_raw = partial(predict_from_features, net, data.features)
    options = {"seed": record["seed"], "infer_raw": infer_raw, "calibration_set": calibration_set}
    bundle = calibrate(bundle, dataset, parts, **options)
    for note in validation_notes(bundle, dataset, parts):
        log(note)
    predictor, test = Predictor(bundle), dataset.take(parts.test)
    if infer_raw:
        output = predictor.to_output(*infer_raw(parts.test))
    else:
        test, output = predict_dataset(predictor, test)
    leaked = leaked_into(dataset, parts.train, parts.test)
    evaluations = evaluate_output(predictor, test, output, leaked=leaked)
    metrics = {name: headline_metric(evaluation) for name, evaluation in evaluations.items()}
    record |= {"status": "finished", "test": metrics}
    seal(replace(bundle, provenance=provenance | {"test": metrics}), run.model)
    EvaluationResult("test", evaluations, test, data.seen["test"]).write(
        Output(run.folder / "evaluation.json", overwrite=True)
    )
    network, probabilities = bundle.network, output.probabilities
    inputs = ReportInputs(record, network, run.history, dataset, parts, evaluations, probabilities)
    write_reports(run.folder, inputs)
    run.write_record(record)


def prepare_data(
    dataset: Dataset, recipe: Recipe, seed: int, max_unreadable: float, callbacks: Callbacks
) -> TrainingData:
    """The images as the recipe takes them, without unreadable photos; and the features if it freezes a backbone.

    Copies in two sets, or with different labels, are logged and added to the data's `fixes`. The validation and the
    test set lose those of earlier sets.

    Raises:
        DataError: too many photos are unreadable, or every validation or test image is in an earlier set too.
        TrainingError: the labels cannot be trained on.
        StoppedError: as `muslin.learn.features.extract`.
    """
    from muslin.data import with_fixes

    size, log, features = (recipe.image_size, recipe.image_size, 3), callbacks.log, None
    if not is_backbone(recipe.network):
        dataset = photos.decode_photos(dataset, size, max_unreadable=max_unreadable, log=log)
    else:
        dataset = photos.resize_photos(dataset, size)
        split_for_recipe(dataset, recipe, seed)  # faults of the labels are reported before photos are decoded
        if isinstance(recipe, SGDRecipe):
            assert isinstance(dataset.images, ResizedPhotos)
            dataset = replace(dataset, images=dataset.images.cached())  # every epoch decodes them
        if isinstance(recipe, LinearProbeRecipe) or (isinstance(recipe, FineTuneRecipe) and recipe.frozen_blocks > 0):
            dataset, features = _extract_features(dataset, recipe, seed, max_unreadable, callbacks)
        else:
            dataset = photos.readable_photos(dataset, max_unreadable=max_unreadable, log=log)
    parts = split_for_recipe(dataset, recipe, seed)
    sets = {part: getattr(parts, part) for part in PARTS}
    messages = copy_messages(dataset, sets, drawn=parts.seed is not None)
    digests = digest_dataset(dataset) if features is None else features.image_digests
    parts, seen = without_copies(dataset.name, parts, digests)
    for part, counts in seen.items():
        if n_seen := counts.train + counts.validation:
            messages.append(Message("part_images_set_aside", part=part, n=counts.n, seen=n_seen))
    return TrainingData(with_fixes(dataset, messages, log), parts, digests, seen, features)


def _extract_features(
    dataset: Dataset, recipe: PretrainedRecipe, seed: int, max_unreadable: float, callbacks: Callbacks
) -> tuple[Dataset, "Features"]:
    require_training()
    from muslin.learn.train import extract_features

    threads, log, should_stop = machine.physical_cores(), callbacks.log, callbacks.should_stop
    features, problems = extract_features(dataset, recipe, seed=seed, threads=threads, log=log, should_stop=should_stop)
    readable = np.setdiff1d(np.arange(len(dataset)), list(problems))
    return photos.exclude_unreadable(dataset, problems, max_unreadable, log), features.take(readable)


def _checkpoint(run: Run, record: Mapping[str, Any]) -> "Checkpoint":
    from muslin.learn.checkpoint import Checkpoint

    return Checkpoint(run.checkpoint, runs.planned_digest(record))


def require_training() -> None:
    """
    Raises:
        MissingPartError: this installation can only predict.
    """
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]  # imports nothing
    if missing:
        raise MissingPartError("training_not_installed", packages=missing)


@contextmanager
def _resume_command(run: Run) -> Iterator[None]:
    """Give the errors of an interruption the command that resumes the run."""
    command = f"muslin train --resume {shlex.quote(str(run.folder))}"
    try:
        yield
    except StoppedError as stopped:
        raise stopped.with_params(path=str(run.folder), command=command) from None
    except StorageError as error:
        raise error.with_params(command=command) from error


def _requested_recipe(options: TrainOptions, log: Log) -> Recipe:
    """The recipe by its name; the one from scratch if it needs weights that are not installed."""
    if options.recipe == AUTO:
        return base_recipe(options.settings)
    recipe = recipes.recipe(options.recipe, **options.settings)
    uses_imagenet = isinstance(recipe, PretrainedRecipe) and recipe.weights == recipes.IMAGENET
    if not uses_imagenet or has_imagenet_weights(recipe.network):
        return recipe
    names = {"recipe": recipe.name, "network": recipe.network, "instead": FROM_SCRATCH}
    log(Message("pretrained_weights_missing", **names, install=INSTALL))
    return recipes.recipe(FROM_SCRATCH, **options.settings)


def _read_source(source: Mapping[str, Any], log: Log) -> Dataset:
    from muslin.data import read_and_log

    return read_and_log(source["data"], test=source["test"], log=log, **source["read_options"])


def _read_run_data(
    run: Run,
    record: Mapping[str, Any],
    data: str | Path | Dataset | None,
    test: str | Path | None,
    callbacks: Callbacks,
) -> TrainingData:
    """The data of a run again, from where `run.json` says or from `data` and `test`."""
    path = str(run.folder)
    recipe, source, exclude = recipes.recipe_from_dict(record["recipe"]), record["source"], record["exclude"]
    if isinstance(data, Dataset):
        check_read(data, {"test": test})
        dataset = data
    else:
        if data is not None:
            source = {**(source or {"test": None, "read_options": {}}), "data": str(data)}
        if source is None:
            raise DataError("run_data_in_memory", path=path)
        if test is not None:
            source = {**source, "test": str(test)}
        dataset = _read_source(source, callbacks.log)
    if corrections := record["corrections"]:
        dataset = correct_labels(dataset, read_corrections(run.corrections), corrections["path"])
    if exclude:
        excluded = exclusions.read_exclusions(run.excluded)
        dataset = exclusions.exclude_samples(dataset, excluded, exclude["path"])
    with _resume_command(run):
        prepared = prepare_data(dataset, recipe, record["seed"], record["max_unreadable"], callbacks)
    if prepared.dataset.fingerprint != record["data"]["fingerprint"]:
        raise DataError("run_data_changed", path=path, name=dataset.name)
    return prepared

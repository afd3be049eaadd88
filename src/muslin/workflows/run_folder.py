"""A run's folder: everything that one training wrote, each file complete at every moment."""

import hashlib
import itertools
import json
import os
import platform
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split, class_counts
from muslin.data.photos import MAX_UNREADABLE
from muslin.data.split import split
from muslin.errors import BundleError, DataError, RecipeError, StorageError
from muslin.learn.recipes import RECIPES, Recipe, recipe_from_dict
from muslin.library_errors import reason_of
from muslin.models.json_schema import check_schema, parse_json
from muslin.storage.atomic import atomic_file, is_partial_file, storage_errors, write_atomically
from muslin.storage.file_names import file_stem
from muslin.strict_json import json_text
from muslin.workflows.run_schema import HISTORY_ROW, RECORD, RESULTS, UNSAFE_IN_RECORD

START_FILES = ("excluded.csv", "corrections.csv", "checkpoint.safetensors")
"""What a run has from its start, beside `run.json`."""

MAX_RECORD_BYTES = 64 * 2**20
"""Of run.json, which lists every unreadable photo."""


@dataclass(frozen=True)
class Run:
    """A folder with `run.json`, `history.jsonl`, `checkpoint.safetensors` and, once finished, `model.muslin`,
    `evaluation.json`, `report.html` and images; and `snapshots/`, if it keeps the network after each epoch.

    `run.json` records how the run was made; its `status` is `training` or `finished`.
    """

    folder: Path

    @property
    def checkpoint(self) -> Path:
        """The state of training, to resume after an interruption."""
        return self.folder / "checkpoint.safetensors"

    def fold_checkpoint(self, fold: int) -> Path:
        """The state of the training of a fold, until the run is finished."""
        return self.folder / f"checkpoint-fold-{fold + 1}.safetensors"

    def remove_fold_checkpoints(self) -> None:
        """Remove what only an unfinished run needs."""
        for path in self.folder.glob("checkpoint-fold-*.safetensors"):
            with suppress(OSError):
                path.unlink()

    def snapshot(self, epoch: int) -> Path:
        """The network after an epoch, if the run keeps snapshots."""
        return self.folder / "snapshots" / f"{epoch:04}.muslin"

    @property
    def snapshots(self) -> list[int]:
        """The epochs of which there is a snapshot, in order."""
        paths = (self.folder / "snapshots").glob("*.muslin")
        return sorted(int(path.stem) for path in paths if path.stem.isdecimal())

    @property
    def excluded(self) -> Path:
        """The names of the excluded samples, if there are any."""
        return self.folder / "excluded.csv"

    @property
    def corrections(self) -> Path:
        """The corrected labels, if there are any."""
        return self.folder / "corrections.csv"

    @property
    def model(self) -> Path:
        """The bundle of a finished run, or of one whose network is trained and whose results failed."""
        return self.folder / "model.muslin"

    @property
    def report(self) -> Path:
        """The report of a finished run."""
        return self.folder / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """`run.json`.

        Raises:
            DataError: the folder is not a run, or the file is not as muslin wrote it.
        """
        path = str(self.folder)
        try:
            with open(self.folder / "run.json", "rb") as file:
                content = parse_json(file.read(MAX_RECORD_BYTES), UNSAFE_IN_RECORD)
        except (OSError, ValueError, BundleError) as error:
            raise DataError("run_missing", path=path) from error
        record = {**content}
        if record.pop("sha256", None) != digest_of_record(record):
            raise DataError("run_record_edited", path=path)
        try:
            check_schema(record, RECORD)
            recipe_from_dict(record["recipe"])
        except (BundleError, RecipeError) as error:
            raise DataError("run_record_invalid", path=path, reason=error.message) from error
        return record

    @property
    def history(self) -> list[dict[str, Any]]:
        """`history.jsonl`, one row per finished epoch.

        Raises:
            DataError: it is damaged.
        """
        path = self.folder / "history.jsonl"
        try:
            rows = [parse_json(line) for line in path.read_bytes().splitlines()] if path.exists() else []
            check_schema(rows, [HISTORY_ROW])
        except BundleError as error:
            raise DataError("history_damaged", path=str(path), reason=error.message) from error
        except ValueError as error:
            raise DataError("history_damaged", path=str(path), reason=reason_of(error)) from error
        return rows

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace `run.json`."""
        write_atomically(self.folder / "run.json", record_content(record))

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Replace `history.jsonl`."""
        write_atomically(self.folder / "history.jsonl", "".join(json_text(row) + "\n" for row in history))

    def summary(self) -> dict[str, Any]:
        """The main facts of a finished run; `muslin train --json` prints them."""
        record = self.record
        names = ("seed", "train_s", "expected_s", "epochs", "images_seen", "parameters", "test")
        return {
            "run": str(self.folder),
            "model": str(self.model),
            "report": str(self.report),
            "recipe": record["recipe"]["name"],
            **{name: record.get(name) for name in names},
            **{name: record["data"].get(name) for name in ("fixes", "unreadable")},
        }


def run_of_snapshot(path: Path) -> Path | None:
    """The run's folder of a snapshot; None for another file."""
    run = path.parent.parent
    return run if path.parent.name == "snapshots" and path.stem.isdecimal() and (run / "run.json").is_file() else None


def is_cross_fitted(record: Mapping[str, Any]) -> bool:
    """Whether out-of-fold predictions calibrate a finished run's model, which was fitted to all but the test set."""
    return any(metric.get("out_of_fold") for metric in record.get("validation", {}).values())


def record_content(record: dict[str, Any]) -> bytes:
    """The content of `run.json`; its `sha256` tells whether it was edited afterwards."""
    text = json_text({**record, "sha256": digest_of_record(record)}, indent=2) + "\n"
    return text.encode(errors="backslashreplace")  # names of files need not be UTF-8


def planned_digest(record: Mapping[str, Any]) -> str:
    """A digest of a run's record as training began with it, without the results of a finished run."""
    planned = {name: value for name, value in record.items() if name not in RESULTS}
    return digest_of_record(planned | {"status": "training"})


def digest_of_record(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def split_for_recipe(dataset: Dataset, recipe: Recipe, seed: int, near_pairs: NDArray[np.int64] | None = None) -> Split:
    """`dataset` split as training with this recipe and seed splits it, with `near_pairs` kept together."""
    return split(
        dataset,
        validation_fraction=recipe.validation_fraction,
        seed=seed if recipe.split_seed is None else recipe.split_seed,
        stratified=recipe.stratified,
        near_pairs=near_pairs,
    )


def check_new(folder: Path) -> None:
    """Refuse a folder that holds anything but what a start that was killed left there.

    Raises:
        StorageError: `folder` is a run already, or not an empty folder.
    """
    with storage_errors(folder):
        if (folder / "run.json").exists():
            raise StorageError("run_exists", path=str(folder))
        if os.path.lexists(folder) and set(folder.iterdir()) != set(_killed_start(folder)):
            raise StorageError("folder_not_empty", path=str(folder))


@contextmanager
def starting(run: Run) -> Iterator[BinaryIO]:
    """`run.json` to write to, once the other files of START_FILES are there: a run with `run.json` can be resumed.

    Removes those files after an exception, and first what a start that was killed left. The folder must be locked.

    Raises:
        StorageError: as `check_new`.
    """
    check_new(run.folder)
    with storage_errors(run.folder):
        for path in _killed_start(run.folder):
            path.unlink(missing_ok=True)
    try:
        with atomic_file(run.folder / "run.json") as file:
            yield file
    except BaseException:
        with suppress(OSError):
            for name in START_FILES:
                (run.folder / name).unlink(missing_ok=True)
            run.folder.rmdir()
        raise


def _killed_start(folder: Path) -> list[Path]:
    """What a start that was killed left: the unfinished `run.json`, and the files that belong to it."""
    entries = list(folder.iterdir())
    partial = [entry for entry in entries if is_partial_file(entry)]
    is_started = any(entry.name.startswith(".run.json.") for entry in partial)
    return partial + [entry for entry in entries if is_started and entry.name in START_FILES]


def new_run_folder(out: str | Path | None, name: str) -> Path:
    """A folder for a run: `out`, or a new one in `runs/` named after data, recipe and time.

    Raises:
        StorageError: it is not writable.
    """
    if out is not None:
        with storage_errors(Path(out)):
            Path(out).mkdir(parents=True, exist_ok=True)
        return Path(out)
    stem = f"runs/{file_stem(name)}-{time.strftime('%Y%m%d-%H%M%S')}"
    for folder in map(Path, itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))):
        with storage_errors(folder), suppress(FileExistsError):  # another training can start in the same second
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")


def check_data(code: str, folder: Path, fingerprint: str, dataset: Dataset) -> None:
    """Refuse to continue with other data than a run or a sweep began with.

    Raises:
        DataError: `code`, because `dataset` has another fingerprint. Its hint says where only the groups or products
            can differ: those of earlier runs are not known, because their fingerprints left them out.
    """
    if dataset.fingerprint == fingerprint:
        return
    ungrouped = replace(dataset, groups=None, products=None)
    hint = "groups" if ungrouped.fingerprint == fingerprint else None
    raise DataError(code, hint, path=str(folder), name=dataset.name)


def describe_data(dataset: Dataset, parts: Split) -> dict[str, Any]:
    """What `run.json` records of the data."""
    indices = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    sampling: dict[str, Any] = {}
    if dataset.drawn_at_random is not None:
        sampling["drawn_at_random"] = {p: int(dataset.is_random[chosen].sum()) for p, chosen in indices.items()}
    if dataset.no_class:
        sampling["no_class"] = {name: int(mask.sum()) for name, mask in dataset.no_class.items()}
    return {
        "name": dataset.name,
        "format": dataset.format,
        "origin": dataset.origin,
        "fingerprint": dataset.fingerprint,
        **dataset.notes(),
        "split": parts.description,
        "split_sizes": {part: len(chosen) for part, chosen in indices.items()},
        **sampling,
        "classes": {target.name: list(target.classes) for target in dataset.targets},
        "counts": {
            target.name: {
                part: class_counts(target, dataset.labels[target.name][chosen]).tolist()
                for part, chosen in indices.items()
            }
            for target in dataset.targets
        },
    }


def package_versions() -> dict[str, str]:
    """The versions of everything that could change a result."""
    names = ("muslin", "torch", "onnx", "onnxruntime", "numpy", "scikit-learn", "pillow")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def command_to_repeat(
    source: Mapping[str, Any] | None,
    recipe: Recipe | None,
    seed: int,
    exclude: str | Path | None = None,
    corrections: str | Path | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    **others: Any,
) -> str:
    """The command that repeats a run; without a recipe one that chooses it.

    Args:
        source: `data`, `test` and `read_options`; None for data in memory.
        others: further options by name, where they are not the default, such as `snapshots`.
    """
    source = source or {"data": "DATA", "test": None, "read_options": {}}
    names = {"recipe": recipe and recipe.name, "seed": seed, "test": source["test"]}
    options = names | source["read_options"]
    if "shape" in options:
        options["shape"] = "x".join(map(str, options["shape"]))
    options |= {"exclude": exclude, "corrections": corrections, **others}
    options["max_unreadable"] = None if max_unreadable == MAX_UNREADABLE else f"{max_unreadable:g}"
    if recipe:
        defaults = RECIPES[recipe.name].to_dict().items()
        changed = {name: value for name, value in recipe.to_dict().items() if (name, value) not in defaults}
        options["epochs"] = changed.pop("epochs", None)
        options["set"] = [f"{name}={_setting_text(value)}" for name, value in changed.items()]
    words = ["muslin", "train", source["data"]]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value not in (None, ""):
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [option, str(each)]
    return shlex.join(words)


def _setting_text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)


def absolute_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """`source` of `command_to_repeat` with absolute paths, so that it can be read from any working folder."""
    from muslin.data.registry import DATASETS

    def absolute(value: str | None) -> str | None:
        is_path = value and value not in DATASETS and os.path.exists(value)
        return str(Path(value).absolute()) if value and is_path else value

    options = dict(source["read_options"])
    if options.get("images"):
        options["images"] = str(Path(options["images"]).absolute())
    return {"data": absolute(source["data"]), "test": absolute(source["test"]), "read_options": options}

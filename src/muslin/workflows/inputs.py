"""The files that a command reads, which must not be its output."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from muslin.catalogue.journal import Journal
from muslin.data.dataset import Dataset
from muslin.data.dataset_cache import local_copies
from muslin.data.formats.idx import paired_labels
from muslin.data.photos import Photo, PhotoImages
from muslin.data.registry import DATASETS
from muslin.errors import DataError, StorageError, unknown
from muslin.models.predictor import MODEL_FILE, Predictor
from muslin.storage.outputs import Output

Model = str | Path | Predictor
Data = str | Path | Dataset | None


def check_output(output: Output | None, models: tuple[Model, ...] = (), data: tuple[Data, ...] = ()) -> None:
    """Refuse, before the work starts, an output that is or lies in an input, or that is not to be replaced.

    Args:
        data: registered names, files, folders, and data sets that were read; not a folder of a table's photos.

    Raises:
        StorageError: see `muslin.storage.outputs.Output.check`.
    """
    if output:
        output.check([*_model_files(models), *_data_files(data)])


def check_output_again(output: Output, journal: Journal, resume: bool) -> None:
    """Refuse an output that another job has written since this one was planned; its journal was removed then.

    Raises:
        StorageError: as `check_output`.
    """
    if not resume:
        try:
            output.check()
        except StorageError:
            journal.remove()
            raise


def check_photos(output: Output | None, dataset: Dataset) -> None:
    """Refuse an output that is one of the photos of `dataset`.

    Raises:
        StorageError: as `check_output`.
    """
    if output and os.path.lexists(output.path) and isinstance(dataset.images, PhotoImages):  # no photo is a new file
        output.check({photo.path for photo in dataset.images.photos if isinstance(photo, Photo)})


def check_targets_used(dataset: Dataset, models: Iterable[Predictor], read_options: Mapping[str, Any]) -> None:
    """Refuse several targets that the user chose where a model lacks one; a single one can have another name.

    Raises:
        DataError: a model has no such target.
    """
    if not read_options.get("target") or len(dataset.targets) < 2:
        return
    for model in models:
        choices = [target.name for target in model.targets]
        for target in dataset.targets:
            if target.name not in choices:
                raise DataError("target_unknown", dataset=model.name, **unknown(target.name, choices))


def _model_files(models: tuple[Model, ...]) -> Iterator[Path]:
    for model in models:
        path = model.path if isinstance(model, Predictor) else Path(model)
        if path is not None:
            yield path / MODEL_FILE if path.is_dir() else path


def _data_files(data: tuple[Data, ...]) -> Iterator[Path]:
    for source in data:
        if isinstance(source, str) and source in DATASETS:
            yield from local_copies(source)
        elif isinstance(source, str | Path):
            yield Path(source)
            with suppress(DataError, OSError):
                yield from paired_labels(Path(source))

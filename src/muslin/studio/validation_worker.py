"""Validation or test images of a model's run, read in a process with limits: anybody may have written these files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset
from muslin.data.draws import evenly_spaced
from muslin.errors import DataError
from muslin.studio.run_sources import source_of
from muslin.workers import WorkerEnded, WorkerPool
from muslin.workflows.run_folder import Run, run_of_snapshot

MAX_READING_S = 300
MAX_READING_MB = 4000
"""A data set's arrays on disk count too."""

_WORKERS = WorkerPool("muslin.studio.validation_worker:_read", 1, MAX_READING_S, MAX_READING_MB)


@dataclass(frozen=True, eq=False)
class ValidationImages:
    """Images of a model's run.

    Attributes:
        pixels: uint8 (n, height, width, channels), as the model takes them.
        labels: int64 (n,); UNKNOWN where the label is not known.
        part: `validation` or `test`.
        seen: how many images of the part the model has seen, as `muslin.workflows.selected_part.SeenCounts`; None where
            it does not say.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    part: str
    seen: dict[str, Any] | None


def validation_images(root: Path, model: Path, name: str, target: str, count: int) -> ValidationImages:
    """Up to `count` validation images of a model's run.

    Test images where the data set has no validation part, or where the model was also trained on that part. What
    recognises the images of a part is cached, so only the returned photos of the same data are decoded again.

    Args:
        root: the folder that the data must be in.
        model: the model's file, in the folder of its run.
        name: what errors call the model.

    Raises:
        DataError: no run names the data, they are outside `root`, cannot be read, or exceed a limit.
    """
    params = {"root": str(root), "model": str(model), "name": name, "target": target, "count": count}
    try:
        found, pixels = _WORKERS.run(params)
    except WorkerEnded as error:
        raise DataError("reading_limits", seconds=MAX_READING_S, mb=MAX_READING_MB) from error
    images = np.frombuffer(pixels, np.uint8).reshape(found["shape"])
    return ValidationImages(images, np.array(found["labels"], np.int64), found["part"], found["seen"])


def _read(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    from muslin.models.predictor import Predictor

    model = Path(params["model"])
    predictor = Predictor.open(model, 1, params["name"], graph="float32").with_cache()
    part = _select_part(Path(params["root"]), Run(run_of_snapshot(model) or model.parent), predictor)
    images: Dataset = part.images
    images = images.take(evenly_spaced(len(images), params["count"]))
    pixels = np.empty((len(images), *predictor.bundle.preprocessing.shape), np.uint8)
    for i in range(len(images)):
        pixels[i] = images.images[i]
    found = {"shape": pixels.shape, "labels": images.labels[params["target"]].tolist()}
    return found | {"part": part.part, "seen": part.seen and part.seen.to_dict()}, pixels.reshape(-1)


def _select_part(root: Path, run: Run, predictor: Any) -> Any:
    """The validation or the test images, as a `muslin.workflows.selected_part.SelectedPart`, with the run's corrected
    labels and without what it excluded.
    """
    from muslin.workflows.run_data import read_run_data
    from muslin.workflows.selected_part import select_part

    try:
        record, source = run.record, source_of(root, run)
    except DataError as error:
        raise DataError("run_without_data") from error
    if source is None:
        raise DataError("run_without_data")
    source.check()
    dataset = read_run_data(run, record).dataset
    parts = set() if dataset.parts is None else set(dataset.parts.tolist())
    seen = predictor.bundle.seen_images
    was_trained_on = seen is not None and not len(seen.validation)  # a last fit, after cross-fitting, took them
    wanted = "test" if was_trained_on or (parts and "validation" not in parts) else "validation"
    return select_part(predictor, dataset, wanted if parts or seen is not None else "all")

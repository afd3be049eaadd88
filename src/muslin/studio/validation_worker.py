"""The validation images of a model's run, read in a process with limits: anybody may have written these files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, DataError
from muslin.workers import WorkerEnded, WorkerPool

MAX_READING_S = 300
MAX_READING_MB = 4000
"""A data set's arrays on disk count too."""

_WORKERS = WorkerPool("muslin.studio.validation_worker:_read", 1, MAX_READING_S, MAX_READING_MB)


def validation_images(
    root: Path, model: Path, name: str, target: str, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Up to `count` validation images of a model's run, as the model takes them, and their labels.

    Test images where the data set has no validation part, or where the model was also trained on that part.

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
    return images, np.array(found["labels"], np.int64)


def _read(params: dict[str, Any], content: bytes) -> tuple[dict[str, Any], Any]:
    from muslin.models.predictor import Predictor

    model = Path(params["model"])
    predictor = Predictor.open(model, 1, params["name"], graph="float32")
    pixels, labels = _part(Path(params["root"]), model.parent, predictor, params["target"], params["count"])
    return {"shape": pixels.shape, "labels": labels.tolist()}, pixels.reshape(-1)


def _part(
    root: Path, run: Path, predictor: Any, target: str, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    from muslin.data import read
    from muslin.models.json_schema import check_schema, parse_json
    from muslin.workflows.run_folder import MAX_RECORD_BYTES
    from muslin.workflows.run_schema import SOURCE, UNSAFE_IN_RECORD
    from muslin.workflows.selected_part import select_part

    try:
        with open(run / "run.json", "rb") as file:
            source: Any = parse_json(file.read(MAX_RECORD_BYTES), UNSAFE_IN_RECORD).get("source")
        check_schema(source, SOURCE)
    except (OSError, ValueError, BundleError) as error:
        raise DataError("run_without_data") from error
    data, test, options = source["data"], source["test"], source["read_options"]
    for path in (data, test, options.get("images")):
        check_within(root, path)
    dataset = read(data, test=test, **options)
    parts = set() if dataset.parts is None else set(dataset.parts.tolist())
    seen = predictor.bundle.seen_images
    was_trained_on = seen is not None and not len(seen.validation)  # a last fit, after cross-fitting, took them
    wanted = "test" if was_trained_on or (parts and "validation" not in parts) else "validation"
    part = select_part(predictor, dataset, wanted).images
    evenly_spaced = np.linspace(0, len(part) - 1, min(count, len(part))).astype(int)
    part = part.take(np.unique(evenly_spaced))
    pixels = np.empty((len(part), *predictor.bundle.preprocessing.shape), np.uint8)
    for i in range(len(part)):
        pixels[i] = part.images[i]
    return pixels, part.labels[target]


def check_within(root: Path, name: Any) -> None:
    """Refuse a path of a run.json outside `root`, also one through a link: anybody may have written that file."""
    from muslin.data.registry import DATASETS

    if name is None or (isinstance(name, str) and name in DATASETS):
        return
    try:
        is_within = Path(name).is_absolute() and Path(name).resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError, TypeError, ValueError):
        is_within = False
    if not is_within:
        raise DataError("data_outside")

"""What a run's model predicts for the images of one of its parts, kept in muslin's cache.

The studio sorts and filters images by it, and shows the mistakes of a run. Nothing is trained or evaluated anew: the
sealed model predicts the run's own data, and photos that it has predicted before are not decoded again.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, Target, align
from muslin.data.photo_content import versions
from muslin.errors import DataError, unknown
from muslin.evaluation.selective import triage
from muslin.library_errors import reason_of
from muslin.machine import processor
from muslin.messages import Log, no_log
from muslin.models.feature_vectors import DTYPE
from muslin.models.graph_variant import FLOAT32
from muslin.models.model_output import ModelOutput, concat_outputs
from muslin.models.predictor import Predictor
from muslin.storage.row_cache import RowCache, name_of_parts
from muslin.workflows.model_input import infer_dataset
from muslin.workflows.run_data import RunData, read_run_data
from muslin.workflows.run_folder import Run, is_cross_fitted
from muslin.workflows.selected_part import select_part

CACHE_FORMAT = 1
"""Rises when the content of a cached row changes."""

FILES = ("run.json", "corrections.csv", "excluded.csv", "model.muslin")
"""What the predictions of a run follow from, beside its data."""

CHUNK = 500
"""Images between two calls of `on_progress`."""

LOWEST_PROBABILITY = 1e-12
"""In the loss, so that a probability of 0 has a finite one: 27.6."""

OnProgress = Callable[[float], None]

PER_TARGET = ("labels", "probabilities", "predicted", "decisions")
"""Fields of RunPredictions with an array of each target."""


@dataclass(frozen=True, eq=False)
class RunPredictions:
    """The predictions of a run's model for the images of one part.

    Attributes:
        part: `test`, `validation` or `train`; `all` where the model does not say which images it has seen.
        targets: the model's.
        ids: object (n,) of str: the images' names.
        indices: int64 (n,): where each image is in the data as they were read.
        clusters: int64 (n,): images of one cluster are not independent; None where all are.
        labels: per target's name the run's labels: int64 (n,), or int8 (n, classes) for `multilabel`; UNKNOWN.
        probabilities: per target's name float32 (n, classes), calibrated.
        predicted: per target's name int64 (n,), the predicted class; for `multilabel` int8 (n, classes), 1 for each
            predicted label.
        decisions: per target's name uint8 (n,): places in `muslin.evaluation.selective.DECISIONS`.
        vectors: float16 (n, 128), of unit length, by whose dot products images are similar; None of a graph without
            features. See `muslin.models.feature_vectors`.
    """

    part: str
    targets: tuple[Target, ...]
    ids: NDArray[np.object_]
    indices: NDArray[np.int64]
    clusters: NDArray[np.int64] | None
    labels: Mapping[str, NDArray[np.integer[Any]]]
    probabilities: Mapping[str, NDArray[np.float32]]
    predicted: Mapping[str, NDArray[np.integer[Any]]]
    decisions: Mapping[str, NDArray[np.uint8]]
    vectors: NDArray[np.float16] | None

    def __len__(self) -> int:
        return len(self.ids)

    def target(self, name: str | None = None) -> Target:
        """The target called `name`; by default the first.

        Raises:
            DataError: there is none of this name.
        """
        names = [target.name for target in self.targets]
        if name is not None and name not in names:
            raise DataError("target_unknown", **unknown(name, names), dataset=self.part)
        return self.targets[0 if name is None else names.index(name)]

    def confidence(self, target: Target) -> NDArray[np.float32]:
        """float32 (n,): the probability of the predicted class; for `multilabel` that of the most probable label."""
        probabilities = self.probabilities[target.name]
        if target.kind == "multilabel":
            return np.asarray(probabilities.max(axis=1))
        return np.asarray(probabilities[np.arange(len(self)), self.predicted[target.name]])

    def loss(self, target: Target) -> NDArray[np.float32]:
        """float32 (n,): the cross-entropy of the calibrated probabilities, in nats; NaN where there is no label.

        For `multilabel` the mean over the labels that are known.
        """
        return _losses(self.probabilities[target.name], self.labels[target.name], target)

    def loss_of(self, target: Target, place: int) -> float:
        """The `loss` of one image."""
        one = slice(place, place + 1)
        return float(_losses(self.probabilities[target.name][one], self.labels[target.name][one], target)[0])


def _losses(
    probabilities: NDArray[np.float32], labels: NDArray[np.integer[Any]], target: Target
) -> NDArray[np.float32]:
    if target.kind == "multilabel":
        known = labels != UNKNOWN
        losses = np.where(known, _nats(np.where(labels == 1, probabilities, 1 - probabilities)), 0)
        counts = known.sum(axis=1)
        return np.where(counts > 0, losses.sum(axis=1) / np.maximum(counts, 1), np.nan).astype(np.float32)
    found = probabilities[np.arange(len(labels)), np.maximum(labels, 0)]
    return np.where(labels == UNKNOWN, np.nan, _nats(found)).astype(np.float32)


def _nats(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    return -np.log(np.maximum(probabilities.astype(np.float64), LOWEST_PROBABILITY))


def known_predictions(run: Run, part: str = "test") -> RunPredictions | None:
    """The predictions for a part as they are cached; None where they are to be computed.

    Raises:
        DataError: no such part is known, or the run is not finished.
    """
    row = _rows(run).get(_key(part))
    return None if row is None else _decoded(row)


def run_predictions(
    run: Run, part: str = "test", *, log: Log = no_log, on_progress: OnProgress = lambda share: None
) -> RunPredictions:
    """The predictions of a run's model for the images of one part, computed where they are not cached.

    Args:
        part: `test`, without images that the model has seen; `validation`; or `train`.
        log: called with a sentence before slow steps.
        on_progress: called with the share of the images that are predicted, 0 to 1.

    Raises:
        DataError: the run is not finished, its data were in memory, cannot be read or have changed, or it has no such
            part.
        BundleError: the model cannot be opened.
    """
    rows = _rows(run)
    row = rows.get(_key(part))
    if row is not None and (known := _decoded(row)):
        return known
    record = run.record
    predictor = Predictor.open(run.folder, graph=FLOAT32).with_vectors().with_cache()
    computed = _predict(predictor, read_run_data(run, record, log), part, log, on_progress)
    rows.add(_key(part), _encoded(computed))
    rows.flush()
    return computed


def parts_of_run(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of which a finished run has predictions: the test set first. After cross-fitting, no validation set,
    because the model was trained on it too.

    Args:
        record: the run's `run.json`.
    """
    sizes = record["data"]["split_sizes"]
    parts = ("test", "train") if is_cross_fitted(record) else ("test", "validation", "train")
    return tuple(part for part in parts if sizes.get(part))


def _predict(predictor: Predictor, data: RunData, part: str, log: Log, on_progress: OnProgress) -> RunPredictions:
    selected = select_part(predictor, _without_parts_of_others(data.dataset, part), part, log)
    images = align(selected.images, predictor.targets)
    output = _infer(predictor, images, on_progress)
    _, policies = predictor.rules.for_predictions()
    decided = {
        t.name: triage(t, output.probabilities[t.name], policies[t.name], output.is_ood) for t in predictor.targets
    }
    clusters = images.clusters
    return RunPredictions(
        part=selected.part,
        targets=predictor.targets,
        ids=images.ids,
        indices=data.find(images.ids),
        clusters=None if clusters is None else np.unique(clusters.astype(str), return_inverse=True)[1].astype(np.int64),
        labels=dict(images.labels),
        probabilities=output.probabilities,
        predicted={
            name: each.predicted if each.predicted_labels is None else each.predicted_labels.astype(np.int8)
            for name, each in decided.items()
        },
        decisions={name: each.decisions for name, each in decided.items()},
        vectors=None if output.vectors is None else output.vectors.astype(DTYPE),
    )


def _infer(predictor: Predictor, images: Dataset, on_progress: OnProgress) -> ModelOutput:
    outputs = []
    for start in range(0, max(len(images), 1), CHUNK):
        chosen = np.arange(start, min(start + CHUNK, len(images)))
        outputs.append(infer_dataset(predictor, images.take(chosen)))
        on_progress((start + len(chosen)) / max(len(images), 1))
    return concat_outputs(outputs)


def _without_parts_of_others(dataset: Dataset, part: str) -> Dataset:
    """`dataset` as `select_part` finds `part` in it by the images that the model has seen.

    A validation set that was drawn is within the data's training part. What only trains is in the training set too.
    """
    if part not in PARTS:
        raise DataError("part_name", **unknown(part, PARTS), dataset=dataset.name)
    if part == "train":
        dataset = replace(dataset, drawn_at_random=None)
    if part == "test" or dataset.parts is None or (dataset.parts == "validation").any():
        return dataset
    return replace(dataset.part("train"), parts=None)


def _rows(run: Run) -> RowCache:
    """The cache of what follows from these files of the run."""
    digests = []
    for name in FILES:
        path = run.folder / name
        digests.append(_file_digest(path) if path.exists() else "")
    return RowCache(
        name_of_parts("run predictions", CACHE_FORMAT, digests, versions("muslin", "onnxruntime"), processor())
    )


def _file_digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=reason_of(error)) from error


def _key(part: str) -> bytes:
    return hashlib.sha256(part.encode()).digest()


def _encoded(predictions: RunPredictions) -> bytes:
    """A JSON header with names, then the arrays as a .npz file."""
    targets = [[target.name, list(target.classes), target.kind] for target in predictions.targets]
    arrays: dict[str, Any] = {"indices": predictions.indices}
    for name in ("clusters", "vectors"):
        if (array := getattr(predictions, name)) is not None:
            arrays[name] = array
    for name in PER_TARGET:
        for number, target in enumerate(predictions.targets):
            arrays[f"{name}-{number}"] = getattr(predictions, name)[target.name]
    header = json.dumps({"part": predictions.part, "targets": targets, "ids": predictions.ids.tolist()}).encode()
    file = io.BytesIO()
    file.write(len(header).to_bytes(8, "little") + header)
    np.savez(file, **arrays)
    return file.getvalue()


def _decoded(row: bytes) -> RunPredictions | None:
    """The predictions of a cached row; None where it is not as this version writes it."""
    try:
        end = 8 + int.from_bytes(row[:8], "little")
        header = json.loads(row[8:end])
        targets = tuple(Target(name, tuple(classes), kind) for name, classes, kind in header["targets"])
        with np.load(io.BytesIO(row[end:]), allow_pickle=False) as arrays:
            return RunPredictions(
                part=header["part"],
                targets=targets,
                ids=np.array(header["ids"], object),
                indices=arrays["indices"],
                clusters=arrays.get("clusters"),
                vectors=arrays.get("vectors"),
                **{
                    name: {target.name: arrays[f"{name}-{number}"] for number, target in enumerate(targets)}
                    for name in PER_TARGET
                },
            )
    except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
        return None

"""Evaluate a model on a data set: `muslin evaluate`, and the test set at the end of a training run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import PARTS, UNKNOWN, Dataset, PixelImages, Split, align
from muslin.data.photos import PhotoImages, ResizedPhotos, decode_photos, pixel_batches, readable_photos, resize_photos
from muslin.errors import DataError
from muslin.evaluation import AnyEvaluation, MultilabelEvaluation, evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.reliability import Predictions, measure_reliability
from muslin.evaluation.selective import DEFAULT_PRECISION
from muslin.evaluation.thresholds import DEFAULT_THRESHOLD
from muslin.learn.networks import is_backbone
from muslin.learn.recipes import recipe_from_dict
from muslin.messages import Log, Message, no_log
from muslin.models.predictor import ModelOutput, Predictor, concat_outputs
from muslin.storage.atomic import write_atomically
from muslin.workflows.run_folder import split_for_recipe

MAX_SLICES = 100
"""Values of a column that become slices; with more, each has too few images."""

MAX_LEAK_IMAGES = 100_000
"""Training and evaluated images among which near-copies are searched; more would take minutes."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `evaluate`.

    Attributes:
        split: `train`, `validation`, `test` or `all`; see `select_part`.
        precision, guarantee: see `muslin.evaluation.selective.acceptance_policy`.
        slice_by: a column of the table; each of its values is evaluated as a slice.
        read_options: how to read the data, as `muslin.read` takes it.
    """

    split: str = "test"
    precision: float = DEFAULT_PRECISION
    guarantee: str = "overall"
    slice_by: str | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation of a model on a part of a data set.

    Attributes:
        part: the part; `all` for a whole data set.
        evaluations: per target's name; targets without a label are left out.
    """

    part: str
    evaluations: Mapping[str, AnyEvaluation]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `evaluation.json`."""
        targets = {name: evaluation.to_dict() for name, evaluation in self.evaluations.items()}
        return {"part": self.part, "targets": targets}

    def write(self, path: Path) -> None:
        """Write `evaluation.json`.

        Raises:
            StorageError: the disk is full or the file cannot be written.
        """
        write_atomically(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    options: EvaluateOptions | None = None,
    *,
    log: Log = no_log,
) -> EvaluationResult:
    """Evaluate a model on a part of a data set: metrics, reliability, slices, and near-copies of training images.

    Args:
        data: a known name, a file or a folder, or a Dataset.
        log: called with a sentence before slow steps, and with warnings.

    Raises:
        DataError: the part or the column does not exist, no image is labelled, or a class is unknown to the model.
        BundleError: the model cannot be opened.
    """
    from muslin.data import read_and_log

    options = options or EvaluateOptions()
    predictor = model if isinstance(model, Predictor) else Predictor.open(model)
    predictor.policies(options.precision, options.guarantee)  # refuses bad options before any work
    dataset = read_and_log(data, log=log, **options.read_options)
    column = None if options.slice_by is None else _read_column(data, options.read_options, options.slice_by)
    images, part = select_part(predictor, dataset, options.split, log)
    if warning := _overlap_warning(predictor, dataset, images, part):
        log(warning)
    leaked = _find_leaked(predictor, dataset, images, part, log)
    images, output = predict_dataset(predictor, images)
    values = None if column is None else np.array([column.get(str(i), "") for i in images.ids], dtype=object)
    return EvaluationResult(
        part, evaluate_output(predictor, images, output, options, slice_values=values, leaked=leaked)
    )


def evaluate_output(
    predictor: Predictor,
    dataset: Dataset,
    output: ModelOutput,
    options: EvaluateOptions | None = None,
    *,
    slice_values: NDArray[Any] | None = None,
    leaked: NDArray[np.bool_] | None = None,
) -> dict[str, AnyEvaluation]:
    """The evaluation of each labelled target, from the output of `predict_dataset`.

    Args:
        options: precision and guarantee count.
        slice_values, leaked: see `muslin.evaluation.reliability.Predictions`.

    Raises:
        DataError: no image is labelled.
    """
    options = options or EvaluateOptions()
    evaluations: dict[str, AnyEvaluation] = {}
    for target in predictor.targets:
        labels, probabilities = dataset.labels[target.name], output.probabilities[target.name]
        if (labels == UNKNOWN).all():
            continue
        thresholds = predictor.thresholds.get(target.name, ())
        arrays, ids = (labels, probabilities, target.classes), dataset.ids
        evaluation: AnyEvaluation
        if target.kind == "multilabel":
            evaluation = evaluate_multilabel(*arrays, thresholds, ids=ids)
        else:
            evaluation = evaluate_multiclass(*arrays, ids=ids, threshold=(*thresholds, DEFAULT_THRESHOLD)[0])
        raw, groups = output.raw_probabilities[target.name], dataset.groups
        reliability = measure_reliability(
            target,
            Predictions(labels, raw, probabilities, output.is_ood, groups, slice_values, leaked),
            predictor.bundle.calibration_data.get(target.name),
            label_thresholds=thresholds,
            precision=options.precision,
            guarantee=options.guarantee,
        )
        evaluations[target.name] = replace(evaluation, reliability=reliability)
    if not evaluations:
        targets = [target.name for target in predictor.targets]
        raise DataError("target_unlabelled", path=dataset.name, targets=targets)
    return evaluations


def headline_metric(evaluation: AnyEvaluation) -> dict[str, Any]:
    """An evaluation's main metric, its 95 % interval and its number of images: `accuracy`, of multilabel micro `f1`."""
    if isinstance(evaluation, MultilabelEvaluation):
        micro = evaluation.micro
        return {"f1": micro.f1, "interval": list(micro.f1_interval), "n": evaluation.n}
    interval = list(evaluation.accuracy_interval)
    return {"accuracy": evaluation.accuracy, "interval": interval, "n": evaluation.n}


def predict_dataset(predictor: Predictor, dataset: Dataset) -> tuple[Dataset, ModelOutput]:
    """`dataset` as the model takes it, with labels in the model's classes; and the model's output for it.

    Raises:
        DataError: the data set has no labels, or a class that is unknown to the model.
    """
    if not dataset.targets:
        raise DataError("no_targets", path=dataset.name)
    aligned = align(to_model_input(predictor, dataset), predictor.targets)
    # Photos are decoded while the network works on those before them
    return aligned, concat_outputs([predictor.infer(batch) for batch in pixel_batches(aligned)])


def to_model_input(predictor: Predictor, dataset: Dataset, log: Log = no_log) -> Dataset:
    """`dataset` with its photos as the model takes them; pixel images are unchanged."""
    preprocessing = predictor.bundle.preprocessing
    if isinstance(dataset.images, ResizedPhotos):
        return dataset
    if is_backbone(predictor.bundle.network.get("name")) and isinstance(dataset.images, PhotoImages):
        resized = resize_photos(dataset, preprocessing.shape, preprocessing.transform)
        return readable_photos(resized, log=log)
    return decode_photos(dataset, preprocessing.shape, transform=preprocessing.transform, log=log)


def select_part(predictor: Predictor, dataset: Dataset, split: str, log: Log = no_log) -> tuple[Dataset, str]:
    """The images that `split` (`train`, `validation`, `test` or `all`) means, as the model takes them; and their part.

    Data without parts that the model was trained on are split as in training, so that the test set holds no training
    image. Other data without parts are taken whole.

    Raises:
        DataError: the data set has no such part.
    """
    if dataset.parts is not None and split in PARTS:  # decodes no photo of another part
        dataset = dataset.part(split)
    dataset = to_model_input(predictor, dataset, log)
    if split == "all":
        return dataset, split
    if dataset.parts is not None or split not in PARTS:
        return dataset.part(split), split
    if (parts := training_split(predictor, dataset)) is not None:
        return dataset.take(getattr(parts, split)), split
    return dataset, "all"


def training_split(predictor: Predictor, dataset: Dataset) -> Split | None:
    """How training split a data set without parts; None for data that the model was not trained on."""
    record = predictor.bundle.provenance
    try:
        fingerprint, recipe = record["data"]["fingerprint"], recipe_from_dict(record["recipe"])
        seed = int(record["seed"])
    except (KeyError, TypeError, ValueError):  # not made by `muslin train`
        return None
    return split_for_recipe(dataset, recipe, seed) if fingerprint == dataset.fingerprint else None


def _overlap_warning(predictor: Predictor, dataset: Dataset, images: Dataset, part: str) -> Message | None:
    """A warning where the evaluated images were used in training.

    The golden images, which are training images, reveal it for pixel images, however they are read. Photos, which
    would have to be decoded for that, are recognised by the data's fingerprint.
    """
    trained_on = predictor.bundle.provenance.get("data")
    same = isinstance(trained_on, dict) and trained_on.get("fingerprint") == dataset.fingerprint
    if isinstance(images.images, PixelImages):
        contents = {image.tobytes() for image in images.images.pixels}
        golden = predictor.bundle.golden_pixels
        overlap = sum(image.tobytes() in contents for image in golden) > len(golden) / 2
    else:
        overlap = same and part in ("train", "all")
    if overlap:
        return Message("evaluated_on_training")
    return Message("evaluated_on_validation") if same and part == "validation" else None


def _read_column(data: str | Path | Dataset, read_options: Mapping[str, Any], name: str) -> dict[str, str]:
    """Per id the value in a column of the table. Read separately, because a further target changes the data set."""
    from muslin.data import read
    from muslin.data.registry import DATASETS

    if isinstance(data, str) and data in DATASETS:
        raise DataError("no_column", path=data)
    dataset = data if isinstance(data, Dataset) else read(data, **{**read_options, "target": (name,)})
    target = dataset.target(name)
    if target.kind == "multilabel":
        raise DataError("column_multilabel", path=dataset.name, column=name)
    if len(target.classes) > MAX_SLICES:
        found = len(target.classes)
        raise DataError("column_values", path=dataset.name, column=name, found=found, limit=MAX_SLICES)
    names = (*target.classes, "")  # the last for UNKNOWN, -1
    return {str(i): names[value] for i, value in zip(dataset.ids, dataset.labels[name], strict=True)}


def _find_leaked(
    predictor: Predictor, dataset: Dataset, images: Dataset, part: str, log: Log
) -> NDArray[np.bool_] | None:
    """Which images are near-copies of training images; None where the training images are not in `dataset`."""
    from muslin.data.audit.duplicates import find_duplicates
    from muslin.data.audit.image_stats import compute_image_stats

    train = _training_indices(predictor, dataset, part)
    if not len(train):
        return None
    places = {name: i for i, name in enumerate(dataset.ids)}
    evaluated = np.array([places[name] for name in images.ids], dtype=np.int64)
    n = len(train) + len(evaluated)
    if n > MAX_LEAK_IMAGES:
        log(Message("leak_search_skipped", limit=MAX_LEAK_IMAGES))
        return None
    if n > 5_000:  # fewer take about a second
        log(Message("leak_search"))
    both = dataset.take(np.concatenate([train, evaluated]))
    copies = find_duplicates(both, compute_image_stats(both.images), no_log)
    # Only the first of identical images is in the pairs: `representative` is that of each image
    representative = np.arange(n)
    for group in copies.identical:
        representative[group] = group[0]
    is_train = np.zeros(n, dtype=np.bool_)
    is_train[representative[: len(train)]] = True
    one, other = copies.near_pairs.T
    leaked = is_train.copy()
    leaked[other[is_train[one]]] = leaked[one[is_train[other]]] = True
    return np.asarray(leaked[representative[len(train) :]])


def _training_indices(predictor: Predictor, dataset: Dataset, part: str) -> NDArray[np.int64]:
    """Where in `dataset` the model's training images are; none where that is not known."""
    if part not in ("train", "all"):
        if dataset.parts is not None:
            return np.flatnonzero(dataset.parts == "train")
        # The split of photos is known only after decoding all of them
        if isinstance(dataset.images, PixelImages) and (parts := training_split(predictor, dataset)):
            return parts.train
    return np.empty(0, dtype=np.int64)

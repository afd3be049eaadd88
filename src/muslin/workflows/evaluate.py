"""Evaluate a model on a data set: `muslin evaluate`, and the test set at the end of a training run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.data.photo_roles import shows_only_packaging
from muslin.errors import DataError
from muslin.evaluation import AnyEvaluation, MultilabelEvaluation, evaluate_multiclass, evaluate_multilabel
from muslin.evaluation.metrics import Labels
from muslin.evaluation.product_metrics import ProductMetrics, measure_products
from muslin.evaluation.products import photos_in_scope
from muslin.evaluation.reliability import Predictions, Reliability, measure_reliability
from muslin.evaluation.thresholds import DEFAULT_THRESHOLD
from muslin.messages import Log, no_log
from muslin.models.model_output import ModelOutput
from muslin.models.predictor import Predictor
from muslin.storage.outputs import Output
from muslin.strict_json import json_text
from muslin.workflows.inputs import check_output, check_photos, check_targets_used
from muslin.workflows.model_input import align_and_log, infer_dataset, open_with_cache, to_model_input
from muslin.workflows.selected_part import SeenCounts, select_part

MAX_SLICES = 100
"""Values of a column that become slices; with more, each has too few images."""

TARGET_OPTIONS = ("label_separator", "junk", "min_per_class", "rare_classes")
"""Options of reading that are for the targets, not for a column of slices."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `evaluate`.

    Attributes:
        split: `train`, `validation`, `test` or `all`; see `select_part`.
        precision: target of the accepted predictions; by default as in `TagOptions`.
        guarantee: see `muslin.evaluation.selective.acceptance_policy`.
        slice_by: a column of the table; each of its values is evaluated as a slice.
        read_options: how to read the data, as `muslin.read` takes it.
    """

    split: str = "test"
    precision: float | None = None
    guarantee: str = "overall"
    slice_by: str | None = None
    read_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation of a model on a part of a data set.

    Attributes:
        part: the part; `all` for a whole data set.
        evaluations: per target's name; targets without a label are left out.
        dataset: the evaluated images.
        seen_images: how many images of the part the model has seen; None where it does not say.
    """

    part: str
    evaluations: Mapping[str, AnyEvaluation]
    dataset: Dataset
    seen_images: SeenCounts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the content of `evaluation.json`."""
        targets = {name: evaluation.to_dict() for name, evaluation in self.evaluations.items()}
        seen = self.seen_images and self.seen_images.to_dict()
        return {"part": self.part, "seen_images": seen, "targets": targets, **self.dataset.notes()}

    def write(self, out: str | Path | Output) -> None:
        """Write the content of `evaluation.json` to a new file; as an Output it can replace a file.

        Raises:
            StorageError: the file exists, the disk is full or the file cannot be written.
        """
        Output.of(out).write(json_text(self.to_dict(), indent=2) + "\n")


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset,
    options: EvaluateOptions | None = None,
    *,
    out: str | Path | Output | None = None,
    log: Log = no_log,
) -> EvaluationResult:
    """Evaluate a model on a part of a data set: metrics, reliability, slices, and near-copies of training images.

    Images that the model was trained or validated on are set aside, unless `options.split` asks for them. What was
    decoded and computed for photos is cached, so that the same evaluation again decodes none.

    Args:
        data: a known name, a file or a folder, or a Dataset.
        out: a new file for the metrics, see `EvaluationResult.write`; as an Output it can replace a file.
        log: called with a sentence before slow steps, and with warnings.

    Raises:
        DataError: the part or the column does not exist, the model has seen every image, no image is labelled, or a
            class is unknown to the model.
        BundleError: the model cannot be opened.
        StorageError: see `muslin.storage.outputs.Output`; before the work starts where possible.
    """
    from muslin.data import read_and_log, with_fixes

    options = options or EvaluateOptions()
    output_file = None if out is None else Output.of(out)
    check_output(output_file, (model,), (data,))
    predictor = open_with_cache(model)
    if predictor.graph_note:
        log(predictor.graph_note)
    predictor.rules.policies(options.precision, options.guarantee, explain=False)  # refuses bad options before any work
    names = {} if isinstance(data, Dataset) else {"model_targets": [target.name for target in predictor.targets]}
    dataset = read_and_log(data, log=log, to_measure=True, **options.read_options, **names)
    check_photos(output_file, dataset)
    check_targets_used(dataset, [predictor], options.read_options)
    column = None if options.slice_by is None else _read_column(data, options.read_options, options.slice_by)
    selected = select_part(predictor, dataset, options.split, log)
    images, output = predict_dataset(predictor, with_fixes(selected.images, selected.messages(predictor), log), log)
    values = None if column is None else np.array([column.get(str(i), "") for i in images.ids], dtype=object)
    leaked = selected.leaked(log)
    evaluations = evaluate_output(predictor, images, output, options, slice_values=values, leaked=leaked)
    result = EvaluationResult(selected.part, evaluations, images, selected.seen)
    if output_file:
        result.write(output_file)
    return result


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
        evaluation = evaluate_target(predictor, target, labels, output, dataset.ids, dataset.clusters)
        raw = output.raw_probabilities[target.name]
        predictions = Predictions(labels, raw, probabilities, output.is_ood, dataset.clusters, slice_values, leaked)
        reliability = _reliability(predictor, target, predictions, options)
        if reliability and dataset.products is not None:
            products = _product_metrics(predictor, target, predictions, dataset, options)
            reliability = replace(reliability, products=products)
        evaluations[target.name] = replace(evaluation, reliability=reliability)
    if not evaluations:
        targets = [target.name for target in predictor.targets]
        raise DataError("target_unlabelled", path=dataset.name, targets=targets)
    return evaluations


def evaluate_target(
    predictor: Predictor, target: Target, labels: Labels, output: ModelOutput, ids: NDArray[np.object_],
    groups: NDArray[Any] | None = None,
) -> AnyEvaluation:  # fmt: skip
    """The metrics of one target's predictions, without their reliability.

    Args:
        labels: integer (n,), or (n, classes) for a multilabel target.
        ids: (n,) names of the images.
        groups: (n,): images of one group are not independent; None where all images are.
    """
    thresholds = predictor.thresholds.get(target.name, ())
    arrays = labels, output.probabilities[target.name], target.classes
    if target.kind == "multilabel":
        return evaluate_multilabel(*arrays, thresholds, ids=ids, groups=groups)
    threshold = (*thresholds, DEFAULT_THRESHOLD)[0]
    return evaluate_multiclass(*arrays, ids=ids, threshold=threshold, groups=groups)


def _reliability(
    predictor: Predictor, target: Target, predictions: Predictions, options: EvaluateOptions
) -> Reliability | None:
    acceptance = predictor.rules.acceptance(options.guarantee)
    reliability = measure_reliability(
        target,
        predictions,
        predictor.bundle.calibration_data.get(target.name),
        label_thresholds=predictor.thresholds.get(target.name, ()),
        precision=predictor.rules.precision(options.precision, options.guarantee),
        guarantee=options.guarantee,
    )
    return reliability and replace(reliability, acceptance=acceptance.get(target.name, ()))


def _product_metrics(
    predictor: Predictor, target: Target, predictions: Predictions, dataset: Dataset, options: EvaluateOptions
) -> ProductMetrics | None:
    numbers = np.unique(np.asarray(dataset.products).astype(str), return_inverse=True)[1]
    kept, _ = photos_in_scope(numbers, predictions.is_ood)
    acceptance = predictor.rules.acceptance(options.guarantee, per_product=True)
    precision = predictor.rules.precision(options.precision, options.guarantee, per_product=True)
    return measure_products(
        target,
        predictions,
        numbers,
        predictor.bundle.product_calibration.get(target.name),
        predictor.rules.policies(precision, options.guarantee, per_product=True)[target.name],
        acceptance.get(target.name, ()),
        shows_only_packaging(None if dataset.roles is None else dataset.roles[kept], numbers[kept]),
    )


def headline_metric(evaluation: AnyEvaluation) -> dict[str, Any]:
    """An evaluation's main metric, its 95 % interval and its number of images: `accuracy`, of multilabel micro `f1`.

    Of data with products also the accuracy of these, under `products`; not of a multilabel target.
    """
    if isinstance(evaluation, MultilabelEvaluation):
        micro = evaluation.micro
        return {"f1": micro.f1, "interval": list(micro.f1_interval), "n": evaluation.n}
    interval = list(evaluation.accuracy_interval)
    metric = {"accuracy": evaluation.accuracy, "interval": interval, "n": evaluation.n}
    products = evaluation.reliability and evaluation.reliability.products
    if products:
        values = {"accuracy": products.accuracy, "interval": list(products.accuracy_interval), "n": products.n}
        metric["products"] = values
    return metric


def predict_dataset(predictor: Predictor, dataset: Dataset, log: Log = no_log) -> tuple[Dataset, ModelOutput]:
    """`dataset` as the model takes it, with labels in the model's classes; and the model's output for it.

    Args:
        log: called with how the labels were matched, where not by their names.

    Raises:
        DataError: the data set has no labels, or a class that is unknown to the model.
    """
    if not dataset.targets:
        raise DataError("no_targets", path=dataset.name)
    aligned = align_and_log(to_model_input(predictor, dataset), predictor.targets, log)
    return aligned, infer_dataset(predictor, aligned)


def _read_column(data: str | Path | Dataset, read_options: Mapping[str, Any], name: str) -> dict[str, str]:
    """Per id the value in a column of the table. Read separately, because a further target changes the data set."""
    from muslin.data import read
    from muslin.data.registry import DATASETS

    if isinstance(data, str) and data in DATASETS:
        raise DataError("no_column", path=data)
    options = {key: value for key, value in read_options.items() if key not in TARGET_OPTIONS}
    try:
        dataset = data if isinstance(data, Dataset) else read(data, **{**options, "target": (name,)})
    except DataError as error:
        if error.code != "format_option_unused":
            raise
        raise DataError(error.code, **{**error.params, "options": ["slice_by"]}) from None
    target = dataset.target(name)
    if target.kind == "multilabel":
        raise DataError("column_multilabel", path=dataset.name, column=name)
    if len(target.classes) > MAX_SLICES:
        found = len(target.classes)
        raise DataError("column_values", path=dataset.name, column=name, found=found, limit=MAX_SLICES)
    names = (*target.classes, "")  # the last for UNKNOWN, -1
    return {str(i): names[value] for i, value in zip(dataset.ids, dataset.labels[name], strict=True)}

"""Compare two models on the same images: `muslin compare`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Dataset, Target
from muslin.errors import BundleError, DataError
from muslin.evaluation.compare import Comparison, compare_predictions
from muslin.evaluation.product_calibration import count_ambiguous, first_photos, product_labels, product_probabilities
from muslin.evaluation.thresholds import predict_classes
from muslin.messages import Log, Message, no_log
from muslin.models.model_output import ModelOutput
from muslin.models.predictor import Predictor
from muslin.reporting.image_grids import SheetSection, contact_sheet
from muslin.storage.outputs import Output
from muslin.text import plural
from muslin.workflows.inputs import check_output, check_photos, check_targets_used
from muslin.workflows.model_input import align_and_log, infer_dataset, open_with_cache
from muslin.workflows.selected_part import SeenCounts, SelectedPart, select_part

MAX_IMAGES_SHOWN = 32
"""In each section of the sheet of disagreements."""


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """Two models compared on a part of a data set.

    Attributes:
        part: the part; `all` for a whole data set.
        comparisons: per name of a target that both models have.
        dataset: the compared images, as the first model takes them, with their labels.
        predictions: per target both models' predictions: integer (n,), or (n, classes) of 0 and 1.
        seen_images: how many images of the part each model has seen; None where it does not say.
        products: the same as `comparisons` for products, each predicted from all its photos; empty where the data have
            no products.
    """

    part: str
    comparisons: Mapping[str, Comparison]
    dataset: Dataset
    predictions: Mapping[str, tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]]
    seen_images: tuple[SeenCounts | None, SeenCounts | None] = (None, None)
    products: Mapping[str, Comparison] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; images by their ids."""
        targets = {}
        for name, comparison in self.comparisons.items():
            values = comparison.to_dict()
            for key in ("images_only_a_correct", "images_only_b_correct", "images_neither_correct"):
                values[key] = [str(self.dataset.ids[i]) for i in values[key]]
            if name in self.products:
                values["products"] = _without_images(self.products[name].to_dict())
            targets[name] = values
        seen = {name: counts and counts.to_dict() for name, counts in zip("ab", self.seen_images, strict=True)}
        return {"part": self.part, "seen_images": seen, "targets": targets, **self.dataset.notes()}


def _without_images(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith("images_")}


@dataclass(frozen=True)
class CompareOptions:
    """Options of `compare`.

    Attributes:
        split: see `muslin.workflows.selected_part.select_part`. Where the models have different parts of data without
            parts, the images in both.
        require_unseen: set aside the images that either model has seen whatever `split` is, and refuse a model that
            does not say which it has seen.
        read_options: how to read the data, as `muslin.read` takes it.
        graph: of models that are opened here, as of `muslin.models.predictor.Predictor.open`.
    """

    split: str = "test"
    require_unseen: bool = False
    read_options: Mapping[str, Any] = field(default_factory=dict)
    graph: str | None = None


def compare(
    a: str | Path | Predictor,
    b: str | Path | Predictor,
    data: str | Path | Dataset,
    options: CompareOptions | None = None,
    *,
    out: str | Path | Output | None = None,
    log: Log = no_log,
) -> ComparisonResult:
    """Compare two models on the same images.

    Images that either model was trained or validated on are set aside, unless `options.split` asks for them. What was
    decoded and computed for photos is cached, so that the same comparison again decodes only the photos of a sheet.

    Args:
        out: a new PNG file for the images on which the models disagree; of several targets one file each, such as
            `sheet-kind.png`. As an Output it can replace files.

    Raises:
        DataError: no such part, no image in common that neither has seen, no labels, or no target in common.
        BundleError: a model cannot be opened, or does not say which images it has seen.
        StorageError: see `muslin.storage.outputs.Output`; before the work starts where possible.
    """
    from muslin.data import read_and_log

    options = options or CompareOptions()
    predictors = [open_with_cache(model, options.graph) for model in (a, b)]
    for note in dict.fromkeys(predictor.graph_note for predictor in predictors if predictor.graph_note):
        log(note)
    for predictor in predictors if options.require_unseen else ():
        if predictor.bundle.seen_images is None:
            raise BundleError("seen_images_missing", path=predictor.name)
    pairs = _common_targets(*predictors)
    sheets = _sheets(out, [target.name for target, _ in pairs])
    for sheet in sheets.values():
        check_output(sheet, (a, b), (data,))
    names = {} if isinstance(data, Dataset) else {"model_targets": [target.name for target, _ in pairs]}
    dataset = read_and_log(data, log=log, to_measure=True, **options.read_options, **names)
    for sheet in sheets.values():
        check_photos(sheet, dataset)
    if not dataset.targets:
        raise DataError("no_targets", path=dataset.name)
    check_targets_used(dataset, predictors, options.read_options)
    result = _compare_selected(predictors, pairs, dataset, options, log)
    _write_sheets(result, sheets, log)
    return result


def _compare_selected(
    predictors: list[Predictor], pairs: list[tuple[Target, Target]], dataset: Dataset, options: CompareOptions, log: Log
) -> ComparisonResult:
    """Both models compared on the images of the part that neither has seen."""
    selected = [
        select_part(predictor, dataset, options.split, each_log, unseen=options.require_unseen or None)
        for predictor, each_log in zip(predictors, (log, no_log), strict=True)
    ]
    images = _common_images([each.images for each in selected], log)
    images[0] = _with_messages(predictors, selected, images[0], log)
    aligned = align_and_log(images[0], [target for target, _ in pairs], log)
    outputs = [infer_dataset(p, each) for p, each in zip(predictors, images, strict=True)]
    predictions = _predict_both(predictors, pairs, [output.probabilities for output in outputs])
    comparisons = {
        target.name: compare_predictions(
            aligned.labels[target.name], *predictions[target.name], target.classes, aligned.clusters
        )
        for target, _ in pairs
    }
    parts = {each.part for each in selected}
    part, seen = parts.pop() if len(parts) == 1 else options.split, (selected[0].seen, selected[1].seen)
    products = _compare_products(predictors, pairs, outputs, aligned, log)
    return ComparisonResult(part, comparisons, aligned, predictions, seen, products)


def _compare_products(
    predictors: list[Predictor],
    pairs: list[tuple[Target, Target]],
    outputs: list[ModelOutput],
    dataset: Dataset,
    log: Log,
) -> dict[str, Comparison]:
    """Per target of which a product has a label, the comparison of the products, each predicted from all its photos in
    scope."""
    if dataset.products is None:
        return {}
    numbers = np.unique(dataset.products.astype(str), return_inverse=True)[1]
    clusters = dataset.clusters
    clusters = None if clusters is None else clusters[first_photos(numbers)]
    combined: list[dict[str, NDArray[np.float32]]] = [{}, {}]
    for place, (predictor, output) in enumerate(zip(predictors, outputs, strict=True)):
        for target in (pair[place] for pair in pairs):
            data = predictor.bundle.product_calibration.get(target.name)
            of_photos = output.probabilities[target.name]
            combined[place][target.name] = product_probabilities(target, of_photos, numbers, data, output.is_ood)
    predictions, comparisons = _predict_both(predictors, pairs, combined), {}
    for target, _ in pairs:
        labels = product_labels(target, dataset.labels[target.name], numbers)
        if ambiguous := count_ambiguous(dataset.labels[target.name], labels, numbers):
            log(Message("products_ambiguous", target=target.name, n=ambiguous))
        if (labels != UNKNOWN).any():
            arrays = labels, *predictions[target.name]
            comparisons[target.name] = compare_predictions(*arrays, target.classes, clusters)
    return comparisons


def _with_messages(predictors: list[Predictor], selected: list[SelectedPart], images: Dataset, log: Log) -> Dataset:
    """`images` of the first model with the messages of both models' parts, each once."""
    from muslin.data import with_fixes

    about = [message for p, each in zip(predictors, selected, strict=True) for message in each.messages(p)]
    messages = dict.fromkeys([*selected[1].images.fixes, *about])
    return with_fixes(images, [each for each in messages if each not in images.fixes], log)


def _common_targets(a: Predictor, b: Predictor) -> list[tuple[Target, Target]]:
    others = {(target.name, target.kind): target for target in b.targets}
    pairs = [(t, others[t.name, t.kind]) for t in a.targets if (t.name, t.kind) in others]
    if not pairs:
        raise DataError("no_common_target")
    return pairs


def _predict_both(
    predictors: list[Predictor], pairs: list[tuple[Target, Target]], outputs: list[dict[str, NDArray[np.float32]]]
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Per target of the first model both models' predictions, in its classes.

    Args:
        outputs: each model's probabilities, per its target's name.
    """
    predictions = {}
    for target, other in pairs:
        predicted_a, predicted_b = (
            _predicted(t, probabilities[t.name], predictor.thresholds.get(t.name, ()))
            for t, probabilities, predictor in zip((target, other), outputs, predictors, strict=True)
        )
        predictions[target.name] = predicted_a, _to_classes_of(target, predicted_b, other)
    return predictions


def _write_sheets(result: ComparisonResult, sheets: Mapping[str, Output], log: Log) -> None:
    for name, sheet in sheets.items():
        if (content := disagreements(result, name)) is None:
            log(Message("models_agree", target=name))
        else:
            sheet.write(content)
            log(Message("file_written", path=str(sheet.path)))


def _sheets(out: str | Path | Output | None, names: list[str]) -> dict[str, Output]:
    """Per target the sheet to write: `sheet.png`, or of several targets `sheet-kind.png`."""
    if out is None:
        return {}
    output = Output.of(out)
    if len(names) == 1:
        return {names[0]: output}
    path, sheets = output.path, dict[str, Output]()
    for name in names:
        plain = "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in name)
        taken = {sheet.path.name.casefold() for sheet in sheets.values()}
        file, number = f"{path.stem}-{plain}{path.suffix}", 1
        while file.casefold() in taken:
            number += 1
            file = f"{path.stem}-{plain}-{number}{path.suffix}"
        sheets[name] = output.beside(file)
    return sheets


def _common_images(images: list[Dataset], log: Log) -> list[Dataset]:
    """The images that are in each data set, in the same order."""
    first, second = images
    common = first.ids[np.isin(first.ids.astype(str), second.ids.astype(str))]
    if not len(common):
        raise DataError("no_common_image", path=first.name)
    if len(common) < max(len(first), len(second)):
        log(Message("common_images", n=len(common)))
    places = ({id_: i for i, id_ in enumerate(each.ids)} for each in images)
    chosen = (np.array([place[id_] for id_ in common], dtype=np.int64) for place in places)
    return [each.take(indices) for each, indices in zip(images, chosen, strict=True)]


def disagreements(result: ComparisonResult, target_name: str) -> bytes | None:
    """A sheet of the images that the models predict differently, as a PNG's bytes; None for no such image.

    Sections: only the second model is correct, only the first, neither; 32 images each. Under each image are the
    predictions of the first (1) and of the second model (2).
    """
    comparison, target = result.comparisons[target_name], result.dataset.target(target_name)
    a, b = result.predictions[target_name]
    sections = []
    for title, indices in (
        ("Only the second model is correct", comparison.images_only_b_correct),
        ("Only the first model is correct", comparison.images_only_a_correct),
        ("Neither is correct, with different predictions", comparison.images_neither_correct),
    ):
        if shown := indices[:MAX_IMAGES_SHOWN]:
            more = f", {len(shown)} shown" if len(shown) < len(indices) else ""
            heading = f"{title}: {plural(len(indices), 'image')}{more}"
            names = [[_predicted_names(target, predicted[i]) for predicted in (a, b)] for i in shown]
            captions = [f"1: {first}\n2: {second}" for first, second in names]
            sections.append(SheetSection(heading, [result.dataset.images[i] for i in shown], captions))
    return contact_sheet(sections) if sections else None


def _predicted(target: Target, probabilities: NDArray[np.float32], thresholds: tuple[float, ...]) -> NDArray[np.int64]:
    if target.kind == "multilabel":
        return (probabilities.astype(np.float64) >= np.asarray(thresholds)).astype(np.int64)
    return predict_classes(target, probabilities, thresholds)


def _to_classes_of(target: Target, predicted: NDArray[np.int64], other: Target) -> NDArray[np.int64]:
    """Predictions in the classes of `other`, in those of `target`; a class that it lacks gets one index beyond."""
    if other.classes == target.classes:
        return predicted
    indices = {name: i for i, name in enumerate(target.classes)}
    table = np.array([indices.get(name, len(indices)) for name in other.classes], dtype=np.int64)
    if other.kind == "multiclass":
        return np.asarray(table[predicted])
    cells = np.zeros((len(predicted), len(indices) + 1), dtype=np.int64)
    cells[:, table] = predicted
    return cells[:, :-1]


def _predicted_names(target: Target, predicted: Any) -> str:
    if np.ndim(predicted):
        return ", ".join(target.classes[i] for i in np.flatnonzero(predicted)) or "none"
    return target.classes[int(predicted)] if int(predicted) < len(target.classes) else "another class"

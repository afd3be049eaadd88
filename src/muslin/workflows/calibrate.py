"""A freshly exported bundle → the same with calibration data and an OOD detector."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.data.photo_roles import shows_only_packaging
from muslin.data.photos import pixel_batches
from muslin.evaluation.ood import MAX_REFERENCE_IMAGES, OODDetector, fit_ood_detector, normalize_rows
from muslin.evaluation.precision_bound import images_needed
from muslin.evaluation.precision_choice import first_unsupported, of_products
from muslin.evaluation.product_calibration import fit_product_calibration_data
from muslin.evaluation.selective import DEFAULT_PRECISION, CalibrationData, fit_calibration_data
from muslin.messages import Message
from muslin.models.bundle import Bundle
from muslin.models.predictor import Predictor

MAX_VALIDATION_FRACTION = 0.5
"""A larger one is not suggested, because it would leave too few images to train on."""

RawOutput = tuple[Mapping[str, NDArray[np.float32]], NDArray[np.float32] | None]
"""Raw probabilities per target's name, and features; as `Predictor.infer_raw` returns them."""

InferRaw = Callable[[NDArray[np.integer[Any]]], RawOutput]
"""From images' indices in the data set to their raw output."""


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Images with predictions of networks that were not trained on them.

    Attributes:
        indices: int64 (n,), in the data set.
        probabilities: per target's name float32 (n, classes), raw.
        ood_scores: float32 (n,), by detectors of these networks; None where the sealed model's features of the
            validation images are as good, because its backbone was not trained.
        features: float32 (n, features), the sealed model's, where these are the validation images.
    """

    indices: NDArray[np.int64]
    probabilities: Mapping[str, NDArray[np.float32]]
    ood_scores: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None


def validation_predictions(
    bundle: Bundle, dataset: Dataset, parts: Split, infer_raw: InferRaw | None = None
) -> CalibrationSet | None:
    """The predictions of a freshly exported bundle for the validation set; None without one.

    Args:
        infer_raw: by default the bundle is run.
    """
    if not len(parts.validation):
        return None
    probabilities, features = (infer_raw or infer_with(bundle, dataset))(parts.validation)
    return CalibrationSet(parts.validation, probabilities, features=features)


def calibrate(
    bundle: Bundle,
    dataset: Dataset,
    parts: Split,
    *,
    seed: int = 0,
    infer_raw: InferRaw | None = None,
    calibration_set: CalibrationSet | None = None,
) -> Bundle:
    """`bundle` with calibration data, also per product where the data have products, label thresholds, an OOD detector.

    Without a validation set and a calibration set there are no calibration data, and every prediction goes to review.

    Args:
        infer_raw: by default the bundle is run.
        calibration_set: out-of-fold predictions; by default those of `validation_predictions`.
    """
    infer_raw = infer_raw or infer_with(bundle, dataset)
    calibration_set = calibration_set or validation_predictions(bundle, dataset, parts, infer_raw)
    if calibration_set is None:
        return bundle
    features = calibration_set.features
    if features is None and len(parts.validation) and calibration_set.ood_scores is None:
        _, features = infer_raw(parts.validation)
    calibration_data, thresholds = {}, {}
    product_calibration: dict[str, CalibrationData] = {}
    indices = calibration_set.indices
    columns = dataset.clusters, dataset.products, dataset.roles
    clusters, products, roles = (None if each is None else each[indices] for each in columns)
    numbers = None if products is None else np.unique(products.astype(str), return_inverse=True)[1]
    for target in dataset.targets:
        arrays = dataset.labels[target.name][indices], calibration_set.probabilities[target.name]
        no_class = dataset.no_class[target.name][indices] if target.name in dataset.no_class else None
        fitted = fit_calibration_data(target, *arrays, clusters, no_class=no_class, seed=seed)
        if fitted is None:
            continue
        calibration_data[target.name] = fitted
        if target.kind == "multilabel":
            thresholds[target.name] = tuple(fitted.label_thresholds.tolist())
        if numbers is not None:
            inputs, packaging = (target, *arrays, numbers, fitted, clusters), shows_only_packaging(roles, numbers)
            options: dict[str, Any] = {"for_review": packaging, "no_class": no_class, "seed": seed}
            if found := fit_product_calibration_data(*inputs, **options):
                product_calibration[target.name] = found
    ood_detector, scores = None, calibration_set.ood_scores
    if features is not None or scores is not None:
        trained = parts.train if scores is None else indices
        reference = np.sort(np.random.default_rng(seed).permutation(trained)[:MAX_REFERENCE_IMAGES])
        _, reference_features = infer_raw(reference)
        assert reference_features is not None
        if scores is not None:
            ood_detector = OODDetector(normalize_rows(reference_features), np.sort(scores))
        elif features is not None:
            ood_detector = fit_ood_detector(reference_features, features)
    return replace(
        bundle,
        calibration_data=calibration_data,
        product_calibration=product_calibration,
        thresholds=thresholds,
        ood_detector=ood_detector,
    )


def validation_notes(bundle: Bundle, dataset: Dataset, parts: Split) -> list[Message]:
    """Per target whose calibration images, or their groups, are too few for a guarantee of 98 %, how many it takes.

    Of other targets, why one of the standard precisions cannot be guaranteed, and what would help. Of targets that are
    calibrated per product, the same of their products.
    """
    needed, notes = images_needed(DEFAULT_PRECISION), []
    for name, data in bundle.calibration_data.items():
        data = bundle.product_calibration.get(name, data)
        note_of = of_products if name in bundle.product_calibration else lambda note: note
        units = data.n_groups or len(data)
        if units < needed:
            total = len(parts.train) + len(parts.validation)
            share = len(parts.validation) / total * needed / units
            is_drawn = dataset.parts is None or "validation" not in dataset.parts
            n_images = len(bundle.calibration_data[name])
            helps = is_drawn and n_images <= len(parts.validation)  # more are of cross-fitting
            fraction = math.ceil(100 * share) / 100 if helps and share <= MAX_VALIDATION_FRACTION else None
            hint = "set_aside" if fraction else "add_groups" if data.n_groups else "images"
            counts = {"n": len(data), "groups": data.n_groups, "needed": needed}
            params = {"precision": DEFAULT_PRECISION, "fraction": fraction, "total": total, **counts}
            notes.append(note_of(Message("validation_too_small", hint, target=name, **params)))
        elif message := first_unsupported(dataset.target(name), data):
            notes.append(note_of(message))
    return notes


def infer_with(bundle: Bundle, dataset: Dataset) -> InferRaw:
    """What runs a bundle on images of `dataset`."""
    predictor = Predictor(bundle)
    return lambda indices: _infer_raw(predictor, dataset.take(indices))


def _infer_raw(predictor: Predictor, dataset: Dataset) -> RawOutput:
    """The raw output of all images; photos are decoded while the network works on those before them."""
    outputs = [predictor.infer_raw(batch) for batch in pixel_batches(dataset)]
    features = [rows for _, rows in outputs if rows is not None]
    probabilities = {name: np.concatenate([each[name] for each, _ in outputs]) for name in outputs[0][0]}
    return probabilities, np.concatenate(features) if features else None

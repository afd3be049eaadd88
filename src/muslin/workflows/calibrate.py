"""A freshly exported bundle → one that knows how often it is right, and what it knows."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, Split
from muslin.data.photos import pixel_batches
from muslin.evaluation.ood import REMEMBERED, fit_ood_detector
from muslin.evaluation.selective import calibration_data_from
from muslin.models.bundle import Bundle
from muslin.models.predictor import Predictor

Raw = Callable[
    [NDArray[np.integer[Any]]], tuple[Mapping[str, NDArray[np.float32]], NDArray[np.float32] | None]
]
"""A function of images' places in the data: what `Predictor.infer_raw` says of them."""


def calibrate(
    bundle: Bundle, dataset: Dataset, parts: Split, *, seed: int = 0, raw: Raw | None = None
) -> Bundle:
    """`bundle` with what it needs to calibrate, to say yes, to accept and to tell strangers, learned from the
    validation part.

    Images of a group are counted once. Where there is no validation part the bundle is returned as it is, and
    everything it answers goes to review.

    Args:
        raw: where the answers are known already; by default the bundle is asked.
    """
    if not len(parts.validation):
        return bundle
    predictor, validation = Predictor(bundle), dataset.take(parts.validation)
    raw = raw or (lambda places: _raw(predictor, dataset.take(places)))
    probabilities, features = raw(parts.validation)
    calibration_data = {}
    for target in dataset.targets:
        found = calibration_data_from(
            target,
            validation.labels[target.name],
            probabilities[target.name],
            validation.groups,
            seed=seed,
        )
        if found is not None:
            calibration_data[target.name] = found
    several = [target.name for target in dataset.targets if target.kind == "multilabel"]
    thresholds = {
        name: tuple(map(float, calibration_data[name].yes_from))
        for name in several
        if name in calibration_data
    }
    some = np.sort(np.random.default_rng(seed).permutation(parts.train)[:REMEMBERED])
    _, known = raw(some) if features is not None else ({}, None)
    ood_detector = None if features is None or known is None else fit_ood_detector(known, features)
    return replace(
        bundle, calibration_data=calibration_data, ood_detector=ood_detector, thresholds=thresholds
    )


def _raw(
    predictor: Predictor, dataset: Dataset
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
    """`Predictor.infer_raw` of all images; photos are decoded while the network works on those before them."""
    blocks = [predictor.infer_raw(block) for block in pixel_batches(dataset)]
    features = [rows for _, rows in blocks if rows is not None]
    raw_probabilities = {name: np.concatenate([found[name] for found, _ in blocks]) for name in blocks[0][0]}
    return raw_probabilities, np.concatenate(features) if features else None

"""Two bundles have the same digest exactly where they predict and decide the same."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from muslin.data.dataset import Target
from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData
from muslin.models.bundle import Bundle, Preprocessing
from muslin.models.prediction_digest import NOT_IN_PREDICTIONS, prediction_digest
from small_models import LABEL, having_seen, small_bundle, with_ood_detector

CALIBRATION = CalibrationData(
    temperature=np.ones(1, np.float32),
    label_thresholds=np.zeros(0),
    confidence=np.array([0.9, 0.8, 0.4], np.float32),
    predicted=np.array([0, 1, 2], np.int32),
    correct=np.array([True, True, False]),
    probability_of_true=np.array([0.9, 0.8, 0.1], np.float32),
    group=np.arange(3, dtype=np.int32),
)
OTHER_ROWS = {
    "temperature": np.full(1, 2, np.float32),
    "confidence": np.array([0.95, 0.8, 0.4], np.float32),
    "predicted": np.array([0, 1, 1], np.int32),
    "correct": np.array([True, False, False]),
    "probability_of_true": np.array([0.9, 0.8, 0.2], np.float32),
    "group": np.array([0, 0, 1], np.int32),
}
Change = Callable[[Bundle], Bundle]


def model() -> Bundle:
    plain = with_ood_detector(small_bundle(), 0.49, 0.5)
    of_both = {"calibration_data": {"label": CALIBRATION}, "product_calibration": {"label": CALIBRATION}}
    return replace(plain, **of_both)


def recalibrated(of: str, row: str) -> Change:
    return lambda bundle: replace(bundle, **{of: {"label": replace(CALIBRATION, **{row: OTHER_ROWS[row]})}})


def with_detector(**changes: slice) -> Change:
    def change(bundle: Bundle) -> Bundle:
        assert bundle.ood_detector
        arrays = {name: values[changes.get(name, slice(None))] for name, values in vars(bundle.ood_detector).items()}
        return replace(bundle, ood_detector=OODDetector(**arrays))

    return change


CHANGES: dict[str, Change] = {
    "graph": lambda bundle: replace(bundle, model=bundle.model + b"\x12\x00"),
    "class order": lambda bundle: replace(bundle, targets=(Target("label", LABEL.classes[::-1]),)),
    "transform": lambda bundle: replace(bundle, preprocessing=Preprocessing(8, 8, 1, "fashion-mnist")),
    "OOD features": with_detector(reference_features=slice(1, None)),
    "OOD threshold": with_detector(calibration_scores=slice(1, None)),
    "no OOD detector": lambda bundle: replace(bundle, ood_detector=None),
    "no calibration": lambda bundle: replace(bundle, calibration_data={}, product_calibration={}),
    "no product calibration": lambda bundle: replace(bundle, product_calibration={}),
    **{f"{row} of photos": recalibrated("calibration_data", row) for row in OTHER_ROWS},
    **{f"{row} of products": recalibrated("product_calibration", row) for row in OTHER_ROWS},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_predictions_changes_the_digest(change: Change) -> None:
    assert prediction_digest(change(model())) != prediction_digest(model())


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_thresholds_of_labels_change_the_digest(kind: str) -> None:
    bundle = small_bundle(Target("label", ("a", "b"), kind))  # type: ignore[arg-type]
    thresholds = (0.7,) if kind == "multiclass" else (0.5, 0.7)
    assert prediction_digest(replace(bundle, thresholds={"label": thresholds})) != prediction_digest(bundle)


def test_what_changes_no_prediction_keeps_the_digest() -> None:
    bundle = model()
    other = having_seen(replace(bundle, provenance={"seed": 8}, network={"layers": []}), bundle.golden_pixels)
    other = replace(other, golden_pixels=bundle.golden_pixels[:1], golden_probabilities={
        name: values[:1] for name, values in bundle.golden_probabilities.items()
    })  # fmt: skip
    assert prediction_digest(other) == prediction_digest(bundle)


def test_fields_that_are_left_out_exist() -> None:
    assert {field.name for field in fields(Bundle)} >= NOT_IN_PREDICTIONS

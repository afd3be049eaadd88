"""A bundle's second graph: the same network in int8, and what is calibrated on its own output."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.ood import OODDetector
from muslin.evaluation.selective import CalibrationData

if TYPE_CHECKING:
    from muslin.models.bundle import Bundle

FLOAT32, INT8 = GRAPHS = ("float32", "int8")
"""The graphs that a bundle can have: `Bundle.model`, and `Bundle.int8`."""


@dataclass(frozen=True, eq=False)
class GraphVariant:
    """Another graph of the same network, and what decides on its predictions; each as the field of `Bundle`.

    Attributes:
        model: an ONNX graph with the inputs and outputs of the bundle's own.
        golden_probabilities: its output for the bundle's golden images.
        calibration_data, product_calibration, ood_detector: from its own output for images outside the training set.
        thresholds: minimum probabilities for predicting a label.
    """

    model: bytes = field(repr=False)
    golden_probabilities: Mapping[str, NDArray[np.float32]] = field(repr=False)
    thresholds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    calibration_data: Mapping[str, CalibrationData] = field(default_factory=dict, repr=False)
    product_calibration: Mapping[str, CalibrationData] = field(default_factory=dict, repr=False)
    ood_detector: OODDetector | None = field(default=None, repr=False)

    @classmethod
    def of(cls, bundle: "Bundle") -> "GraphVariant":
        """The graph of a bundle, with what is calibrated on its output."""
        return cls(**{each.name: getattr(bundle, each.name) for each in fields(cls)})

    def fields(self) -> dict[str, Any]:
        """The fields of a `Bundle` that are replaced where this graph predicts."""
        return dict(vars(self))

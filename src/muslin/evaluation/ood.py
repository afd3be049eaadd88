"""Is this an image of the kind the model knows? Its features are compared with those of training images."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 0.01
"""The share of images of the known kind that may be called not ours."""

REMEMBERED = 1_000
"""Training images whose features are kept. Five times as many told hardly better (docs/explanation/lanes.md)."""

NEIGHBOUR = 10  # one odd or mislabelled training image makes no image familiar


@dataclass(frozen=True, eq=False)
class OODDetector:
    """What is needed to say how unlike the training images an image is.

    Attributes:
        known: float32 (m, features): training images' features, each of length 1.
        held_out: float32 (n,), rising: how strange images were that the network did not learn from.
    """

    known: NDArray[np.float32] = field(repr=False)
    calibration_data: NDArray[np.float32] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OODDetector) and (
            np.array_equal(self.known, other.known)
            and np.array_equal(self.calibration_data, other.calibration_data)
        )

    @property
    def limit(self) -> float:
        """The strangeness that SHARE of true images exceed; infinite where too few were held out to know.

        The conformal quantile: the ceil((n + 1)(1 - SHARE))-th smallest.
        """
        place = int(np.ceil((len(self.calibration_data) + 1) * (1 - SHARE) - 1e-9))
        return float(self.calibration_data[place - 1]) if place <= len(self.calibration_data) else np.inf

    def ood_score(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """1 - the cosine to the 10th most similar of the known images, float32 (n,) in 0..2; 0 is the same.

        Source: Sun, Ming, Zhu and Li, Out-of-distribution detection with deep nearest neighbors, ICML 2022.
        """
        alike = unit(features) @ self.known.T
        place = max(alike.shape[1] - NEIGHBOUR, 0)
        return (1 - np.partition(alike, place, axis=1)[:, place]).astype(np.float32)


def unit(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Rows brought to length 1; rows of zeros stay so."""
    rows = np.asarray(features, dtype=np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    scaled: NDArray[np.float32] = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def fit_ood_detector(
    known: NDArray[np.floating[Any]], calibration_data: NDArray[np.floating[Any]]
) -> OODDetector | None:
    """From features (count, features) of training images and of held-out ones; None where one of them is missing."""
    if not len(known) or not len(calibration_data):
        return None
    kept = OODDetector(unit(known), np.zeros(0, dtype=np.float32))
    return OODDetector(kept.known, np.sort(kept.ood_score(calibration_data)))

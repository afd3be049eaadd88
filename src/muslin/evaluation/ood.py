"""Out-of-distribution (OOD) detection: compares an image's features with those of training images."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_OOD_RATE = 0.01
"""Share of in-distribution images that the detector calls out of distribution."""

MAX_REFERENCE_IMAGES = 1_000
"""Training images whose features are kept. 5,000 were hardly better (docs/explanation/selective-prediction.md)."""

N_NEIGHBORS = 10  # the 10th nearest, so that one odd or mislabelled training image makes no image familiar


@dataclass(frozen=True, eq=False)
class OODDetector:
    """Scores how far images are from the training images.

    Attributes:
        reference_features: float32 (m, features): training images' features, each row of length 1.
        calibration_scores: float32 (n,), rising: OOD scores of validation images.
    """

    reference_features: NDArray[np.float32] = field(repr=False)
    calibration_scores: NDArray[np.float32] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OODDetector) and (
            np.array_equal(self.reference_features, other.reference_features)
            and np.array_equal(self.calibration_scores, other.calibration_scores)
        )

    @property
    def threshold(self) -> float:
        """The score that FALSE_OOD_RATE of in-distribution images exceed; infinite with too few validation images.

        The conformal quantile: the ceil((n + 1)(1 - FALSE_OOD_RATE))-th smallest.
        """
        n = len(self.calibration_scores)
        rank = int(np.ceil((n + 1) * (1 - FALSE_OOD_RATE) - 1e-9))
        return float(self.calibration_scores[rank - 1]) if rank <= n else np.inf

    def ood_score(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """1 - the cosine similarity to the 10th nearest reference image: float32 (n,), in 0..2; 0 for identical.

        Source: Sun, Ming, Zhu and Li, Out-of-distribution detection with deep nearest neighbors, ICML 2022.
        """
        similarity = normalize_rows(features) @ self.reference_features.T
        place = max(similarity.shape[1] - N_NEIGHBORS, 0)
        return (1 - np.partition(similarity, place, axis=1)[:, place]).astype(np.float32)


def normalize_rows(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Rows divided by their Euclidean length; rows of zeros stay zeros."""
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True).astype(np.float32)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)


def fit_ood_detector(
    training_features: NDArray[np.floating[Any]], validation_features: NDArray[np.floating[Any]]
) -> OODDetector | None:
    """From features (n, features) of training and of validation images; None where one of them is empty."""
    if not len(training_features) or not len(validation_features):
        return None
    detector = OODDetector(normalize_rows(training_features), np.zeros(0, dtype=np.float32))
    return OODDetector(detector.reference_features, np.sort(detector.ood_score(validation_features)))

"""What a network gives for images, and a model's output before any decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from muslin.models.graph_runner import Floats

Values = Mapping[str, Floats]
"""Per target's name raw probabilities float32 (n, classes); OOD scores (n, 1) of a model with an OOD detector; and
vectors (n, WIDTH) where they are asked for."""


@dataclass(frozen=True, eq=False)
class ModelOutput:
    """A model's output for `n` images, before any decision.

    Attributes:
        raw_probabilities: per target's name float32 (n, classes): the network's own probabilities.
        probabilities: the same, calibrated where the bundle has calibration data.
        is_ood: bool (n,): whether an image is out of distribution; None where the bundle has no OOD detector.
        vectors: float32 (n, WIDTH) of `muslin.models.feature_vectors`, where the predictor was asked for them; or None.
    """

    raw_probabilities: Mapping[str, Floats]
    probabilities: dict[str, Floats]
    is_ood: NDArray[np.bool_] | None
    vectors: Floats | None = None


def concat_outputs(outputs: Sequence[ModelOutput]) -> ModelOutput:
    """The outputs for one or more batches of images as one."""
    if len(outputs) == 1:
        return outputs[0]
    raw = concat_values([output.raw_probabilities for output in outputs])
    calibrated = concat_values([output.probabilities for output in outputs])
    is_ood = [output.is_ood for output in outputs if output.is_ood is not None]
    vectors = [output.vectors for output in outputs if output.vectors is not None]
    return ModelOutput(
        raw, calibrated, np.concatenate(is_ood) if is_ood else None, np.concatenate(vectors) if vectors else None
    )


def concat_values(batches: Sequence[Values]) -> dict[str, Floats]:
    """The values of one or more batches as one."""
    if len(batches) == 1:
        return dict(batches[0])
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def rows_of(values: Values) -> list[Values]:
    """The values of each image alone."""
    count = len(next(iter(values.values())))
    return [{name: of_all[row] for name, of_all in values.items()} for row in range(count)]


def stack_values(rows: Sequence[Values]) -> dict[str, Floats]:
    """The values of one or more images together."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

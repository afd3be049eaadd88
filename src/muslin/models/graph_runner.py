"""A bundle's graph, opened and checked: images of the network's size in, raw probabilities out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, DataError, unknown
from muslin.evaluation.calibration import FEW_NUMBERS
from muslin.models import runtime
from muslin.models.bundle import Bundle
from muslin.models.bundle_checks import PROBABILITY_RANGE, check_tensor
from muslin.models.checked_graphs import with_ood_score
from muslin.models.container import locating_errors
from muslin.models.graph_outputs import OOD_SCORE, features_output
from muslin.models.graph_variant import FLOAT32, INT8
from muslin.models.runtime import Sessions, run_session, runtime_errors

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

GOLDEN_TOLERANCE = 1e-3
"""How far a golden image's probabilities may be from the sealed ones. Absolute.

Processors add in different orders, which moved float32 probabilities by less than 3e-6; a scale of 1/256 instead of
1/255 moves one in 16 images by 4e-3, two swapped classes by tenths (docs/reference/bundle.md).
"""

INT8_TOLERANCE = 0.1
"""The same for an int8 graph, because implementations round values halfway between two integers differently.

Two of ONNX Runtime's own implementations of one graph differed by up to 0.03 (EfficientNet-Lite2, 32 photos); sums that
overflow differ by tenths.
"""

GOLDEN_TOLERANCES = {FLOAT32: GOLDEN_TOLERANCE, INT8: INT8_TOLERANCE}

_BATCH_VALUES = 256 * 28 * 28  # pixel values in a batch: keeps the cores busy, and fits their caches
_MAX_BATCH_VALUES = 2**28  # values of all tensors for a batch: 1 GiB of float32
_FLOAT32 = np.dtype(np.float32)  # compared faster than the type of its values
_MAX = float(np.finfo(np.float32).max)
_SMALL_MULTIPLY_ADDS = 2**23  # of a batch, a fifth of a millisecond: waking other threads takes longer than they save


class GraphRunner:
    """Runs a bundle's graph, with the OOD score added. Safe to use from several threads at once.

    Attributes:
        batch_size: images that are usually run together.
        max_batch_size: images that a run has memory for.
        names: the outputs that predictions follow from: the targets, and OOD_SCORE where there is an OOD detector.
        features: the name of the output with the features; None where the graph has none.

    Args:
        threads: threads that work on one batch.
        name: what errors call the bundle.

    Raises:
        BundleError: the graph cannot be run, or its input and outputs are not those that the bundle promises.
    """

    def __init__(self, bundle: Bundle, threads: int, name: str) -> None:
        detector, cost = bundle.ood_detector, bundle.cost
        self._name, self._shape = name, bundle.preprocessing.shape
        self.names = [target.name for target in bundle.targets] + [OOD_SCORE] * (detector is not None)
        self._widths = {target.name: len(target.classes) for target in bundle.targets} | {OOD_SCORE: 1}
        per_batch, per_image, multiply_adds = _BATCH_VALUES // math.prod(self._shape), cost.values, cost.multiply_adds
        if detector is not None:
            per_image += len(detector.reference_features)
            multiply_adds += detector.reference_features.size
        self.max_batch_size = max(1, _MAX_BATCH_VALUES // per_image)
        self.batch_size = max(1, min(per_batch, self.max_batch_size))
        self._small_batch = _SMALL_MULTIPLY_ADDS // max(1, multiply_adds)
        with locating_errors(path=name):
            model = bundle.model if detector is None else with_ood_score(bundle.model, detector, bundle.targets)
            self._sessions = Sessions(lambda threads: _checked_session(bundle, model, threads), threads)
        outputs = [entry.name for entry in self._sessions.get().get_outputs()]
        self.features = features_output(outputs, bundle.targets)

    def run(
        self,
        pixels: Pixels,
        batch_size: int | None = None,
        *,
        names: Sequence[str] | None = None,
        in_threads: bool = False,
    ) -> dict[str, Floats]:
        """The graph's outputs, float32 (n, width) by name.

        Their bits do not depend on threads. Those of some graphs depend on batches: ONNX Runtime computes a logarithm
        or Softplus of the last few numbers of a tensor otherwise than the others, which moved probabilities by 7e-9.

        Args:
            pixels: uint8 (n, height, width, channels).
            batch_size: images at a time; by default as many as fit the processor's caches.
            names: of the outputs; by default `self.names`.
            in_threads: whether other threads do the same, so that each is to use one core.

        Raises:
            DataError: `pixels` has another type or shape.
            BundleError: ONNX Runtime fails, or an output has another shape or numbers out of range.
        """
        pixels, names = np.asarray(pixels), names or self.names
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != self._shape:
            found = f"{pixels.dtype} {pixels.shape}"
            raise DataError("pixels_shape", found=found, expected=_batch_type(self._shape))
        if not len(pixels):
            return {name: np.empty((0, self._widths.get(name, 0)), np.float32) for name in names}
        size = min(len(pixels), max(1, batch_size or self.batch_size))
        session = self._sessions.get(in_threads or size <= self._small_batch)
        if size == len(pixels):
            return self._run_batch(session, pixels, names)
        batches = [self._run_batch(session, pixels[i : i + size], names) for i in range(0, len(pixels), size)]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in names}

    def _run_batch(self, session: Any, pixels: Pixels, names: Sequence[str]) -> dict[str, Floats]:
        try:
            outputs = dict(zip(names, run_session(session, names, {"pixels": pixels}), strict=True))
            for name, output in outputs.items():
                width = self._widths.get(name) or getattr(output, "shape", (0, 0))[-1]
                check_tensor(name, output, _FLOAT32, (len(pixels), width))
                if not self._is_in_range(name, output):
                    raise BundleError("prediction_range", name=name)
        except BundleError as error:
            raise error.with_params(path=self._name) from error
        return outputs

    def _is_in_range(self, name: str, output: Floats) -> bool:
        low, high = (-_MAX, _MAX) if name in (self.features, OOD_SCORE) else PROBABILITY_RANGE
        if output.size <= FEW_NUMBERS:
            numbers = output.ravel().tolist()
            return math.isfinite(sum(numbers)) and low <= min(numbers) and max(numbers) <= high
        return bool(output.min() >= low and output.max() <= high)  # NaN is not between any two numbers


def check_golden_images(runner: GraphRunner, bundle: Bundle, graph: str = FLOAT32) -> None:
    """Predict the golden images.

    Args:
        graph: the name of the bundle's graph.

    Raises:
        BundleError: their probabilities are not the sealed ones.
    """
    probabilities = runner.run(bundle.golden_pixels)
    for target in bundle.targets:
        found, expected = probabilities[target.name], bundle.golden_probabilities[target.name]
        difference = np.abs(found - expected)
        if not (difference <= GOLDEN_TOLERANCES[graph]).all():  # NaN is not either
            worst = np.argmax(np.nan_to_num(difference, nan=np.inf))
            image, column = np.unravel_index(worst, expected.shape)
            raise BundleError(
                "golden_mismatch", image=int(image), class_name=target.classes[column],
                found=float(found[image, column]), expected=float(expected[image, column]),
            )  # fmt: skip


def _checked_session(bundle: Bundle, model: bytes, threads: int) -> Any:
    """A session of `model` whose inputs and outputs are those that the bundle promises."""
    from muslin.images import TRANSFORMS

    transform, shape = bundle.preprocessing.transform, bundle.preprocessing.shape
    if transform not in TRANSFORMS:
        raise BundleError("bundle_transform", **unknown(transform, TRANSFORMS))
    session = runtime.session(model, threads=threads)
    with runtime_errors():  # a name may not be UTF-8
        inputs = {entry.name: (entry.type, list(entry.shape)) for entry in session.get_inputs()}
        outputs = [entry.name for entry in session.get_outputs()]
    kind, sizes = inputs.get("pixels", ("", []))
    is_any_n = bool(sizes) and not isinstance(sizes[0], int)
    if len(inputs) != 1 or kind != "tensor(uint8)" or not is_any_n or tuple(sizes[1:]) != shape:
        found = [f"{name}: {kind} {sizes}" for name, (kind, sizes) in inputs.items()]
        raise BundleError("graph_input", found=found, expected=_batch_type(shape))
    for target in bundle.targets:
        if target.name not in outputs:
            raise BundleError("graph_output", name=target.name, found=outputs)
    return session


def _batch_type(shape: tuple[int, ...]) -> str:
    return f"uint8 (n, {', '.join(map(str, shape))})"

"""A bundle's graph, opened and checked: images of the network's size in, raw probabilities out."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import BundleError, DataError, unknown
from muslin.models import runtime
from muslin.models.bundle import FEATURES, PROBABILITY_RANGE, Bundle, check_tensor
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
"""The same of a graph in 8 bits, whose roundings at the middle between two numbers depend on the implementation.

Two of ONNX Runtime's own implementations of one graph differed by up to 0.03 (EfficientNet-Lite2, 32 photos); sums that
overflow differ by tenths.
"""

GOLDEN_TOLERANCES = {FLOAT32: GOLDEN_TOLERANCE, INT8: INT8_TOLERANCE}

_BATCH_VALUES = 256 * 28 * 28  # pixel values in a batch: keeps the cores busy, and fits their caches
_MAX_BATCH_VALUES = 2**28  # values of all tensors for a batch: 1 GiB of float32


class GraphRunner:
    """Runs a bundle's graph. Safe to use from several threads at once.

    Attributes:
        has_features: whether the graph has the output FEATURES.
        batch_size: images that are usually run together.

    Args:
        threads: threads that work on one batch.

    Raises:
        BundleError: the graph cannot be run, or its input and outputs are not those that the bundle promises.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._shape = bundle.preprocessing.shape
        per_batch, per_image = _BATCH_VALUES // math.prod(self._shape), bundle.cost.values
        self.batch_size = max(1, min(per_batch, _MAX_BATCH_VALUES // per_image))
        self._sessions = Sessions(lambda threads: _checked_session(bundle, threads), threads)
        self.has_features = FEATURES in {entry.name for entry in self._sessions.get().get_outputs()}
        self._widths = {target.name: len(target.classes) for target in bundle.targets}
        if bundle.ood_detector:
            self._widths[FEATURES] = bundle.ood_detector.reference_features.shape[1]

    def outputs(
        self, pixels: Pixels, names: Sequence[str], batch_size: int | None = None, in_threads: bool = False
    ) -> Iterator[dict[str, Floats]]:
        """The graph's outputs of these names, one batch of images at a time; one empty batch for no images.

        Args:
            pixels: uint8 (n, height, width, channels).
            batch_size: images at a time; by default as many as fit the processor's caches.
            in_threads: whether other threads do the same, so that each is to use one core.

        Raises:
            DataError: `pixels` has another type or shape.
            BundleError: ONNX Runtime fails, or an output has another shape or numbers out of range.
        """
        pixels = np.asarray(pixels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != self._shape:
            found = f"{pixels.dtype} {pixels.shape}"
            raise DataError("pixels_shape", found=found, expected=_batch_type(self._shape))
        if not len(pixels):
            yield {name: np.empty((0, self._widths.get(name, 0)), np.float32) for name in names}
        session, size = self._sessions.get(in_threads), max(1, batch_size or self.batch_size)
        for start in range(0, len(pixels), size):
            batch = pixels[start : start + size]
            outputs = dict(zip(names, run_session(session, names, {"pixels": batch}), strict=True))
            for name, output in outputs.items():
                self._check_output(name, output, len(batch))
            yield outputs

    def _check_output(self, name: str, output: Any, count: int) -> None:
        width = self._widths.get(name) or getattr(output, "shape", (0, 0))[-1]
        check_tensor(name, output, np.float32, (count, width))
        low, high = PROBABILITY_RANGE  # NaN is not between any two numbers
        is_valid = np.isfinite(output) if name == FEATURES else (output >= low) & (output <= high)
        if not is_valid.all():
            raise BundleError("prediction_range", name=name)


def check_golden_images(runner: GraphRunner, bundle: Bundle, graph: str = FLOAT32) -> None:
    """Predict the golden images.

    Args:
        graph: the name of the bundle's graph.

    Raises:
        BundleError: their probabilities are not the sealed ones.
    """
    names = [target.name for target in bundle.targets]
    batches = list(runner.outputs(bundle.golden_pixels, names))
    for target in bundle.targets:
        found = np.concatenate([batch[target.name] for batch in batches])
        expected = bundle.golden_probabilities[target.name]
        difference = np.abs(found - expected)
        if not (difference <= GOLDEN_TOLERANCES[graph]).all():  # NaN is not either
            worst = np.argmax(np.nan_to_num(difference, nan=np.inf))
            image, column = np.unravel_index(worst, expected.shape)
            raise BundleError(
                "golden_mismatch", image=int(image), class_name=target.classes[column],
                found=float(found[image, column]), expected=float(expected[image, column]),
            )  # fmt: skip


def _checked_session(bundle: Bundle, threads: int) -> Any:
    """A session whose inputs and outputs are those that the bundle promises."""
    from muslin.images import TRANSFORMS

    transform, shape = bundle.preprocessing.transform, bundle.preprocessing.shape
    if transform not in TRANSFORMS:
        raise BundleError("bundle_transform", **unknown(transform, TRANSFORMS))
    session = runtime.session(bundle.model, threads=threads)
    with runtime_errors():  # a name may not be UTF-8
        inputs = {entry.name: (entry.type, list(entry.shape)) for entry in session.get_inputs()}
        outputs = [entry.name for entry in session.get_outputs()]
    kind, sizes = inputs.get("pixels", ("", []))
    is_any_n = bool(sizes) and not isinstance(sizes[0], int)
    if len(inputs) != 1 or kind != "tensor(uint8)" or not is_any_n or tuple(sizes[1:]) != shape:
        found = [f"{name}: {kind} {sizes}" for name, (kind, sizes) in inputs.items()]
        raise BundleError("graph_input", found=found, expected=_batch_type(shape))
    for name in [target.name for target in bundle.targets] + [FEATURES] * (bundle.ood_detector is not None):
        if name not in outputs:
            raise BundleError("graph_output", name=name, found=outputs)
    return session


def _batch_type(shape: tuple[int, ...]) -> str:
    return f"uint8 (n, {', '.join(map(str, shape))})"

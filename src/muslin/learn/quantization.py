"""A network's int8 graph: static quantisation with ONNX Runtime's quantiser, calibrated on images.

Weights are int8 with a scale per channel, activations uint8 (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
The heads, and the mean over the feature map before them, stay in float32: they cost next to nothing, and decide.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from muslin.data.photos import ResizedPhotos, ordered_map
from muslin.learn.features import EXTRACTION_BATCH, Features
from muslin.models import runtime
from muslin.models.graph_outputs import FEATURES
from muslin.models.runtime import run_session
from muslin.storage.scratch import ScratchArray

Pixels = NDArray[np.uint8]

QUANTIZED_OPERATORS = ("Conv", "Add", "Clip")
"""Convolutions and additions take nearly all of the time. With Clip among them, a convolution's 8 bits span what is
left after ReLU6, 0 to 6, instead of its sums, which in EfficientNet-Lite2 reach from -79 to 93: in steps of 0.7."""


def quantize(model: bytes, batches: Iterable[Pixels], *, reduce_range: bool = False) -> bytes:
    """The ONNX graph `model` with its convolutions, activations and additions in int8.

    Args:
        batches: images as the graph takes them, uint8 (n, height, width, channels), whose activations give the ranges.
        reduce_range: use 7 bits for weights, for processors that add two products in 16 bits, which overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        original, folded, done = (Path(folder) / f"{name}.onnx" for name in ("original", "folded", "done"))
        original.write_bytes(model)
        quant_pre_process(original, folded, skip_symbolic_shape=True)  # batch norm goes into the convolutions
        quantize_static(
            folded,
            done,
            _reader(batches),
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=reduce_range,
        )
        quantized = onnx.load(done)
    # the quantiser imports all operator sets that it knows, and a bundle allows only ONNX's own
    used = [opset for opset in quantized.opset_import if opset.domain == ""]
    del quantized.opset_import[:]
    quantized.opset_import.extend(used)
    _take_pixels_as_they_are(quantized.graph)
    return bytes(quantized.SerializeToString(deterministic=True))


def _take_pixels_as_they_are(graph: onnx.GraphProto) -> None:
    """Leave out the scaling of pixels to float32 where it and the first quantisation give the same 8 bits again."""
    made_by = {node.output[0]: node for node in graph.node}
    constants = {constant.name: constant for constant in graph.initializer}
    for first in [node for node in graph.node if node.op_type == "DequantizeLinear"]:
        chain, source = [], first.input[0]
        while source in made_by:
            chain.append(made_by[source])
            source = chain[-1].input[0]
        if [node.op_type for node in chain] != ["QuantizeLinear", "Div", "Sub", "Transpose", "Cast"]:
            continue
        quantizer, division, subtraction, transpose, cast = chain
        names = [subtraction.input[1], division.input[1], *quantizer.input[1:]]
        mean, std, scale, zero_point = (numpy_helper.to_array(constants[name]).astype(np.float32) for name in names)
        pixels = np.arange(256, dtype=np.float32)
        if mean.size == std.size == 1 and np.array_equal(
            np.rint((pixels - mean.ravel()) / std.ravel() / scale) + zero_point, pixels
        ):
            transpose.output[0] = f"{transpose.output[0]}_uint8"  # the graph lists another type for the name
            transpose.input[0], first.input[0] = cast.input[0], transpose.output[0]
            for node in (quantizer, division, subtraction, cast):
                graph.node.remove(node)


def with_weights(model: bytes, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """The ONNX graph with other values for the constants of these names."""
    changed = onnx.ModelProto.FromString(model)
    for constant in changed.graph.initializer:
        if constant.name in weights:
            constant.CopyFrom(numpy_helper.from_array(np.asarray(weights[constant.name]), constant.name))
    return bytes(changed.SerializeToString(deterministic=True))


def extract_with(model: bytes, images: ResizedPhotos, known: Features, threads: int) -> Features:
    """The features of every photo by a graph with the output FEATURES.

    Args:
        known: features of the same photos by another graph.
        threads: each decodes a few photos, then runs the graph on them.
    """
    session = runtime.session(model)
    file = ScratchArray(len(images), (known.width,), np.float32)
    starts = range(0, len(images), EXTRACTION_BATCH)

    def extract_batch(start: int) -> NDArray[np.float32]:
        pixels = np.stack([images[i] for i in range(start, min(start + EXTRACTION_BATCH, len(images)))])
        rows: NDArray[np.float32] = run_session(session, [FEATURES], {"pixels": pixels})[0]
        return rows

    for start, rows in zip(starts, ordered_map(extract_batch, starts, threads), strict=True):
        file.write(start, rows)
    return Features(file, np.arange(len(images)), known.image_digests)


def _reader(batches: Iterable[Pixels]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Pixels] = iter(batches)

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"pixels": batch}

    return Reader()

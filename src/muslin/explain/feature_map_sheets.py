"""A layer's feature maps, and a convolution's kernels, as one array each for a page to draw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import ExplanationError
from muslin.explain.layers import LayeredModel, Trace, ViewName
from muslin.learn.onnx_operators import Array

Sheet = tuple[dict[str, Any], NDArray[Any]]
"""What is in the array, as JSON values; and the array."""


def feature_map_sheet(trace: Trace, layer: str, tta_view: ViewName = "original") -> Sheet:
    """A layer as codes from 0 to 255: uint8 (maps, rows, columns); features are one map of one row.

    Each map has its own range, so that a faint one keeps its detail: value = low + code / 255 · (high - low).
    """
    maps = to_maps(trace.of(layer, tta_view))
    low, high = maps.min((1, 2)), maps.max((1, 2))
    width = np.where(high > low, high - low, 1)[:, None, None]
    codes = np.rint((maps - low[:, None, None]) / width * 255).astype(np.uint8)
    names = set(trace.layered.by_name) - {"numbers", "planes"}
    of_network = [trace.of(name, tta_view) for name in names]
    header = {
        "layer": layer,
        "maps": len(maps),
        "rows": maps.shape[1],
        "columns": maps.shape[2],
        "dtype": "uint8",
        "low": low.astype(float).tolist(),
        "high": high.astype(float).tolist(),
        "layer_range": [float(low.min()), float(high.max())],
        "network_range": [float(min(v.min() for v in of_network)), float(max(v.max() for v in of_network))],
        "signed": bool(low.min() < 0),
    }
    return header, codes


def to_maps(values: Array) -> NDArray[np.floating[Any]]:
    """A layer of any shape as (maps, rows, columns)."""
    shape = values.shape
    return values.astype(np.float32).reshape(shape if len(shape) == 3 else (1, 1, -1))


def kernel_sheet(layered: LayeredModel, layer: str) -> Sheet:
    """A convolution's kernels: float32 (outputs, inputs of a group, rows, columns).

    Raises:
        ExplanationError: there is no such layer, or it is no convolution, or its arithmetic is not shown.
    """
    described = layered.layer(layer)
    node = layered.graph.producer_before_edits(layer)
    if described.kernel is None and node.op != "Conv":
        raise ExplanationError("layer_without_kernels", layer=layer)
    weights = layered.graph.constants[node.inputs[1]].astype(np.float32)
    bias = layered.graph.constants[node.inputs[2]] if len(node.inputs) > 2 else None
    header = {
        "layer": layer,
        "outputs": weights.shape[0],
        "inputs": weights.shape[1],
        "rows": weights.shape[2],
        "columns": weights.shape[3],
        "dtype": "float32",
        "low": float(weights.min()),
        "high": float(weights.max()),
        "bias": None if bias is None else bias.astype(float).tolist(),
    }
    return header, weights

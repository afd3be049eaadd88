"""A layer's maps, and a convolution's kernels, as one array each for a page to draw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.errors import RecipeError
from muslin.explain.graph import Array
from muslin.explain.layers import LayeredModel, Trace, ViewName
from muslin.explain.model_edits import made_by

Sheet = tuple[dict[str, Any], NDArray[Any]]
"""What is in the array, as JSON values; and the array."""


def sheet_of(trace: Trace, layer: str, tta_view: ViewName = "original") -> Sheet:
    """A layer as codes from 0 to 255: uint8 (maps, rows, columns); features are one map of one row.

    Each map has its own range, so that a faint one keeps its detail: value = low + code / 255 · (high - low).
    """
    found = trace.of(layer, tta_view)
    maps = as_maps(found)
    low, high = maps.min((1, 2)), maps.max((1, 2))
    spread = np.where(high > low, high - low, 1)[:, None, None]
    codes = np.rint((maps - low[:, None, None]) / spread * 255).astype(np.uint8)
    everything = [
        trace.of(name, tta_view) for name in trace.layered.by_name if name not in ("numbers", "planes")
    ]
    header = {
        "layer": layer,
        "maps": len(maps),
        "rows": maps.shape[1],
        "columns": maps.shape[2],
        "dtype": "uint8",
        "low": low.astype(float).tolist(),
        "high": high.astype(float).tolist(),
        "layer_range": [float(low.min()), float(high.max())],
        "network_range": [float(min(v.min() for v in everything)), float(max(v.max() for v in everything))],
        "signed": bool(low.min() < 0),
    }
    return header, codes


def as_maps(values: Array) -> NDArray[np.floating[Any]]:
    """A layer of any shape as (maps, rows, columns)."""
    shape = values.shape
    return values.astype(np.float32).reshape(shape if len(shape) == 3 else (1, 1, -1))


def kernels_of(layered: LayeredModel, layer: str) -> Sheet:
    """A convolution's kernels: float32 (outputs, inputs of a group, rows, columns).

    Raises:
        RecipeError: the layer is no convolution that can be taken apart.
    """
    about, node = layered.layer(layer), made_by(layered.graph, layer)
    if node.op != "Conv" or len(about.shape) != 3 or node.inputs[1] not in layered.graph.constants:
        raise RecipeError(f"{layer} ({about.kind}) has no kernels.")
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

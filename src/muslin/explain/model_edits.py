"""Edits of a network's numbers and operators: what if the network were different? Each is a plain JSON object.

An edit gives a new graph, as if the file itself had been changed; nothing is imitated. `MODEL_EDITS` lists the kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from muslin.errors import ExplanationError, unknown
from muslin.explain.graph import Graph
from muslin.explain.layers import LayeredModel, split_layers
from muslin.learn.onnx_operators import Array

Edit = Mapping[str, Any]

MAX_EDITS = 1000


def edit_model(layered: LayeredModel, edits: Sequence[Edit]) -> LayeredModel:
    """The model with all `edits` made, in order; the bundle's graph is the edited one too.

    Raises:
        ExplanationError: an edit of unknown kind, or one that its layer does not take.
    """
    if len(edits) > MAX_EDITS:
        raise ExplanationError("too_many_edits", found=len(edits), max=MAX_EDITS)
    graph = layered.full_graph
    for number, edit in enumerate(edits, 1):
        try:
            graph = _apply(layered, graph, edit)
        except ExplanationError as error:
            raise error.with_params(number=number) from None
    return split_layers(replace(layered.bundle, model=graph.to_bytes()), graph)


def _apply(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    kind = edit.get("kind") if isinstance(edit, Mapping) else edit
    if not isinstance(kind, str) or kind not in MODEL_EDITS:
        raise ExplanationError("edit_unknown", **unknown(str(kind)[:40], MODEL_EDITS))
    layer = layered.layer(str(edit.get("layer")))
    if kind not in layer.edits:
        raise ExplanationError("edit_not_supported", layer=layer.name, edit=kind, choices=list(layer.edits))
    return MODEL_EDITS[kind](layered, graph, edit)


def _number_field(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ExplanationError("edit_value", field=field, found=str(value)[:40])
    return float(value)


def _index_field(edit: Edit, field: str, below: int) -> int:
    value = edit.get(field, 0 if field == "seed" else None)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ExplanationError("edit_index", field=field, found=str(value)[:40], max=below - 1)
    return value


def _edit_weights(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    kind, node = edit["kind"], graph.producer_before_edits(edit["layer"])
    name = node.inputs[2 if kind == "bias" else 1]
    changed = graph.constants[name].copy()
    by_output = changed.reshape(-1) if kind == "bias" else changed  # a view
    if kind == "weight" and not node.attributes.get("transB"):
        by_output = changed.T
    fields = zip(("output", "input"), by_output.shape, strict=False)
    position = tuple(_index_field(edit, field, below) for field, below in fields)
    if kind == "kernel":
        by_output[position] = _kernel_field(edit.get("values"), *by_output.shape[2:])
    else:
        by_output[position] = _number_field("value", edit.get("value"))
    return graph.with_constants({name: changed})


def _kernel_field(rows: Any, height: int, width: int) -> list[list[float]]:
    is_list = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not is_list or [len(row) for row in rows] != [width] * height:
        raise ExplanationError("edit_kernel_shape", rows=height, columns=width)
    return [[_number_field("values", value) for value in row] for row in rows]


def _switch_channel_off(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    shape = layered.layer(edit["layer"]).shape
    mask = np.ones((1, shape[0], *[1] * (len(shape) - 1)), np.float32)
    mask[0, _index_field(edit, "channel", shape[0])] = 0
    return graph.multiplied(edit["layer"], mask)


def _switch_layer_off(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    layer = layered.layer(edit["layer"])
    same = [i for i in layer.inputs if i in layered.by_name and layered.layer(i).shape == layer.shape]
    if not same:
        raise ExplanationError("edit_changes_shape", layer=layer.name)
    node = graph.producer_before_edits(layer.name)
    passing = replace(node, op="Identity", inputs=(same[0],), attributes={})
    return graph.with_node(node.outputs[0], passing)


def _edit_pooling(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    """The mean of each window, or its first value: a convolution, channel by channel, in the place of the maximum."""
    how = edit.get("how")
    if how not in ("mean", "first"):
        raise ExplanationError("edit_pooling", found=str(how)[:40])
    node = graph.producer_before_edits(edit["layer"])
    channels, *map_size = layered.layer(layered.layer(edit["layer"]).inputs[0]).shape
    size = node.attributes.get("kernel_shape") or map_size
    kernels: Array = np.zeros((channels, 1, *size), np.float32)
    if how == "mean":
        kernels[:] = 1 / kernels[0].size
    else:
        kernels[:, :, 0, 0] = 1
    name = f"{node.outputs[0]}/kernels"
    attributes = {**node.attributes, "group": channels, "kernel_shape": list(size)}
    pooling = replace(node, op="Conv", inputs=(node.inputs[0], name), attributes=attributes)
    return graph.with_node(node.outputs[0], pooling).with_constants({name: kernels})


def _edit_dropout(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    rows = layered.bundle.network.get("layers", [])
    layer_rate = next((row.get("rate") for row in rows if row.get("name") == edit["layer"]), None)
    rate = _number_field("rate", edit.get("rate", layer_rate))
    if not 0 <= rate < 1:
        raise ExplanationError("edit_value", field="rate", found=str(rate))
    numbers = np.random.default_rng(_index_field(edit, "seed", 2**31))
    keep = numbers.random(layered.layer(edit["layer"]).shape) >= rate
    return graph.multiplied(edit["layer"], (keep / (1 - rate)).astype(np.float32)[None])


MODEL_EDITS: dict[str, Callable[[LayeredModel, Graph, Edit], Graph]] = {
    "kernel": _edit_weights,  # layer, output, input, values: one 2-d kernel of a convolution
    "weight": _edit_weights,  # layer, output, input, value: one weight of a dense layer
    "bias": _edit_weights,  # layer, output, value
    "channel_off": _switch_channel_off,  # layer, channel: its map, or the feature, becomes 0
    "layer_off": _switch_layer_off,  # layer: passes on its input
    "pooling": _edit_pooling,  # layer, how: `mean`, or `first` of each window instead of the maximum
    "dropout": _edit_dropout,  # layer, seed, rate: values become 0 as in training; by default at the layer's rate
}
"""The kinds of edits, and the fields of each."""

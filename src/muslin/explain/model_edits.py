"""What if the network were otherwise: edits of its numbers and operations, each a plain JSON object.

An edit gives a new graph, as if the file itself had been changed; nothing is imitated. `EDITS` lists the kinds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from muslin.errors import RecipeError, nearest
from muslin.explain.graph import Graph, Node
from muslin.explain.layers import LayeredModel, split_layers

Edit = Mapping[str, Any]

MOST_EDITS = 1000


def edited(layered: LayeredModel, edits: Sequence[Edit]) -> LayeredModel:
    """The model with all `edits` made, in order; the bundle's graph is the edited one too.

    Raises:
        RecipeError: an edit of unknown kind, or one that its layer does not take.
    """
    if not edits:
        return layered
    if len(edits) > MOST_EDITS:
        raise RecipeError(f"{len(edits):,} edits: at most {MOST_EDITS:,} at a time.")
    graph = layered.whole
    for number, edit in enumerate(edits, 1):
        graph = _one(layered, graph, number, edit)
    return split_layers(replace(layered.bundle, model=graph.to_bytes()), graph)


def _one(layered: LayeredModel, graph: Graph, number: int, edit: Edit) -> Graph:
    if not isinstance(edit, Mapping) or edit.get("kind") not in EDITS:
        kind = edit.get("kind") if isinstance(edit, Mapping) else edit
        raise RecipeError(f"edit {number}: no kind {str(kind)[:40]!r}. {nearest(str(kind)[:40], EDITS)}")
    kind, layer = edit["kind"], layered.layer(str(edit.get("layer")))
    if kind not in layer.edits:
        some = ", ".join(layer.edits) or "none"
        raise RecipeError(f"edit {number}: {layer.name} ({layer.kind}) takes no {kind!r}. It takes: {some}.")
    try:
        return EDITS[kind](layered, graph, edit)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise RecipeError(f"edit {number} ({kind} of {layer.name}): {_fault(error)}.") from error


def _fault(error: Exception) -> str:
    return (
        f"{error} is missing or unknown"
        if isinstance(error, KeyError)
        else " ".join(str(error).split())[:150]
    )


def made_by(graph: Graph, name: str) -> Node:
    """The operation that makes `name`, whatever an earlier edit has put after it."""
    node = graph.producers[name]
    while node.inputs and node.inputs[0].startswith(f"{name}/before"):  # see Graph.passed_through
        node = graph.producers[node.inputs[0]]
    return node


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise ValueError(f"{str(value)[:40]} is not a number")
    return float(value)


def _place(value: Any, below: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
        raise ValueError(f"no {what} {str(value)[:40]}: 0 to {below - 1}")
    return value


def _kernel(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    name = made_by(graph, edit["layer"]).inputs[1]
    weights = graph.constants[name].copy()
    output = _place(edit["output"], weights.shape[0], "output")
    channel = _place(edit["input"], weights.shape[1], "input")
    values = [[_number(v) for v in row] for row in edit["values"]]
    if [len(row) for row in values] != [weights.shape[3]] * weights.shape[2]:
        raise ValueError(f"values are not {weights.shape[2]} rows of {weights.shape[3]} numbers")
    weights[output, channel] = values
    return graph.with_constants({name: weights})


def _weight(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    node = made_by(graph, edit["layer"])
    weights = graph.constants[node.inputs[1]].copy()
    turned = node.op == "Gemm" and node.attributes.get("transB", 0)
    outputs, inputs = weights.shape if turned else weights.shape[::-1]
    output = _place(edit["output"], outputs, "output")
    channel = _place(edit["input"], inputs, "input")
    weights[(output, channel) if turned else (channel, output)] = _number(edit["value"])
    return graph.with_constants({node.inputs[1]: weights})


def _bias(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    name = made_by(graph, edit["layer"]).inputs[2]
    bias = graph.constants[name].copy()
    bias.reshape(-1)[_place(edit["output"], bias.size, "output")] = _number(edit["value"])
    return graph.with_constants({name: bias})


def _channel_off(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    shape = layered.layer(edit["layer"]).shape
    mask = np.ones((1, shape[0], *[1] * (len(shape) - 1)), np.float32)
    mask[0, _place(edit["channel"], shape[0], "channel")] = 0
    return graph.passed_through(edit["layer"], "Mul", mask)


def _layer_off(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    name = edit["layer"]
    node, shape = made_by(graph, name), layered.layer(name).shape
    same = [i for i in layered.layer(name).inputs if layered.layer(i).shape == shape]
    if not same:
        raise ValueError("what it takes has another shape than what it gives")
    return graph.with_node(node.outputs[0], replace(node, op="Identity", inputs=(same[0],), attributes={}))


def _pooling(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    node = made_by(graph, edit["layer"])
    if edit["how"] not in ("mean", "first"):
        raise ValueError("how is mean or first")
    if edit["how"] == "mean":
        op = "GlobalAveragePool" if node.op == "GlobalMaxPool" else "AveragePool"
        kept = {k: v for k, v in node.attributes.items() if k != "storage_order"}
        return graph.with_node(node.outputs[0], replace(node, op=op, attributes=kept))
    shape = layered.layer(layered.layer(edit["layer"]).inputs[0]).shape
    whole = node.op == "GlobalMaxPool"
    size = shape[1:] if whole else tuple(node.attributes["kernel_shape"])
    # a convolution, map by map, whose kernel is 1 at the first place of the window and 0 elsewhere
    kernels = np.zeros((shape[0], 1, *size), np.float32)
    kernels[:, :, 0, 0] = 1
    kept = (
        {} if whole else {k: v for k, v in node.attributes.items() if k not in ("ceil_mode", "storage_order")}
    )
    name = f"{node.outputs[0]}/first"
    taken = replace(
        node,
        op="Conv",
        inputs=(node.inputs[0], name),
        attributes=kept | {"group": shape[0], "kernel_shape": size},
    )
    return graph.with_node(node.outputs[0], taken).with_constants({name: kernels})


def _dropout(layered: LayeredModel, graph: Graph, edit: Edit) -> Graph:
    rows = layered.bundle.network.get("layers", [])
    rate = edit.get("rate")
    if rate is None:
        rate = next(row["rate"] for row in rows if row.get("name") == edit["layer"])
    if not 0 <= _number(rate) < 1:
        raise ValueError("rate is from 0 to below 1")
    seed = _place(edit.get("seed", 0), 2**31, "seed")
    kept = np.random.default_rng(seed).random(layered.layer(edit["layer"]).shape) >= rate
    return graph.passed_through(edit["layer"], "Mul", (kept / (1 - rate)).astype(np.float32)[None])


EDITS: dict[str, Callable[[LayeredModel, Graph, Edit], Graph]] = {
    "kernel": _kernel,  # layer, output, input, values: one 2-d kernel of a convolution
    "weight": _weight,  # layer, output, input, value: one weight of a dense layer
    "bias": _bias,  # layer, output, value
    "channel_off": _channel_off,  # layer, channel: its map, or the feature, becomes 0
    "layer_off": _layer_off,  # layer: hands on what it takes
    "pooling": _pooling,  # layer, how: `mean`, or `first` of each window instead of the largest value
    "dropout": _dropout,  # layer, seed: values become 0 as in training
}
"""The kinds of edits, and what each of them is told."""

"""How one value of one layer came about: the window, the weights, their products and the sum, computed anew in float64
from the runtime's results of the layer before, and compared with the runtime's own value.

`arithmetic` goes from a value back to the nearest layer that adds something up, such as a convolution with its pooling,
batch norm and ReLU, and returns the steps in the order they happen. A step consists of JSON values.
Positions are (channel, row, column) or (feature,).
"""

from collections.abc import Sequence
from typing import Any

from muslin.errors import ExplanationError
from muslin.explain.layers import VIEWS, Trace, ViewName
from muslin.learn.layer_kinds import OPERATORS
from muslin.learn.onnx_operators import Position, Source, Step

TOLERANCE = 1e-4
"""How far a value computed here may be from the runtime's, relative or absolute: they add in different orders."""


def arithmetic(
    trace: Trace, layer: str, index: Sequence[int], tta_view: ViewName = "original", *, all_terms: bool = False
) -> dict[str, Any]:
    """The steps to one value.

    Args:
        index: (channel, row, column), or (feature,), within the layer's shape.
        tta_view: which view of the image, for a network with test-time augmentation.
        all_terms: all maps and inputs of a sum rather than the largest ones.

    Returns:
        `value` of the runtime, `sum` as computed here, the largest `difference` of all steps, and `layer_path`.

    Raises:
        ExplanationError: no such layer or position, or an operator whose arithmetic is not shown.
    """
    shape = trace.layered.layer(layer).shape
    if len(index) != len(shape) or not all(
        isinstance(i, int) and 0 <= i < side for i, side in zip(index, shape, strict=False)
    ):
        raise ExplanationError("index_out_of_shape", layer=layer, shape=list(shape), index=list(index)[:8])
    position = (min(VIEWS.index(tta_view), len(trace.values[layer]) - 1), *index)
    layer_path: list[Step] = []
    current = layer
    while True:
        step, source = _step(trace, current, position, all_terms)
        layer_path.insert(0, step)
        if source is None:
            break
        current, position = trace.layered.graph.producers[current].inputs[source[0]], source[1]
        if current not in trace.layered.by_name or trace.layered.layer(current).unsupported:
            break
    return {
        "layer": layer,
        "index": list(index),
        "tta_view": tta_view,
        "value": layer_path[-1]["runtime_value"],
        "sum": layer_path[-1]["value"],
        "difference": max(abs(step["value"] - step["runtime_value"]) for step in layer_path),
        "matches_runtime": all(
            abs(step["value"] - step["runtime_value"]) <= TOLERANCE * max(1.0, abs(step["runtime_value"]))
            for step in layer_path
        ),
        "tolerance": TOLERANCE,
        "layer_path": layer_path,
    }


def _step(trace: Trace, name: str, position: Position, all_terms: bool) -> tuple[Step, Source | None]:
    """One step, and the one value that it was made of; None for a sum of several."""
    layer = trace.layered.layer(name)
    if layer.unsupported:
        raise ExplanationError("layer_unsupported", layer=name, reason=layer.unsupported)
    node, operator = trace.layered.graph.producers[name], OPERATORS[layer.op]
    step, source = operator.step(trace.call(name), position, all_terms)
    for term in step.get("largest_terms", ()):
        term["from"] = _first_origin(trace, node.inputs[0], (*position[:-1], term["input"]))
    if operator.step_kind == "terms":
        step["terms"] = [_reference(trace, node.inputs[t["input"]], t["index"], t["value"]) for t in step["terms"]]
    if operator.step_kind == "softmax":
        _name_classes(trace, node.outputs[0], step["terms"])
    if source is not None:
        step["inputs"] = [_reference(trace, node.inputs[source[0]], source[1])]
    return {
        "layer": name,
        "kind": layer.kind,
        "kind_names": dict(layer.kind_names),
        "step_kind": operator.step_kind,
        "index": list(position[1:]),
        "tta_view": VIEWS[position[0]],
        "runtime_value": float(trace.values[name][position]),
        "input_layer": node.inputs[0],
        **step,
    }, source


def _reference(trace: Trace, name: str, position: Position, value: float = 0.0) -> dict[str, Any]:
    """A value of a layer or of the pixels; of a constant its name and `value`."""
    if name not in trace.values and name not in trace.layered.graph.inputs:
        return {"layer": None, "name": name, "index": None, "value": value}
    array = trace.values.get(name, trace.pixels[None])
    index = [int(i) for i in position[1:]]
    return {"layer": name, "index": index, "tta_view": VIEWS[position[0]], "value": float(array[position])}


def _first_origin(trace: Trace, layer: str, position: Position) -> dict[str, Any] | None:
    """Where a feature lay before it was moved into a row: a layer, and a position in one of its maps."""
    origin = None
    by_name = trace.layered.by_name
    while layer in by_name and (operator := OPERATORS[by_name[layer].op]).step_kind == "moved":
        _, source = operator.step(trace.call(layer), position, False)
        assert source is not None
        layer, position = trace.layered.graph.producers[layer].inputs[source[0]], source[1]
        origin = _reference(trace, layer, position)
    return origin


def _name_classes(trace: Trace, result: str, terms: Sequence[dict[str, Any]]) -> None:
    """Call a softmax's terms as the classes of the target that it leads to."""
    for target in trace.layered.bundle.targets:
        if result in trace.layered.graph.path(target.name) and len(terms) == len(target.classes):
            for term, label in zip(terms, target.classes, strict=True):
                term["class"] = label

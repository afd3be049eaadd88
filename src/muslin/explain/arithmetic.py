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
from muslin.learn.onnx_operators import Place, Source, Step

TOLERANCE = 1e-4
"""How far a value computed here may be from the runtime's, relative or absolute: they add in different orders."""


def arithmetic(
    trace: Trace,
    layer: str,
    index: Sequence[int],
    tta_view: ViewName = "original",
    *,
    all_terms: bool = False,
) -> dict[str, Any]:
    """The steps to one value.

    Args:
        index: (channel, row, column), or (feature,), within the layer's shape.
        tta_view: which view of the image, for a network with test-time augmentation.
        all_terms: all maps and inputs of a sum rather than the largest ones.

    Returns:
        `value` of the runtime, `sum` as computed here, the largest `difference` of all steps, and `chain`.

    Raises:
        ExplanationError: no such layer or place, or an operator whose arithmetic is not shown.
    """
    shape = trace.layered.layer(layer).shape
    if len(index) != len(shape) or not all(
        isinstance(i, int) and 0 <= i < side for i, side in zip(index, shape, strict=False)
    ):
        raise ExplanationError("index_out_of_shape", layer=layer, shape=list(shape), index=list(index)[:8])
    place = (min(VIEWS.index(tta_view), len(trace.values[layer]) - 1), *index)
    chain: list[Step] = []
    current = layer
    while True:
        step, source = _step(trace, current, place, all_terms)
        chain.insert(0, step)
        if source is None:
            break
        current, place = trace.layered.graph.producers[current].inputs[source[0]], source[1]
        if current not in trace.layered.by_name or trace.layered.layer(current).unsupported:
            break
    return {
        "layer": layer,
        "index": list(index),
        "tta_view": tta_view,
        "value": chain[-1]["runtime"],
        "sum": chain[-1]["value"],
        "difference": max(abs(step["value"] - step["runtime"]) for step in chain),
        "agrees": all(
            abs(step["value"] - step["runtime"]) <= TOLERANCE * max(1.0, abs(step["runtime"]))
            for step in chain
        ),
        "tolerance": TOLERANCE,
        "chain": chain,
    }


def _step(trace: Trace, name: str, place: Place, all_terms: bool) -> tuple[Step, Source | None]:
    """One step, and the one value that it was made of; None for a sum of several."""
    layer = trace.layered.layer(name)
    if layer.unsupported:
        raise ExplanationError("layer_unsupported", layer=name, reason=layer.unsupported)
    node, operator = trace.layered.graph.producers[name], OPERATORS[layer.op]
    step, source = operator.step(trace.call(name), place, all_terms)
    for term in step.get("largest_terms", ()):
        term["from"] = _first_origin(trace, node.inputs[0], (*place[:-1], term["input"]))
    if operator.form == "terms":
        step["terms"] = [
            _reference(trace, node.inputs[t["input"]], t["index"], t["value"]) for t in step["terms"]
        ]
    if operator.form == "softmax":
        _name_classes(trace, node.outputs[0], step["terms"])
    if source is not None:
        step["inputs"] = [_reference(trace, node.inputs[source[0]], source[1])]
    return {
        "layer": name,
        "kind": layer.kind,
        "kind_names": dict(layer.kind_names),
        "form": operator.form,
        "index": list(place[1:]),
        "tta_view": VIEWS[place[0]],
        "runtime": float(trace.values[name][place]),
        "input_layer": node.inputs[0],
        **step,
    }, source


def _reference(trace: Trace, name: str, place: Place, value: float = 0.0) -> dict[str, Any]:
    """A value of a layer or of the pixels; of a constant its name and `value`."""
    if name not in trace.values and name not in trace.layered.graph.inputs:
        return {"layer": None, "name": name, "index": None, "value": value}
    array = trace.values.get(name, trace.pixels[None])
    index = [int(i) for i in place[1:]]
    return {"layer": name, "index": index, "tta_view": VIEWS[place[0]], "value": float(array[place])}


def _first_origin(trace: Trace, layer: str, place: Place) -> dict[str, Any] | None:
    """Where a feature lay before it was moved into a row: a layer, and a place in one of its maps."""
    origin = None
    by_name = trace.layered.by_name
    while layer in by_name and (operator := OPERATORS[by_name[layer].op]).form == "moved":
        _, source = operator.step(trace.call(layer), place, False)
        assert source is not None
        layer, place = trace.layered.graph.producers[layer].inputs[source[0]], source[1]
        origin = _reference(trace, layer, place)
    return origin


def _name_classes(trace: Trace, result: str, terms: Sequence[dict[str, Any]]) -> None:
    """Call a softmax's terms as the classes of the target that it leads to."""
    for target in trace.layered.bundle.targets:
        if result in trace.layered.graph.path(target.name) and len(terms) == len(target.classes):
            for term, label in zip(terms, target.classes, strict=True):
                term["class"] = label

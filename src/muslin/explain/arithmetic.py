"""How one value of one layer came about: the window, the weights, their products and the sum, worked out anew in
float64 from what the runtime gave for the layer before, and set beside the runtime's own value.

`arithmetic` goes from the value asked for back to the nearest layer that adds something up, such as a convolution
with its pooling, batch norm and ReLU, and returns the steps in the order they happen. A step is plain JSON values.
Positions are (channel, row, column) or (feature,).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from muslin.errors import RecipeError
from muslin.explain.graph import Array, Node
from muslin.explain.layers import VIEWS, Trace, ViewName
from muslin.explain.operations import (
    MOVING,
    Float,
    curve,
    limits,
    linear_parts,
    mean_counts,
    normalisation,
    origins,
    reduced_axes,
    window,
)

TOLERANCE = 1e-4
"""How far a value worked out here may be from the runtime's, relative or absolute: they add in different orders."""

MAPS_SHOWN = 16
INPUTS_SHOWN = 32
MOSTLY = 0.9  # "9 of 1,152 inputs give 90 %"

Place = tuple[int, ...]  # with the count of images first
Step = dict[str, Any]


def arithmetic(
    trace: Trace,
    layer: str,
    index: Sequence[int],
    tta_view: ViewName = "original",
    *,
    everything: bool = False,
) -> dict[str, Any]:
    """The steps to one value.

    Args:
        index: (channel, row, column), or (feature,), within the layer's shape.
        tta_view: which of the two runs, for a network that also looks at the mirrored image.
        everything: all maps and inputs of a sum rather than the largest ones.

    Returns:
        `value` as the runtime has it, `sum` as worked out here, the largest `difference` of all steps, and `chain`.

    Raises:
        RecipeError: no such layer or place, or an operation that is not taken apart.
    """
    found = trace.layered.layer(layer)
    if len(index) != len(found.shape) or not all(
        isinstance(i, int) and 0 <= i < side for i, side in zip(index, found.shape, strict=False)
    ):
        raise RecipeError(f"{layer} has the shape {found.shape}: no value at {list(index)[:8]}.")
    place = (min(VIEWS.index(tta_view), len(trace.values[layer]) - 1), *index)
    chain: list[Step] = []
    at = layer
    while True:
        step, source = _step(trace, at, place, everything)
        chain.insert(0, step)
        if source is None or trace.layered.by_name.get(source[0]) is None:
            break
        at, place = source
        if trace.layered.layer(at).unsupported:
            break
    return {
        "layer": layer,
        "index": list(index),
        "tta_view": tta_view,
        "value": chain[-1]["runtime"],
        "sum": chain[-1]["value"],
        "difference": max(abs(step["value"] - step["runtime"]) for step in chain),
        "agrees": all(agrees(step["value"], step["runtime"]) for step in chain),
        "tolerance": TOLERANCE,
        "chain": chain,
    }


def agrees(value: float, runtime: float) -> bool:
    """Whether two values are the same up to TOLERANCE, relative or absolute."""
    return abs(value - runtime) <= TOLERANCE * max(1.0, abs(runtime))


def _step(trace: Trace, layer: str, place: Place, everything: bool) -> tuple[Step, tuple[str, Place] | None]:
    """One step, and the one value that it was made of; None where it is a sum of several."""
    about = trace.layered.layer(layer)
    if about.unsupported:
        raise RecipeError(f"{layer}: {about.unsupported}.")
    graph = trace.layered.graph
    node = graph.producers[layer]
    step: Step = {"layer": layer, "kind": _kind(node), "index": list(place[1:]), "tta_view": VIEWS[place[0]]}
    step["runtime"] = float(trace.values[layer][place])
    source: tuple[str, Place] | None = None
    if node.op in MOVING:
        more, source = _moved(trace, node, layer, place)
    elif (single := curve(graph, node)) is not None:
        source = node.inputs[0], place
        x = float(trace.values[node.inputs[0]][place])
        more = {"value": float(single.value(np.array(x))), "input": x, "formula": single.formula}
        more["kind"] = single.kind.replace(" ", "_")
        low, high = limits(graph, node) if node.op == "Clip" else (0.0, math.inf)
        if node.op in ("Relu", "Clip"):
            more |= {"low": _finite(low), "high": _finite(high)}
            more["clipped"] = "low" if x < low else "high" if x > high else None
    else:
        match node.op:
            case "Conv":
                more = _convolution(trace, node, place, everything)
            case "Gemm" | "MatMul":
                more = _dense(trace, node, place, everything)
            case "BatchNormalization":
                more, source = _batch_norm(trace, node, place)
            case "MaxPool" | "AveragePool":
                more, source = _pooling(trace, node, layer, place)
            case "GlobalMaxPool":
                more, source = _global_max(trace, node, place)
            case "GlobalAveragePool" | "ReduceMean":
                more = _mean_of_all(trace, node, place)
            case "Softmax":
                more = _softmax(trace, node, place)
            case _:
                more, source = _combined(trace, node, place)
    if source is not None and "inputs" not in more:
        more["inputs"] = [_reference(trace, *source)]
    return step | more, source


_STEP_KINDS = {
    "Conv": "convolution", "Gemm": "dense", "MatMul": "dense", "BatchNormalization": "batch_norm",
    "MaxPool": "max_pool", "AveragePool": "mean_pool", "GlobalMaxPool": "global_max",
    "GlobalAveragePool": "global_mean", "ReduceMean": "global_mean", "Softmax": "softmax", "Add": "add",
    "Sum": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Mean": "mean",
}  # fmt: skip


def _kind(node: Node) -> str:
    return "moved" if node.op in MOVING else _STEP_KINDS.get(node.op, node.op.lower())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _reference(trace: Trace, layer: str, place: Place) -> dict[str, Any]:
    array = trace.values.get(layer)
    if array is None:  # the pixels themselves
        array = trace.pixels[None]
    return {
        "layer": layer,
        "index": [int(i) for i in place[1:]],
        "tta_view": VIEWS[int(place[0])],
        "value": float(array[tuple(place)]),
    }


def _moved(trace: Trace, node: Node, layer: str, place: Place) -> tuple[Step, tuple[str, Place] | None]:
    graph = trace.layered.graph
    known = {**trace.values, "pixels": trace.pixels[None]}
    names, places = origins(graph, node, layer, known)
    at = int(places[place])
    if at < 0:
        return {"value": 0.0, "formula": "put in as padding", "from": None}, None
    for name in names:
        array = known[name] if name in known else graph.constants[name]
        if at < array.size:
            break
        at -= array.size
    where = tuple(int(i) for i in np.unravel_index(at, array.shape))
    value = float(array[where])
    if name not in known:
        return {"value": value, "formula": f"a fixed number, {name}", "from": None}, None
    reference = _reference(trace, name, where)
    return {"value": value, "formula": f"handed on from {name}", "from": reference}, (name, where)


def _convolution(trace: Trace, node: Node, place: Place, everything: bool) -> Step:
    graph, source = trace.layered.graph, node.inputs[0]
    weights = graph.constants[node.inputs[1]].astype(np.float64)
    steps = window(node, trace.values[source].shape, weights.shape[2:])
    image, output, (row, column) = place[0], place[1], place[2:]
    groups = node.attributes.get("group", 1)
    first = output // (len(weights) // groups) * weights.shape[1]
    channels = range(first, first + weights.shape[1])
    patch = steps.patch(trace.values[source][image][first : first + weights.shape[1]], row, column)
    kernel = weights[output]
    sums = (np.nan_to_num(patch) * kernel).sum((1, 2))
    bias = float(graph.constants[node.inputs[2]][output]) if len(node.inputs) > 2 else 0.0
    top, left = steps.start(row, column)
    order = np.argsort(-np.abs(sums), kind="stable")
    kept = order if everything else order[:MAPS_SHOWN]
    return {
        "formula": f"{patch.size:,} products and their sum{', plus the bias' if len(node.inputs) > 2 else ''}",
        "value": float(sums.sum()) + bias,
        "sum": float(sums.sum()),
        "bias": bias if len(node.inputs) > 2 else None,
        "input_layer": source,
        "window": {"top": top, "left": left, "rows": steps.size[0], "columns": steps.size[1]},
        "stride": list(steps.stride),
        "pads": list(steps.pads),
        "dilation": list(steps.dilation),
        "groups": groups,
        "channels": [channels.start, channels.stop],
        "products_total": int(patch.size),
        "padded": int(np.isnan(patch[0]).sum()),
        "maps": [
            {
                "channel": channels[i],
                "sum": float(sums[i]),
                "values": _rows_of(patch[i]),
                "weights": kernel[i].tolist(),
            }
            for i in kept.tolist()
        ],
        "maps_total": len(sums),
        "share": _share(sums, kept),
    }


def _rows_of(values: Float) -> list[list[float | None]]:
    """Rows of numbers for JSON, None where there is none."""
    return [[None if math.isnan(v) else v for v in row] for row in values.tolist()]


def _share(terms: Float, shown: Array) -> dict[str, Any]:
    """How few of the terms, the largest first, make up MOSTLY of the sum of their sizes; and what is not shown."""
    sizes = np.sort(np.abs(terms))[::-1]
    total = float(sizes.sum())
    count = int(np.searchsorted(np.cumsum(sizes), MOSTLY * total)) + 1 if total else 0
    return {
        "count": min(count, len(terms)),
        "of": len(terms),
        "percent": round(100 * MOSTLY),
        "rest": float(terms.sum() - terms[shown].sum()),
    }


def _dense(trace: Trace, node: Node, place: Place, everything: bool) -> Step:
    graph, source = trace.layered.graph, node.inputs[0]
    weights, bias = linear_parts(graph, node)
    inputs = trace.values[source][place[:-1]].astype(np.float64)
    column = weights[:, place[-1]]
    products = inputs * column
    added = None if bias is None else float(bias[place[-1]])
    order = np.argsort(-np.abs(products), kind="stable")
    kept = order if everything else order[:INPUTS_SHOWN]
    factor = float(node.attributes.get("alpha", 1.0)) if node.op == "Gemm" else 1.0
    share = _share(products, kept)
    return {
        "formula": f"{share['count']:,} of {share['of']:,} inputs give {share['percent']} %",
        "value": float(products.sum()) + (added or 0.0),
        "sum": float(products.sum()),
        "bias": added,
        "factor": factor,
        "input_layer": source,
        "inputs_total": len(products),
        "top": [
            {
                "input": i,
                "value": float(inputs[i]),
                "weight": float(column[i]),
                "product": float(products[i]),
                "from": _first_origin(trace, source, (*place[:-1], i)),
            }
            for i in kept.tolist()
        ],
        "share": share,
    }


def _first_origin(trace: Trace, layer: str, place: Place) -> dict[str, Any] | None:
    """Where a feature lay before it was moved into a row: a layer, and a place in one of its maps."""
    with_thresholds = None
    while (node := trace.layered.graph.producers.get(layer)) is not None and node.op in MOVING:
        _, source = _moved(trace, node, layer, place)
        if source is None:
            return with_thresholds
        layer, place = source
        with_thresholds = _reference(trace, layer, place)
    return with_thresholds


def _batch_norm(trace: Trace, node: Node, place: Place) -> tuple[Step, tuple[str, Place]]:
    constants, channel = trace.layered.graph.constants, place[1]
    scale, shift, mean, variance = (float(constants[name][channel]) for name in node.inputs[1:5])
    factor, addition = normalisation(trace.layered.graph, node)
    x = float(trace.values[node.inputs[0]][place])
    step = {
        "formula": "(x - mean) / √(variance + epsilon) · scale + shift",
        "value": float(factor[channel]) * x + float(addition[channel]),
        "input": x,
        "mean": mean,
        "variance": variance,
        "epsilon": float(node.attributes.get("epsilon", 1e-5)),
        "scale": scale,
        "shift": shift,
    }
    return step, (node.inputs[0], place)


def _pooling(trace: Trace, node: Node, layer: str, place: Place) -> tuple[Step, tuple[str, Place] | None]:
    source = node.inputs[0]
    steps = window(node, trace.values[source].shape)
    image, channel, (row, column) = place[0], place[1], place[2:]
    patch = steps.patch(trace.values[source][image][channel : channel + 1], row, column)[0]
    top, left = steps.start(row, column)
    step: Step = {
        "input_layer": source,
        "channel": channel,
        "window": {"top": top, "left": left, "rows": steps.size[0], "columns": steps.size[1]},
        "stride": list(steps.stride),
        "pads": list(steps.pads),
        "values": _rows_of(patch),
    }
    if node.op == "AveragePool":
        size = trace.values[layer].shape[2:]
        count = mean_counts(node, steps, (size[0], size[1]))[row, column]
        step |= {"value": float(np.nansum(patch) / count), "formula": f"the mean of {count:g} values"}
        return step | {"winner": None}, None
    y, x = np.unravel_index(np.nanargmax(patch), patch.shape)
    where = (image, channel, top + int(y) * steps.dilation[0], left + int(x) * steps.dilation[1])
    step |= {
        "value": float(patch[y, x]),
        "formula": "the largest of the window",
        "winner": [int(y), int(x)],
    }
    return step, (source, where)


def _global_max(trace: Trace, node: Node, place: Place) -> tuple[Step, tuple[str, Place]]:
    source = node.inputs[0]
    maps = trace.values[source][place[0], place[1]]
    where = np.unravel_index(maps.argmax(), maps.shape)
    step = {
        "formula": f"the largest of {maps.size:,} values of the map",
        "value": float(maps.max()),
        "input_layer": source,
        "channel": place[1],
        "winner": [int(i) for i in where],
    }
    return step, (source, (place[0], place[1], *(int(i) for i in where)))


def _mean_of_all(trace: Trace, node: Node, place: Place) -> Step:
    source = node.inputs[0]
    values = trace.values[source].astype(np.float64)
    if node.op == "GlobalAveragePool":
        inside = values[place[0], place[1]]
    else:
        axes = reduced_axes(trace.layered.graph, node, values.ndim)
        rest = list(place)
        cut: list[Any] = []
        for axis in range(values.ndim):
            if axis not in axes or node.attributes.get("keepdims", 1):
                cut.append(rest.pop(0))
            else:
                cut.append(slice(None))
            if axis in axes:
                cut[-1] = slice(None)
        inside = values[tuple(cut)]
    step: Step = {
        "formula": f"the mean of {inside.size:,} values",
        "value": float(inside.mean()),
        "sum": float(inside.sum()),
        "count": int(inside.size),
        "input_layer": source,
        "channel": place[1] if len(place) > 1 else 0,
    }
    if inside.ndim == 2 and inside.size <= 4096:
        step["values"] = inside.tolist()
    return step


def _softmax(trace: Trace, node: Node, place: Place) -> Step:
    source = node.inputs[0]
    axis = node.attributes.get("axis", -1) % len(place)
    line = tuple(slice(None) if a == axis else i for a, i in enumerate(place))
    scores = trace.values[source][line].astype(np.float64)
    less = scores - scores.max()
    exponentials = np.exp(less)
    total = float(exponentials.sum())
    target = next(
        (t for t in trace.layered.bundle.targets if len(t.classes) == len(scores)
         and _leads_to(trace, t.name, node.outputs[0])), None,
    )  # fmt: skip
    names = target.classes if target else [str(i) for i in range(len(scores))]
    return {
        "formula": "e^(score - largest score), divided by the sum of all of them",
        "value": float(exponentials[place[axis]] / total),
        "total": total,
        "input_layer": source,
        "place": place[axis],
        "terms": [
            {
                "class": names[i],
                "score": float(scores[i]),
                "minus_max": float(less[i]),
                "exp": float(exponentials[i]),
                "probability": float(exponentials[i] / total),
            }
            for i in range(len(scores))
        ],
    }


def _leads_to(trace: Trace, target: str, result: str) -> bool:
    name = target
    while name != result and (node := trace.layered.graph.producers.get(name)) is not None:
        name = next((i for i in node.inputs if i in trace.layered.graph.producers), "")
    return name == result


def _combined(trace: Trace, node: Node, place: Place) -> tuple[Step, tuple[str, Place] | None]:
    """Additions, products and means, value by value; what is smaller is repeated, as in numpy."""
    terms: list[dict[str, Any]] = []
    varied: list[tuple[str, Place]] = []
    for name in node.inputs:
        array = trace.values[name] if name in trace.values else trace.layered.graph.constants[name]
        at = place[len(place) - array.ndim :]
        where = tuple(i if side > 1 else 0 for i, side in zip(at, array.shape, strict=True))
        if name in trace.values:
            varied.append((name, where))
            terms.append(_reference(trace, name, where))
        else:
            terms.append({"layer": None, "name": name, "index": None, "value": float(array[where])})
    numbers = [term["value"] for term in terms]
    match node.op:
        case "Add" | "Sum":
            value, formula = math.fsum(numbers), " + ".join(["x"] * len(numbers))
        case "Mean":
            value, formula = math.fsum(numbers) / len(numbers), f"the mean of {len(numbers)} values"
        case "Sub":
            value, formula = numbers[0] - numbers[1], "x - y"
        case "Mul":
            value, formula = numbers[0] * numbers[1], "x · y"
        case _:
            value = numbers[0] / numbers[1] if numbers[1] else math.nan
            formula = "x / y"
    step = {"value": value, "formula": formula, "terms": terms}
    return step, varied[0] if len(varied) == 1 else None

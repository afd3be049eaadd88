"""ONNX operators in numpy: the terms of one value, and back-propagation from a result to the inputs.

The rows are the operators that `muslin.learn.export` writes and edits of a network add; `LAYER_KINDS` holds those of
the layers, `OPERATORS` the others. Semantics: https://onnx.ai/onnx/operators. Nothing here imports torch.

Values are arrays as the runtime gave them, with the number of images first; sums are in float64. For one image an
operator made of straight lines is y = Jx + b: the inputs get slopes·J, and slopes·b stays with the network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from muslin.messages import Message

Array = NDArray[Any]
Float = NDArray[np.floating[Any]]
Position = tuple[int, ...]
"""(image, channel, row, column) or (image, feature)."""
Step = dict[str, Any]
Source = tuple[int, Position]
"""Which input, and where in it."""

MAX_MAPS = 16
MAX_TERMS = 32
MAIN_SHARE = 0.9  # "9 of 1,152 inputs give 90 %"


@dataclass(frozen=True, eq=False)
class Call:
    """One operator on one image.

    Attributes:
        attributes: of the ONNX node.
        inputs: what it takes, weights too.
        varying: which inputs depend on the image.
        output: what it gives.
        part: of an operator with several outputs: which one, and of how many.
    """

    attributes: Mapping[str, Any]
    inputs: tuple[Array, ...]
    varying: tuple[bool, ...]
    output: Array
    part: tuple[int, int] = (0, 1)

    def wide(self, number: int) -> Float:
        """An input in float64."""
        return self.inputs[number].astype(np.float64)


Back = tuple[tuple[Float | None, ...], float]
"""Per input the score's slope in each of its values, None where it does not vary; and what stays with constants."""


@dataclass(frozen=True)
class Operator:
    """How an operator is explained.

    Attributes:
        step_kind: how a page draws a step.
        step: the terms of the value at a position, all or the largest; and the one value it was made of, if one.
        backward: from the score's slope in each value of the result to the slopes in the inputs.
        attributes: those of the ONNX node that are understood; with any other the operator is not shown.
        varying: how many inputs, from the first, may depend on the image.
        takes: whether the constants among a node's inputs, None for the others, and the result's shape for one image
            are such as muslin exports; a node with others is not shown.
        is_exact: whether it is made of straight lines, so that an attribution adds up to the score.
        edits: the kinds of `muslin.explain.model_edits` that it takes.
    """

    step_kind: str
    step: Callable[[Call, Position, bool], tuple[Step, Source | None]]
    backward: Callable[[Call, Float], Back]
    attributes: frozenset[str] = frozenset()
    varying: int = 1
    takes: Callable[[Sequence[Array | None], Sequence[int]], bool] = lambda constants, shape: True
    is_exact: bool = True
    edits: tuple[str, ...] = ()


# ── Windows and weighted sums ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling steps over an image: `size` and `stride` (rows, columns), and `pads` above, left,
    below and right, in px."""

    size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]

    def start(self, row: int, column: int) -> tuple[int, int]:
        """Top and left of the window of the value at (row, column); negative in the padding."""
        return row * self.stride[0] - self.pads[0], column * self.stride[1] - self.pads[1]

    def views(self, maps: Array, padding: float) -> tuple[Array, Array]:
        """A padded copy of (count, channels, height, width), and its windows, (count, channels, rows, columns, *size),
        which share its memory."""
        top, left, bottom, right = self.pads
        padded = np.pad(maps, [(0, 0), (0, 0), (top, bottom), (left, right)], constant_values=padding)
        windows = sliding_window_view(padded, self.size, axis=(2, 3), writeable=True)
        return padded, windows[:, :, :: self.stride[0], :: self.stride[1]]

    def patch(self, maps: Array, row: int, column: int) -> Float:
        """float64 (channels, *size) of maps (channels, height, width); NaN in the padding."""
        patch: Float = self.views(maps[None].astype(np.float64), np.nan)[1][0, :, row, column]
        return patch

    def scatter(self, shape: Sequence[int], part: Callable[[int, int], Float]) -> Float:
        """Add `part(i, j)`, (count, channels, rows, columns), where place (i, j) of each window lies in an input of
        `shape`."""
        padded, windows = self.views(np.zeros(shape), 0.0)
        for i, j in np.ndindex(self.size):
            windows[..., i, j] += part(i, j)
        top, left = self.pads[:2]
        inside: Float = padded[:, :, top : top + shape[2], left : left + shape[3]]
        return inside

    def step(self, row: int, column: int) -> Step:
        """Where the window lies, for a page."""
        top, left = self.start(row, column)
        return {
            "window": {"top": top, "left": left, "rows": self.size[0], "columns": self.size[1]},
            "stride": list(self.stride),
            "pads": list(self.pads[:2]),
        }


def window_of(attributes: Mapping[str, Any], shape: Sequence[int]) -> Window:
    """The window over an input of `shape` (count, channels, height, width); of a global pooling all of it."""
    (height, width), (down, across) = (attributes.get("kernel_shape") or shape[2:], attributes.get("strides") or (1, 1))
    top, left, bottom, right = attributes.get("pads") or (0, 0, 0, 0)
    return Window((height, width), (down, across), (top, left, bottom, right))


WINDOW_ATTRIBUTES = frozenset(("kernel_shape", "strides", "pads"))


def _convolution_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, None]:
    weights = call.wide(1)
    window, groups = window_of(call.attributes, call.inputs[0].shape), call.attributes.get("group", 1)
    image, output, row, column = position
    first = output // (len(weights) // groups) * weights.shape[1]
    patch = window.patch(call.inputs[0][image][first : first + weights.shape[1]], row, column)
    sums = (np.nan_to_num(patch) * weights[output]).sum((1, 2))
    bias = float(call.inputs[2][output]) if len(call.inputs) > 2 else None
    step, shown = _weighted_sum(sums, bias, None if all_terms else MAX_MAPS)
    code = "formula_products" if bias is None else "formula_products_bias"
    return window.step(row, column) | step | {
        "formula": Message(code, count=patch.size),
        "groups": groups,
        "products_total": patch.size,
        "padded": int(np.isnan(patch[0]).sum()),
        "maps": [
            {"channel": first + i, "sum": float(sums[i]), "values": rows_of(patch[i]),
             "weights": weights[output][i].tolist()}
            for i in shown
        ],
        "maps_total": len(sums),
    }, None  # fmt: skip


def _convolution_back(call: Call, slopes: Float) -> Back:
    weights, shape = call.wide(1), call.inputs[0].shape
    groups = call.attributes.get("group", 1)
    count, _, rows, columns = slopes.shape
    grouped = slopes.reshape(count, groups, -1, rows * columns)
    kernels = weights.reshape(groups, -1, *weights.shape[1:])

    def product(i: int, j: int) -> Float:
        part = kernels[:, :, :, i, j].transpose(0, 2, 1) @ grouped
        return part.reshape(count, shape[1], rows, columns)

    constant = float(slopes.sum((0, 2, 3)) @ call.wide(2)) if len(call.inputs) > 2 else 0.0
    window = window_of(call.attributes, shape)
    return (window.scatter(shape, product),), constant


CONVOLUTION = Operator(
    "convolution", _convolution_step, _convolution_back, WINDOW_ATTRIBUTES | {"group"},
    edits=("kernel", "bias"),
)  # fmt: skip


def _max_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, Source]:
    window = window_of(call.attributes, call.inputs[0].shape)
    image, channel, row, column = position
    patch = window.patch(call.inputs[0][image][channel : channel + 1], row, column)[0]
    y, x = (int(i) for i in np.unravel_index(np.nanargmax(patch), patch.shape))
    top, left = window.start(row, column)
    step = {"value": float(patch[y, x]), "channel": channel, "argmax": [y, x]}
    if "kernel_shape" in call.attributes:
        whole = {"formula": Message("formula_window_max"), "values": rows_of(patch)}
        step |= window.step(row, column) | whole
    else:
        step["formula"] = Message("formula_map_max", count=patch.size)
    return step, (0, (image, channel, top + y, left + x))


def _max_back(call: Call, slopes: Float) -> Back:
    source = call.inputs[0]
    window = window_of(call.attributes, source.shape)
    _, windows = window.views(source, -np.inf)
    largest = windows.reshape(*windows.shape[:4], -1).argmax(-1)  # of several equal values the first one
    columns = window.size[1]
    return (window.scatter(source.shape, lambda i, j: slopes * (largest == i * columns + j)),), 0.0


MAX_POOL = Operator("window", _max_step, _max_back, WINDOW_ATTRIBUTES, edits=("pooling",))
GLOBAL_MAX = Operator("map", _max_step, _max_back, edits=("pooling",))


def _global_average_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, None]:
    maps = call.wide(0)[position[0], position[1]]
    step = {
        "formula": Message("formula_mean", count=maps.size),
        "value": float(maps.mean()),
        "sum": float(maps.sum()),
        "count": maps.size,
        "channel": position[1],
    }
    return step | ({"values": maps.tolist()} if maps.size <= 4096 else {}), None


def _global_average_back(call: Call, slopes: Float) -> Back:
    shape = call.inputs[0].shape
    return (np.broadcast_to(slopes / math.prod(shape[2:]), shape),), 0.0


GLOBAL_AVERAGE = Operator("map", _global_average_step, _global_average_back)


def dense_weights(call: Call) -> tuple[Float, Float | None]:
    """A Gemm's weights (features, classes) and its bias (classes,); factors are multiplied in."""
    attributes = call.attributes
    weights = call.wide(1).T if attributes.get("transB") else call.wide(1)
    bias = call.wide(2).reshape(-1) * attributes.get("beta", 1.0) if len(call.inputs) > 2 else None
    return weights * attributes.get("alpha", 1.0), bias


def _dense_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, None]:
    weights, biases = dense_weights(call)
    inputs, column = call.wide(0)[position[0]], weights[:, position[1]]
    products = inputs * column
    bias = None if biases is None else float(biases[position[1]])
    step, shown = _weighted_sum(products, bias, None if all_terms else MAX_TERMS)
    main = step["main_terms"]
    return step | {
        "formula": Message("formula_dense", count=main["count"], total=main["total"], percent=main["percent"]),
        "factor": float(call.attributes.get("alpha", 1.0)),
        "inputs_total": len(products),
        "largest_terms": [
            {"input": i, "value": float(inputs[i]), "weight": float(column[i]), "product": float(products[i])}
            for i in shown
        ],
    }, None


def _dense_back(call: Call, slopes: Float) -> Back:
    weights, bias = dense_weights(call)
    return (slopes @ weights.T,), 0.0 if bias is None else float(slopes.sum(0) @ bias)


def _has_bias_per_class(constants: Sequence[Array | None], shape: Sequence[int]) -> bool:
    return all(bias is not None and bias.size == shape[-1] for bias in constants[2:])


DENSE = Operator("dense", _dense_step, _dense_back, frozenset(("transB", "alpha", "beta")),
                 takes=_has_bias_per_class, edits=("weight", "bias"))  # fmt: skip


def _weighted_sum(terms: Float, bias: float | None, count: int | None) -> tuple[Step, list[int]]:
    """The sum of a step, how few of its terms, the largest first, make up MAIN_SHARE of the sum of sizes; and which
    `count` terms are shown, those largest in size, or all."""
    order = np.argsort(-np.abs(terms), kind="stable")
    sizes, total, shown = np.abs(terms)[order], float(np.abs(terms).sum()), order[:count].tolist()
    main = int(np.searchsorted(np.cumsum(sizes), MAIN_SHARE * total)) + 1 if total else 0
    return {
        "value": float(terms.sum()) + (bias or 0.0),
        "sum": float(terms.sum()),
        "bias": bias,
        "main_terms": {
            "count": min(main, len(terms)),
            "total": len(terms),
            "percent": round(100 * MAIN_SHARE),
            "rest": float(terms.sum() - terms[shown].sum()),
        },
    }, shown


def rows_of(values: Float) -> list[list[float | None]]:
    """Rows of numbers for JSON, None in the padding."""
    return [[None if math.isnan(v) else v for v in row] for row in values.tolist()]


# ── Functions of single values ────────────────────────────────────────────────────────────────────────────────────────


def _single(
    step_kind: str, step: Callable[[Call, Position], Step], line: Callable[[Call], tuple[Any, Any]], **options: Any
) -> Operator:
    """An operator on single values; of `line` it has at each value the slope and the rest: y = slope · x + rest."""

    def whole_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, Source]:
        return {"input": float(call.inputs[0][position])} | step(call, position), (0, position)

    def backward(call: Call, slopes: Float) -> Back:
        slope, rest = line(call)
        return (slopes * slope,), float(np.sum(slopes * rest))

    return Operator(step_kind, whole_step, backward, **options)


def _function(
    value: Callable[[Float], Float], slope: Callable[[Float], Float], formula: str, is_exact: bool = False
) -> Operator:
    """A function with its derivative; `is_exact` where it consists of straight lines."""

    def line(call: Call) -> tuple[Float, Float]:
        x, steepness = call.wide(0), slope(call.wide(0))
        return steepness, value(x) - steepness * x if is_exact else np.zeros(1)

    def step(call: Call, position: Position) -> Step:
        return {"value": float(value(call.wide(0)[position])), "formula": formula}

    return _single("function", step, line, is_exact=is_exact)


def _batch_norm_line(call: Call) -> tuple[Float, Float]:
    in_maps = [1] * (call.inputs[0].ndim - 2)
    scale, shift, mean, variance = (call.wide(number).reshape(-1, *in_maps) for number in range(1, 5))
    factor = scale / np.sqrt(variance + call.attributes.get("epsilon", 1e-5))
    return factor, shift - mean * factor


def _batch_norm_step(call: Call, position: Position) -> Step:
    factor, addition = (line.reshape(-1)[position[1]] for line in _batch_norm_line(call))
    names = ("scale", "shift", "mean", "variance")
    return {
        "formula": Message("formula_batch_norm"),
        "value": float(factor * call.wide(0)[position] + addition),
        "epsilon": float(call.attributes.get("epsilon", 1e-5)),
        **{name: float(call.inputs[number][position[1]]) for number, name in enumerate(names, 1)},
    }


BATCH_NORM = _single("batch_norm", _batch_norm_step, _batch_norm_line, attributes=frozenset(("epsilon",)),
                     edits=("layer_off",))  # fmt: skip


def _clip_range(call: Call) -> tuple[float, float]:
    """Between which values a Clip, or a Relu, keeps its results."""
    low, high = (bound.item() for bound in call.inputs[1:3]) if len(call.inputs) > 2 else (0.0, math.inf)
    return low, high


def _has_two_bounds(constants: Sequence[Array | None], shape: Sequence[int]) -> bool:
    bounds = constants[1:]
    return len(bounds) == 2 and all(bound is not None and bound.size == 1 for bound in bounds)


def _clip_step(call: Call, position: Position) -> Step:
    (low, high), x = _clip_range(call), float(call.inputs[0][position])
    return {
        "value": min(max(x, low), high),
        "formula": f"max({low:g}, x)" if high == math.inf else f"min(max({low:g}, x), {high:g})",
        "low": low,
        "high": high if math.isfinite(high) else None,
        "clipped": "low" if x < low else "high" if x > high else None,
    }


def _clip_line(call: Call) -> tuple[Float, Float]:
    (low, high), x = _clip_range(call), call.wide(0)
    passes = ((x > low) & (x < high)) * 1.0
    return passes, np.clip(x, low, high) - passes * x


RELU = _single("clipped", _clip_step, _clip_line, edits=("layer_off",))
CLIP = replace(RELU, takes=_has_two_bounds)


def sigmoid(x: Float) -> Float:
    """1 / (1 + e^-x), without overflow."""
    return np.exp(-np.logaddexp(0, -x))


SIGMOID = _function(sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x)), "1 / (1 + e^-x)")


def _softmax_step(call: Call, position: Position, all_terms: bool) -> tuple[Step, None]:
    scores = call.wide(0)[position[0]]
    less = scores - scores.max()
    exponentials = np.exp(less)
    total = float(exponentials.sum())
    return {
        "formula": Message("formula_softmax"),
        "value": float(exponentials[position[1]] / total),
        "total": total,
        "position": position[1],
        "terms": [
            {"class": str(i), "score": float(scores[i]), "minus_max": float(less[i]),
             "exp": float(exponentials[i]), "probability": float(exponentials[i] / total)}
            for i in range(len(scores))
        ],
    }, None  # fmt: skip


def _no_backward(call: Call, slopes: Float) -> Back:
    raise NotImplementedError  # attributions end at the scores, which stand before it


SOFTMAX = Operator("softmax", _softmax_step, _no_backward, frozenset(("axis",)), is_exact=False)


# ── Terms: two values or more, smaller arrays repeated as in numpy ────────────────────────────────────────────────────


def _terms(
    sign: str, combine: Callable[[list[float]], float], slopes_of: Callable[[Call], Sequence[Any]], *,
    formula: str = "", varying: int = 1, edits: tuple[str, ...] = ("layer_off",),
) -> Operator:  # fmt: skip
    """An operator on two values or more; `slopes_of` gives the derivative by each input."""

    def step(call: Call, position: Position, all_terms: bool) -> tuple[Step, Source | None]:
        terms: list[dict[str, Any]] = []
        for number, array in enumerate(call.inputs):
            last = position[len(position) - array.ndim :]
            where = tuple(i if side > 1 else 0 for i, side in zip(last, array.shape, strict=True))
            terms.append({"input": number, "index": where, "value": float(array[where])})
        sources = [(term["input"], term["index"]) for term in terms if call.varying[term["input"]]]
        value = combine([term["value"] for term in terms])
        made: Step = {"value": value, "formula": formula or f"x {sign} y", "sign": sign, "terms": terms}
        return made, sources[0] if len(sources) == 1 else None

    def backward(call: Call, slopes: Float) -> Back:
        parts: list[Float | None] = []
        constant = 0.0
        for number, slope in enumerate(slopes_of(call)):
            part = slopes * slope
            if call.varying[number]:
                parts.append(_sum_over_repeats(part, call.inputs[number].shape))
            else:
                parts.append(None)
                constant += float(np.sum(part * call.wide(number)))
        return tuple(parts), constant

    return Operator("terms", step, backward, varying=varying, edits=edits)


def _sum_over_repeats(slopes: Float, shape: Sequence[int]) -> Float:
    """Summed over the axes along which an array of `shape` was repeated."""
    summed = slopes.sum(tuple(range(slopes.ndim - len(shape))))
    axes = tuple(a for a, side in enumerate(shape) if side == 1 and summed.shape[a] != 1)
    narrowed: Float = summed.sum(axes, keepdims=True) if axes else summed
    return narrowed


ADD = _terms("+", math.fsum, lambda call: (1, 1), varying=2)
DIV = _terms("/", lambda x: x[0] / x[1] if x[1] else math.nan, lambda call: (1 / call.wide(1), 0))


# ── Values that only move ─────────────────────────────────────────────────────────────────────────────────────────────


def _same_order(call: Call, numbers: Sequence[Array]) -> Array:
    return numbers[0].reshape(call.output.shape)


def _slice(call: Call, numbers: Sequence[Array]) -> Array:
    """As ONNX has it: an end before the first place includes it."""
    cut = [slice(None)] * numbers[0].ndim
    for start, end, axis, step in zip(*call.inputs[1:], strict=True):
        includes_first = step < 0 and end < -numbers[0].shape[axis]
        cut[int(axis)] = slice(int(start), None if includes_first else int(end), int(step))
    return numbers[0][tuple(cut)]


def _moving(move: Callable[[Call, Sequence[Array]], Array], *attributes: str, varying: int = 1) -> Operator:
    """An operator that hands on values; `move` does to arrays of their numbers what it does to the values."""

    def starts(call: Call) -> Array:
        """Per varying input the number of its first value, if all of them are counted one after the other."""
        return np.cumsum([0, *(array.size for array in call.inputs[:varying])])

    def origins(call: Call) -> Array:
        """The number of each value of the result."""
        numbers = [start + np.arange(array.size).reshape(array.shape)
                   for start, array in zip(starts(call), call.inputs[:varying], strict=False)]  # fmt: skip
        return move(call, numbers)

    def step(call: Call, position: Position, all_terms: bool) -> tuple[Step, Source]:
        number = origins(call)[position]
        which = int(np.searchsorted(starts(call), number, "right")) - 1
        source = call.inputs[which]
        where = tuple(int(i) for i in np.unravel_index(number - starts(call)[which], source.shape))
        return {"value": float(source[where]), "formula": Message("formula_moved")}, (which, where)

    def backward(call: Call, slopes: Float) -> Back:
        together = np.zeros(starts(call)[-1])
        np.add.at(together, origins(call), slopes)
        parts = np.split(together, starts(call)[1:-1])
        return tuple(part.reshape(a.shape) for part, a in zip(parts, call.inputs, strict=False)), 0.0

    return Operator("moved", step, backward, frozenset(attributes), varying)


OPERATORS: dict[str, Operator] = {
    "Cast": _moving(_same_order, "to"),
    "Concat": _moving(lambda call, numbers: np.concatenate(numbers, call.attributes["axis"]), "axis", varying=2),
    "Identity": _moving(_same_order),
    "Flatten": _moving(_same_order),
    "Slice": _moving(_slice),
    "Split": _moving(
        lambda call, numbers: np.split(numbers[0], call.part[1], call.attributes["axis"])[call.part[0]],
        "axis", "num_outputs",
    ),
    "Transpose": _moving(lambda call, numbers: numbers[0].transpose(call.attributes["perm"]), "perm"),
    "Mean": _terms(
        "+", lambda x: math.fsum(x) / len(x), lambda call: (0.5, 0.5), formula="(x + y) / 2", varying=2, edits=()
    ),
    "Sub": _terms("-", lambda x: x[0] - x[1], lambda call: (1, -1), varying=2),
    "Mul": _terms("·", lambda x: x[0] * x[1], lambda call: (call.wide(1), 0)),
    "Neg": _function(np.negative, lambda x: np.full_like(x, -1.0), "-x", is_exact=True),
    "Softplus": _function(lambda x: np.logaddexp(0, x), sigmoid, "log(1 + e^x)"),
    "Clip": CLIP,
}  # fmt: skip
"""The operators that stand between layers, by ONNX's name."""

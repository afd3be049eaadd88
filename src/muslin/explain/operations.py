"""What each operation of a graph does, as far as an explanation needs it: where values come from, and which way
evidence goes back.

Semantics: https://onnx.ai/onnx/operators. Values are arrays as the runtime gave them, batch first. What is not in
these tables is run like anything else, but not taken apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.explain.graph import Array, Graph, Node

Float = NDArray[np.floating[Any]]
"""In sums always float64."""
Values = Mapping[str, Array]


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling steps over an image, in pixels: (rows, columns) each.

    `pads` are zeros above and left; `inside` is the height and width of what it steps over.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]
    dilation: tuple[int, int]
    inside: tuple[int, int]

    def start(self, row: int, column: int) -> tuple[int, int]:
        """Top and left of the window that makes the value at (row, column); negative in the padding."""
        return row * self.stride[0] - self.pads[0], column * self.stride[1] - self.pads[1]

    def patch(self, image: Array, row: int, column: int) -> Float:
        """float64 (channels, *size) of a (channels, height, width); NaN in the padding."""
        top, left = self.start(row, column)
        rows = top + np.arange(self.size[0]) * self.dilation[0]
        columns = left + np.arange(self.size[1]) * self.dilation[1]
        found = np.full((len(image), *self.size), np.nan)
        in_rows = (rows >= 0) & (rows < self.inside[0])
        in_columns = (columns >= 0) & (columns < self.inside[1])
        found[:, in_rows[:, None] & in_columns] = image[
            :, rows[in_rows][:, None], columns[in_columns]
        ].reshape(len(image), -1)
        return found


def window(node: Node, shape: Sequence[int], kernel: Sequence[int] | None = None) -> Window:
    """The window of a Conv or a pooling over an input of `shape` (count, channels, height, width)."""
    size = _two(node.attributes.get("kernel_shape") or kernel or ())
    stride = _two(node.attributes.get("strides") or (1, 1))
    dilation = _two(node.attributes.get("dilations") or (1, 1))
    pads = tuple(node.attributes.get("pads") or (0, 0, 0, 0))[:2]
    how = node.attributes.get("auto_pad", b"NOTSET")
    if how in (b"SAME_UPPER", b"SAME_LOWER"):
        extents = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        needed = [
            max(0, (-(-side // step) - 1) * step + extent - side)
            for side, step, extent in zip(shape[2:], stride, extents, strict=True)
        ]
        # an odd pixel goes to the end, or for SAME_LOWER to the start
        pads = tuple(n // 2 if how == b"SAME_UPPER" else n - n // 2 for n in needed)
    elif how == b"VALID":
        pads = (0, 0)
    return Window(size, stride, _two(pads), dilation, _two(shape[2:]))


def _two(numbers: Sequence[int]) -> tuple[int, int]:
    first, second = numbers
    return int(first), int(second)


# --- values that only move


def _slice(node: Node, arrays: Sequence[Array], constants: Values) -> Array:
    starts, ends, *rest = (constants[name] for name in node.inputs[1:])
    axes = rest[0] if rest else np.arange(len(starts))
    steps = rest[1] if len(rest) > 1 else np.ones(len(starts), np.int64)
    cut = [slice(None)] * arrays[0].ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        backwards_to_the_start = step < 0 and end < -arrays[0].shape[axis]
        cut[int(axis)] = slice(int(start), None if backwards_to_the_start else int(end), int(step))
    return arrays[0][tuple(cut)]


def _pad(node: Node, arrays: Sequence[Array], constants: Values) -> Array:
    if node.attributes.get("mode", b"constant") != b"constant" or len(node.inputs) > 3:
        raise KeyError(node.op)
    ends = constants[node.inputs[1]].reshape(2, -1)
    return np.pad(arrays[0], [(int(a), int(b)) for a, b in ends.T], constant_values=-1)


def _split(node: Node, arrays: Sequence[Array], results: Sequence[Array]) -> list[Array]:
    axis = node.attributes.get("axis", 0)
    ends = np.cumsum([result.shape[axis] for result in results])[:-1]
    return np.split(arrays[0], ends, axis)


SAME_ORDER = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast", "Dropout")
"""Operations that hand on every value in order, in another shape."""

MOVING = (*SAME_ORDER, "Transpose", "Slice", "Concat", "Split", "Pad")


def origins(graph: Graph, node: Node, result: str, values: Values) -> tuple[list[str], Array]:
    """Where the values of a moving operation come from.

    Returns:
        The names of the inputs; and int64 of the result's shape: the place of each value among all values of the
        inputs, one input after the other, or -1 for one that was put in.
    """
    names = list(node.inputs) if node.op == "Concat" else [node.inputs[0]]
    arrays, start = [], 0
    for name in names:
        array = values[name] if name in values else graph.constants[name]
        arrays.append(np.arange(start, start + array.size).reshape(array.shape))
        start += array.size
    if node.op in SAME_ORDER:
        return names, arrays[0].reshape(values[result].shape)
    if node.op == "Transpose":
        return names, arrays[0].transpose(node.attributes.get("perm"))
    if node.op == "Concat":
        return names, np.concatenate(arrays, node.attributes["axis"])
    if node.op == "Split":
        parts = _split(node, arrays, [values[name] for name in node.outputs])
        return names, parts[node.outputs.index(result)]
    with_thresholds = {"Slice": _slice, "Pad": _pad}[node.op](node, arrays, graph.constants)
    return names, with_thresholds


# --- values that change one by one


@dataclass(frozen=True)
class Curve:
    """An operation on single values.

    Attributes:
        kind: what the layer is called.
        value: what becomes of x.
        slope: of the curve at x.
        exact: whether the curve consists of straight lines, so that an evidence map adds up to the score.
        formula: in words.
    """

    kind: str
    value: Callable[[Float], Float]
    slope: Callable[[Float], Float]
    exact: bool
    formula: str


def curve(graph: Graph, node: Node) -> Curve | None:
    """The curve of `node`; None if it is no operation on single values."""
    attributes = node.attributes
    match node.op:
        case "Relu":
            return Curve("relu", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0, True, "max(0, x)")
        case "LeakyRelu":
            a = attributes.get("alpha", 0.01)
            return Curve(
                "leaky relu", lambda x: np.where(x < 0, a * x, x), lambda x: np.where(x < 0, a, 1.0), True,
                f"x, or {a:g}·x where x < 0",
            )  # fmt: skip
        case "Clip":
            low, high = limits(graph, node)
            return Curve(
                "clip",
                lambda x: np.clip(x, low, high),
                lambda x: ((x > low) & (x < high)) * 1.0,
                True,
                f"at least {low:g}, at most {high:g}",
            )
        case "HardSigmoid":
            a, b = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
            return Curve(
                "hard sigmoid", lambda x: np.clip(a * x + b, 0, 1),
                lambda x: ((a * x + b > 0) & (a * x + b < 1)) * a, True, f"{a:g}·x + {b:g} between 0 and 1",
            )  # fmt: skip
        case "Neg":
            return Curve("minus", np.negative, lambda x: np.full_like(x, -1.0), True, "-x")
        case "Sigmoid":
            return Curve(
                "sigmoid", _sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x)), False, "1 / (1 + e^-x)"
            )
        case "Softplus":
            return Curve("softplus", lambda x: np.logaddexp(0, x), _sigmoid, False, "log(1 + e^x)")
        case "Tanh":
            return Curve("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2, False, "tanh(x)")
        case "HardSwish":
            return Curve(
                "hard swish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
                lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, (x > 0) * 1.0), False,
                "x · (x/6 + 1/2 between 0 and 1)",
            )  # fmt: skip
        case "Exp":
            return Curve("exponential", np.exp, np.exp, False, "e^x")
        case "Log":
            return Curve("logarithm", np.log, lambda x: 1 / x, False, "log(x)")
        case "Sqrt":
            return Curve("square root", np.sqrt, lambda x: 0.5 / np.sqrt(x), False, "√x")
    return None


def _sigmoid(x: Float) -> Float:
    return np.exp(-np.logaddexp(0, -x))


def limits(graph: Graph, node: Node) -> tuple[float, float]:
    """Between which values a Clip keeps its results; infinite where it has no limit."""
    given = []
    for place, name, usual in ((1, "min", -math.inf), (2, "max", math.inf)):
        if len(node.inputs) > place and node.inputs[place]:
            given.append(float(graph.constants[node.inputs[place]]))
        else:
            given.append(float(node.attributes.get(name, usual)))
    return given[0], given[1]


# --- sums


def linear_parts(graph: Graph, node: Node) -> tuple[Float, Float | None]:
    """A Gemm's or MatMul's weights (features, classes), and its bias; factors are multiplied in.

    Raises:
        KeyError: its weights are no constants.
    """
    weights = graph.constants[node.inputs[1]].astype(np.float64)
    if node.op == "MatMul":
        return weights, None
    if node.attributes.get("transB", 0):
        weights = weights.T
    bias = None
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = graph.constants[node.inputs[2]].astype(np.float64) * node.attributes.get("beta", 1.0)
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[1:])
    return weights * node.attributes.get("alpha", 1.0), bias


def normalisation(graph: Graph, node: Node) -> tuple[Float, Float]:
    """A BatchNormalization as one factor and one addition per channel: (y = factor · x + addition)."""
    scale, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:5])
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return factor, shift - mean * factor


def reduced_axes(graph: Graph, node: Node, rank: int) -> tuple[int, ...]:
    """The axes over which a ReduceMean or ReduceMax goes."""
    if len(node.inputs) > 1 and node.inputs[1]:
        axes = [int(a) for a in graph.constants[node.inputs[1]].reshape(-1)]
    else:
        axes = list(node.attributes.get("axes") or range(rank))
    return tuple(sorted(a % rank for a in axes))


# --- evidence on its way back


Back = tuple[dict[str, Float], float, bool]
"""What of the evidence each input gets, how much stays with the operation's own constants, and whether exactly."""


def backward(graph: Graph, node: Node, result: str, values: Values, evidence: Float) -> Back:
    """From how much each value of `result` counts for a score to how much each value of the inputs does.

    At this image an operation made of straight lines is y = Jx + b: the inputs get evidence·J, and evidence·b is
    said to belong to the network and not to the image.

    Args:
        evidence: the score's slope in each value of `result`, of its shape.

    Raises:
        KeyError: an operation that is not taken apart.
    """
    source = node.inputs[0]
    if node.op in MOVING:
        names, places = origins(graph, node, result, values)
        arrays = [values.get(name, graph.constants.get(name)) for name in names]
        sizes = [0 if array is None else array.size for array in arrays]
        together = np.zeros(sum(sizes))
        kept = places >= 0
        np.add.at(together, places[kept], evidence[kept])
        parts = np.split(together, np.cumsum(sizes)[:-1])
        found: dict[str, Float] = {}
        constant = 0.0
        for name, part, array in zip(names, parts, arrays, strict=True):
            if array is None:
                continue
            if name in values:
                found[name] = found.get(name, 0) + part.reshape(array.shape)
            else:
                constant += float(part @ array.reshape(-1).astype(np.float64))
        return found, constant, True
    if (single := curve(graph, node)) is not None:
        x = values[source].astype(np.float64)
        slope = single.slope(x)
        rest = single.value(x) - slope * x if single.exact else 0.0
        return {source: evidence * slope}, float(np.sum(evidence * rest)), single.exact
    match node.op:
        case "Conv":
            bias = graph.constants[node.inputs[2]] if len(node.inputs) > 2 else None
            constant = 0.0 if bias is None else float(evidence.sum((0, 2, 3)) @ bias.astype(np.float64))
            return {source: _conv_back(graph, node, values[source].shape, evidence)}, constant, True
        case "Gemm" | "MatMul":
            weights, bias = linear_parts(graph, node)
            constant = 0.0 if bias is None else float(evidence.reshape(-1, weights.shape[1]).sum(0) @ bias)
            return {source: evidence @ weights.T}, constant, True
        case "BatchNormalization":
            factor, addition = (v.reshape(-1, *[1] * (evidence.ndim - 2)) for v in normalisation(graph, node))
            return {source: evidence * factor}, float(np.sum(evidence * addition)), True
        case "MaxPool" | "GlobalMaxPool":
            return {source: _max_back(node, values[source], values[result], evidence)}, 0.0, True
        case "AveragePool":
            return {source: _mean_back(node, values[source].shape, evidence)}, 0.0, True
        case "GlobalAveragePool" | "ReduceMean":
            shape = values[source].shape
            axes = (
                tuple(range(2, len(shape)))
                if node.op == "GlobalAveragePool"
                else reduced_axes(graph, node, len(shape))
            )
            left = tuple(1 if a in axes else side for a, side in enumerate(shape))
            count = math.prod(shape[a] for a in axes)
            return {source: np.broadcast_to(evidence.reshape(left) / count, shape)}, 0.0, True
        case "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Mean":
            return _combined_back(graph, node, values, evidence)
    raise KeyError(node.op)


def _conv_back(graph: Graph, node: Node, shape: Sequence[int], evidence: Float) -> Float:
    weights = graph.constants[node.inputs[1]].astype(np.float64)
    groups = node.attributes.get("group", 1)
    steps = window(node, shape, weights.shape[2:])
    count, _, rows, columns = evidence.shape
    wanted = evidence.reshape(count, groups, -1, rows * columns)
    kernels = weights.reshape(groups, -1, *weights.shape[1:])

    def product(i: int, j: int) -> Float:
        part = kernels[:, :, :, i, j].transpose(0, 2, 1) @ wanted
        return part.reshape(count, shape[1], rows, columns)

    return _scattered(steps, shape, (rows, columns), product)


def _scattered(
    steps: Window, shape: Sequence[int], size: tuple[int, int], part: Callable[[int, int], Float]
) -> Float:
    """Add `part(i, j)`, of (count, channels, *size), where place (i, j) of each window lies in the input."""
    room = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(size, steps.stride, steps.size, steps.dilation, strict=True)
    ]
    height = max(room[0], steps.pads[0] + shape[2])
    width = max(room[1], steps.pads[1] + shape[3])
    out = np.zeros((shape[0], shape[1], height, width))
    for i in range(steps.size[0]):
        for j in range(steps.size[1]):
            out[:, :, *_places(steps, size, i, j)] += part(i, j)
    top, left = steps.pads
    inside: Float = out[:, :, top : top + shape[2], left : left + shape[3]]
    return inside


def _places(steps: Window, size: tuple[int, int], i: int, j: int) -> tuple[slice, slice]:
    """The pixels that stand at place (i, j) of each window, counted with the padding."""
    top, left = i * steps.dilation[0], j * steps.dilation[1]
    return (
        slice(top, top + (size[0] - 1) * steps.stride[0] + 1, steps.stride[0]),
        slice(left, left + (size[1] - 1) * steps.stride[1] + 1, steps.stride[1]),
    )


def _max_back(node: Node, source: Array, result: Array, evidence: Float) -> Float:
    shape = source.shape
    if node.op == "GlobalMaxPool":
        flat = source.reshape(*shape[:2], -1)
        out = np.zeros(flat.shape)
        np.put_along_axis(out, flat.argmax(-1)[..., None], evidence.reshape(*shape[:2], 1), -1)
        return out.reshape(shape)
    steps, size = window(node, shape), (result.shape[2], result.shape[3])
    top, left = steps.pads
    padded = np.full(
        (*shape[:2], shape[2] + top + steps.size[0] * steps.dilation[0] + steps.stride[0],
         shape[3] + left + steps.size[1] * steps.dilation[1] + steps.stride[1]), -np.inf,
    )  # fmt: skip
    padded[:, :, top : top + shape[2], left : left + shape[3]] = source
    given = np.zeros(result.shape, bool)

    def part(i: int, j: int) -> Float:
        wins = (padded[:, :, *_places(steps, size, i, j)] == result) & ~given
        given[wins] = True  # of several equal values the first one
        won: Float = evidence * wins
        return won

    return _scattered(steps, shape, size, part)


def _mean_back(node: Node, shape: Sequence[int], evidence: Float) -> Float:
    steps, size = window(node, shape), (evidence.shape[2], evidence.shape[3])
    share = evidence / mean_counts(node, steps, size)
    return _scattered(steps, shape, size, lambda i, j: share)


def mean_counts(node: Node, steps: Window, size: tuple[int, int]) -> Float:
    """By how many values an AveragePool divides at each place: float64 of `size`."""
    if node.attributes.get("count_include_pad", 0):
        return np.full(size, float(math.prod(steps.size)))
    counts = []
    for axis in (0, 1):
        starts = np.arange(size[axis]) * steps.stride[axis] - steps.pads[axis]
        places = starts[:, None] + np.arange(steps.size[axis]) * steps.dilation[axis]
        counts.append(((places >= 0) & (places < steps.inside[axis])).sum(1))
    found: Float = np.outer(*counts).astype(np.float64)
    return found


def _combined_back(graph: Graph, node: Node, values: Values, evidence: Float) -> Back:
    arrays = [(values[n] if n in values else graph.constants[n]).astype(np.float64) for n in node.inputs]
    varied = [name in values for name in node.inputs]
    share = 1 / len(arrays) if node.op == "Mean" else 1.0
    if node.op in ("Add", "Sub", "Sum", "Mean"):
        found: dict[str, Float] = {}
        constant = 0.0
        for place, (name, array) in enumerate(zip(node.inputs, arrays, strict=True)):
            part = evidence * (-share if node.op == "Sub" and place == 1 else share)
            if name in values:
                found[name] = found.get(name, 0) + _narrowed(part, array.shape)
            else:
                constant += float(np.sum(part * array))
        return found, constant, True
    left, right = arrays
    if node.op == "Div":
        if varied[1]:
            raise KeyError(node.op)
        return {node.inputs[0]: _narrowed(evidence / right, left.shape)}, 0.0, True
    if not all(varied):
        place = varied.index(True)
        part = _narrowed(evidence * arrays[1 - place], arrays[place].shape)
        return {node.inputs[place]: part}, 0.0, True
    # A product of two values that both depend on the image, as in a gate (squeeze and excite, swish): the gate
    # is taken as it stands, and the evidence follows what it lets through.
    gates = [
        source is not None and source.op in ("Sigmoid", "HardSigmoid")
        for source in map(graph.producers.get, node.inputs)
    ]
    place = 1 if gates[0] and not gates[1] else 0
    part = _narrowed(evidence * arrays[1 - place], arrays[place].shape)
    return {node.inputs[place]: part}, 0.0, False


def _narrowed(evidence: Float, shape: Sequence[int]) -> Float:
    """Summed over the axes along which an array of `shape` was repeated."""
    extra = evidence.ndim - len(shape)
    summed = evidence.sum(tuple(range(extra)))
    axes = tuple(a for a, side in enumerate(shape) if side == 1 and summed.shape[a] != 1)
    found: Float = summed.sum(axes, keepdims=True) if axes else summed
    return found


TAKEN_APART = frozenset(
    (*MOVING, "Conv", "Gemm", "MatMul", "BatchNormalization", "MaxPool", "GlobalMaxPool", "AveragePool",
     "GlobalAveragePool", "ReduceMean", "Add", "Sub", "Mul", "Div", "Sum", "Mean", "Softmax", "Relu", "LeakyRelu",
     "Clip", "HardSigmoid", "Neg", "Sigmoid", "Softplus", "Tanh", "HardSwish", "Exp", "Log", "Sqrt")
)  # fmt: skip
"""Operations whose arithmetic is shown."""

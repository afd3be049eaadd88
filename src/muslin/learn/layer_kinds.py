"""The kinds of layers: one table, one row per kind, with everything that muslin knows about it.

To add a kind, add a row to `LAYER_KINDS`, and its words to `layer_kinds` in `muslin/messages`: training, the table of
layers, the ONNX export, the explanations, the report's diagram and the studio all read it. Only a row's `module`
imports torch, when it is called; the rest works without.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.learn import onnx_operators
from muslin.learn.onnx_operators import Operator
from muslin.messages import filled, table

if TYPE_CHECKING:
    from torch import nn

    from muslin.learn.export import GraphWriter

Shape = tuple[int, ...]
"""(height, width, channels), or (features,)."""
Constants = Sequence[NDArray[Any] | None]
"""Per input of an operator its numbers; None where it depends on the image."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a network: its kind, its name, and those of the fields that its kind reads.

    Attributes:
        kind: a row of `LAYER_KINDS`.
        name: unique in its network; the prefix of its weights' names.
        filters: output channels of a convolution or features of a dense layer.
        kernel_size: side of the window, px.
        stride: step of the window, px.
        padding: zeros added on each side, px; `same` as in TensorFlow: the result's side is the input's divided by
            the stride, and an odd zero goes to the right and below.
        rate: share of values that a dropout sets to zero.
        bias: whether a convolution or a dense layer adds a bias.
        output_scale: a fixed number that a dense layer's result is multiplied by.
        mean, std: what `scale` subtracts from every pixel, and then divides by.
        source: the layer whose result `add` adds.
        learn_scale: whether a batch norm also learns a scale for each channel.
        epsilon: what a batch norm adds to a channel's variance.
        momentum: the weight of the newest batch in a batch norm's running mean and variance.
        block: the block that it belongs to, from 1; 0: none.
    """

    kind: str
    name: str
    filters: int = 0
    kernel_size: int = 0
    stride: int = 1
    padding: int | Literal["same"] = 0
    rate: float = 0.0
    bias: bool = True
    output_scale: float = 1.0
    mean: float = 0.0
    std: float = 255.0
    source: str = ""
    # airbench's batch norm: no scale, because the layer after it undoes it; short memory, because training is short
    learn_scale: bool = False
    epsilon: float = 1e-12
    momentum: float = 0.4
    block: int = 0


@dataclass(frozen=True)
class LayerKind:
    """What muslin knows of one kind of layer.

    Attributes:
        module: the torch module of a layer with an input of that shape; the layer after it is given too.
        to_onnx: writes its nodes, the last of which bears the layer's name; returns the name of its result.
        operators: the ONNX operators by which its result is recognised in a sealed graph, with their arithmetic.
        fields: the fields of `LayerSpec` that it reads.
        output_shape: from a layer and its input's shape.
        weights: the shapes of its weights, from a layer and its input's shape.
        is_trained: whether training changes the weights.
        statistics: further numbers per channel, which training measures.
        is_kind: whether an operator with these attributes and constants is of this kind.
        edits: further edits of `muslin.explain.model_edits` that it takes.
    """

    module: Callable[[LayerSpec, Shape, LayerSpec | None], "nn.Module"]
    to_onnx: Callable[["GraphWriter", LayerSpec, Shape, str], str]
    operators: Mapping[str, Operator]
    fields: tuple[str, ...] = ()
    output_shape: Callable[[LayerSpec, Shape], Shape] = lambda layer, before: before
    weights: Callable[[LayerSpec, Shape], dict[str, Shape]] = lambda layer, before: {}
    is_trained: bool = True
    statistics: tuple[str, ...] = ()
    is_kind: Callable[[Mapping[str, Any], Constants], bool] = lambda attributes, constants: True
    edits: tuple[str, ...] = ()

    def parameters(self, layer: LayerSpec, before: Shape) -> int:
        """How many numbers training can change."""
        return sum(map(math.prod, self.weights(layer, before).values())) if self.is_trained else 0

    def multiply_adds(self, layer: LayerSpec, before: Shape) -> int:
        """How many multiplications of a weight one image costs."""
        weight = self.weights(layer, before).get("weight", ())
        places = math.prod(self.output_shape(layer, before)[:-1])
        return math.prod(weight) * places if len(weight) > 1 else 0

    def pretrained_shapes(self, layer: LayerSpec, before: Shape) -> dict[str, Shape]:
        """The shapes of everything that a file of weights must hold."""
        return self.weights(layer, before) | dict.fromkeys(self.statistics, (before[-1],))


def padding_of(layer: LayerSpec, before: Shape) -> tuple[int, int, int, int]:
    """The zeros that `layer` adds to an image of shape `before`: above, left, below, right (ONNX's order), px."""
    if layer.padding != "same":
        return (layer.padding,) * 4
    missing = [
        max((math.ceil(side / layer.stride) - 1) * layer.stride + layer.kernel_size - side, 0)
        for side in before[:2]
    ]
    start = [count // 2 for count in missing]
    return start[0], start[1], missing[0] - start[0], missing[1] - start[1]


def window_shape(layer: LayerSpec, before: Shape) -> Shape:
    """The shape after a window with a stride has gone over an image."""
    top, left, bottom, right = padding_of(layer, before)
    height, width = (
        (side - layer.kernel_size) // layer.stride + 1
        for side in (before[0] + top + bottom, before[1] + left + right)
    )
    return height, width, layer.filters or before[2]


def _with_bias(layer: LayerSpec, weight: Shape) -> dict[str, Shape]:
    return {"weight": weight} | ({"bias": weight[:1]} if layer.bias else {})


def _convolution_weights(layer: LayerSpec, before: Shape) -> dict[str, Shape]:
    filters, channels = (layer.filters, before[2]) if layer.filters else (before[2], 1)
    return _with_bias(layer, (filters, channels, layer.kernel_size, layer.kernel_size))


def _module(make: Callable[[Any, LayerSpec, Shape], "nn.Module"]) -> Callable[..., "nn.Module"]:
    """`make` is given `muslin.learn.modules`, which is imported when it is called, and in it torch's `nn`."""

    def module(layer: LayerSpec, before: Shape, following: LayerSpec | None) -> "nn.Module":
        from muslin.learn import modules

        return make(modules, layer, before)

    return module


def _convolution_module(layer: LayerSpec, before: Shape, following: LayerSpec | None) -> "nn.Module":
    from muslin.learn.modules import Convolution

    pool = following if following is not None and following.kind == "max pool" else None
    return Convolution(layer, before[2], pool, groups=1 if layer.filters else before[2])


def _batch_norm_module(layer: LayerSpec, before: Shape, following: LayerSpec | None) -> "nn.Module":
    from torch import nn

    norm = nn.BatchNorm2d(before[-1], eps=layer.epsilon, momentum=layer.momentum)
    norm.weight.requires_grad_(layer.learn_scale)
    return norm


def _window(layer: LayerSpec, before: Shape) -> dict[str, Any]:
    return {
        "kernel_shape": [layer.kernel_size] * 2,
        "strides": [layer.stride] * 2,
        "pads": list(padding_of(layer, before)),
    }


def _onnx(op: str, **attributes: Any) -> Callable[..., str]:
    """One node without weights."""
    return lambda graph, layer, before, source: graph.node(op, [source], layer.name, **attributes)


def _onnx_global(op: str) -> Callable[..., str]:
    """A pooling over the whole map, then a row of features."""
    return lambda graph, layer, before, source: graph.node(
        "Flatten", [graph.node(op, [source], f"{layer.name}_map")], layer.name
    )


def _onnx_scale(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    for name, value in (("mean", layer.mean), ("std", layer.std)):
        graph.constant(f"{layer.name}.{name}", np.full((1, 1, 1), value, np.float32))
    return _onnx_normalise(graph, layer, before, source)


def _onnx_normalise(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    mean, std = graph.weights(layer.name, "mean", "std")
    return graph.node("Div", [graph.node("Sub", [source, mean], f"{layer.name}_centred"), std], layer.name)


def _onnx_convolution(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    groups = {} if layer.filters else {"group": before[2]}
    inputs = [source, *graph.weights(layer.name, "weight", "bias")]
    return graph.node("Conv", inputs, layer.name, **_window(layer, before), **groups)


def _onnx_batch_norm(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    inputs = [source, *graph.weights(layer.name, "weight", "bias", "running_mean", "running_var")]
    return graph.node("BatchNormalization", inputs, layer.name, epsilon=layer.epsilon)


def _onnx_relu6(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    bounds = [graph.constant(f"relu6_{end}", np.array(v, np.float32)) for end, v in (("low", 0), ("high", 6))]
    return graph.node("Clip", [source, *bounds], layer.name)


def _onnx_flatten(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    in_keras_order = graph.node("Transpose", [source], f"{layer.name}_order", perm=[0, 2, 3, 1])
    return graph.node("Flatten", [in_keras_order], layer.name)


def _onnx_normalised_sigmoid(graph: "GraphWriter", layer: LayerSpec, before: Shape, source: str) -> str:
    """p / Σp as the softmax of log p = -softplus(-score): where all p are small, the runtime's sigmoid has too few
    correct digits for their quotient (on a trained tutorial it was wrong by up to 0.009)."""
    target = layer.source
    low = graph.constant(f"{target}_low", np.array(np.log(1e-7), dtype=np.float32))
    high = graph.constant(f"{target}_high", np.array(np.log1p(-1e-7), dtype=np.float32))
    softplus = graph.node(
        "Softplus", [graph.node("Neg", [source], f"{target}_negated")], f"{target}_softplus"
    )
    logarithm = graph.node("Neg", [softplus], f"{target}_log_sigmoid")
    clipped = graph.node("Clip", [logarithm, low, high], f"{target}_clipped")
    return graph.node("Softmax", [clipped], layer.name, axis=1)


def _never(attributes: Mapping[str, Any], constants: Constants) -> bool:
    """Only a bundle's table of layers says that a layer is of this kind."""
    return False


# fmt: off
LAYER_KINDS: dict[str, LayerKind] = {
    "scale": LayerKind(
        _module(lambda m, layer, before: m.Normalise([layer.mean], [layer.std])),
        _onnx_scale, {"Div": onnx_operators.DIV},
        fields=("mean", "std"),
    ),
    "normalise": LayerKind(
        _module(lambda m, layer, before: m.Normalise([0.0] * before[2], [255.0] * before[2])),
        _onnx_normalise, {"Div": onnx_operators.DIV},
    ),
    "whitening": LayerKind(
        _module(lambda m, layer, before: m.Whitening(layer, before[2])),
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("filters", "kernel_size", "stride"),
        output_shape=window_shape,
        weights=lambda layer, before: {"weight": _convolution_weights(layer, before)["weight"]},
        is_trained=False, is_kind=_never,
    ),
    "depthwise convolution": LayerKind(
        _convolution_module,
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("kernel_size", "stride", "padding", "bias"),
        output_shape=window_shape, weights=_convolution_weights,
        is_kind=lambda attributes, constants: (
            constants[1] is not None and attributes.get("group", 1) == len(constants[1]) > 1
        ),
    ),
    "convolution": LayerKind(
        _convolution_module,
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("filters", "kernel_size", "stride", "padding", "bias"),
        output_shape=window_shape, weights=_convolution_weights,
    ),
    "batch norm": LayerKind(
        _batch_norm_module,
        _onnx_batch_norm, {"BatchNormalization": onnx_operators.BATCH_NORM},
        fields=("learn_scale", "epsilon", "momentum"),
        weights=lambda layer, before: dict.fromkeys(["weight"] * layer.learn_scale + ["bias"], (before[-1],)),
        statistics=("running_mean", "running_var"),
    ),
    "relu": LayerKind(
        _module(lambda m, layer, before: m.nn.ReLU(inplace=True)),  # no layer needs its input again
        _onnx("Relu"), {"Relu": onnx_operators.RELU},
    ),
    "relu6": LayerKind(
        _module(lambda m, layer, before: m.nn.ReLU6()),
        _onnx_relu6, {"Clip": onnx_operators.CLIP},
        is_kind=lambda attributes, constants: [None if c is None else float(c) for c in constants[1:3]] == [0, 6],
    ),
    "add": LayerKind(
        _module(lambda m, layer, before: m.nn.Identity()),  # `Net.features` adds
        lambda graph, layer, before, source: graph.node("Add", [source, layer.source], layer.name),
        {"Add": onnx_operators.ADD},
        fields=("source",),
    ),
    "max pool": LayerKind(
        _module(lambda m, layer, before: m.nn.MaxPool2d(layer.kernel_size, layer.stride)),
        lambda graph, layer, before, source: graph.node("MaxPool", [source], layer.name, **_window(layer, before)),
        {"MaxPool": onnx_operators.MAX_POOL},
        fields=("kernel_size", "stride"), output_shape=window_shape,
    ),
    "global max pool": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: m.F.max_pool2d(x, x.shape[2:]).flatten(1))),
        _onnx_global("GlobalMaxPool"), {"GlobalMaxPool": onnx_operators.GLOBAL_MAX},
        output_shape=lambda layer, before: before[2:],
    ),
    "global average pool": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: x.mean(dim=(2, 3)))),
        _onnx_global("GlobalAveragePool"), {"GlobalAveragePool": onnx_operators.GLOBAL_AVERAGE},
        output_shape=lambda layer, before: before[2:],
    ),
    "dropout": LayerKind(
        _module(lambda m, layer, before: m.Dropout(layer.rate)),
        _onnx("Identity"),  # it works in training alone; here it marks the place for an edit
        {"Identity": onnx_operators.OPERATORS["Identity"]},
        fields=("rate",), is_kind=_never, edits=("dropout",),
    ),
    "flatten": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: x.permute(0, 2, 3, 1).flatten(1))),
        _onnx_flatten, {"Flatten": onnx_operators.OPERATORS["Flatten"]},
        output_shape=lambda layer, before: (math.prod(before),),
        is_kind=_never,  # a global pooling flattens too
    ),
    "dense": LayerKind(
        _module(lambda m, layer, before: m.Dense(layer, before[0])),
        lambda graph, layer, before, source: graph.dense(layer, source, layer.name),
        {"Gemm": onnx_operators.DENSE},
        fields=("filters", "bias", "output_scale"),
        output_shape=lambda layer, before: (layer.filters,),
        weights=lambda layer, before: _with_bias(layer, (layer.filters, before[0])),
    ),
    "softmax": LayerKind(
        _module(lambda m, layer, before: m.nn.Softmax(dim=1)),
        _onnx("Softmax", axis=1), {"Softmax": onnx_operators.SOFTMAX},
    ),
    "sigmoid": LayerKind(
        _module(lambda m, layer, before: m.nn.Sigmoid()),
        _onnx("Sigmoid"), {"Sigmoid": onnx_operators.SIGMOID},
    ),
    "normalised sigmoid": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda scores: m.F.softmax(m.logits(scores, "sigmoid"), dim=1))),
        _onnx_normalised_sigmoid, {"Softmax": onnx_operators.SOFTMAX},
        is_kind=_never,
    ),
}
# fmt: on
"""Per kind its row. Where several kinds end with the same operator, the first whose `is_kind` holds is recognised."""


def table_row(layer: LayerSpec, before: Shape) -> dict[str, Any]:
    """A layer as JSON values: shape, parameters, arithmetic, and the fields that its kind reads."""
    kind = LAYER_KINDS[layer.kind]
    return {
        "name": layer.name,
        "kind": layer.kind,
        "input": list(before),
        "output": list(kind.output_shape(layer, before)),
        "parameters": kind.parameters(layer, before),
        "multiply_adds": kind.multiply_adds(layer, before),
        "block": layer.block,
        **{name: getattr(layer, name) for name in kind.fields},
    }


def kind_words(kind: str, language: str = "en") -> Mapping[str, str]:
    """A kind's `name`, `detail` (what a layer does, with the values of its table row) and `purpose`; of an unknown kind
    its own name."""
    row: Mapping[str, str] = table(language)["layer_kinds"]["rows"].get(kind)
    return row or {"name": kind, "detail": "", "purpose": ""}


def layer_detail(row: Mapping[str, Any], language: str = "en") -> str:
    """What a layer of a bundle's table does, in words; empty for an unknown kind or a row that lacks something."""
    before = row.get("input") or [0]
    values = {**row, "features": math.prod(before), "channels": before[-1]}
    try:
        if row["kind"] == "scale":
            for name, pixel in (("low", 0), ("high", 255)):
                values[name] = f"{(pixel - row['mean']) / row['std']:.2g}".replace("-", "−")
        return filled(kind_words(row["kind"], language)["detail"], values, language)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""


OPERATORS: dict[str, Operator] = onnx_operators.OPERATORS | {
    op: operator for kind in LAYER_KINDS.values() for op, operator in kind.operators.items()
}
"""Every operator that can be explained, by ONNX's name."""

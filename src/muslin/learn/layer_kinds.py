"""The kinds of layers: one table, one row per kind, with everything that muslin knows about it.

To add a kind, add a row to `LAYER_KINDS`: training, the table of layers, the ONNX export, the explanations, the
report's diagram and the studio all read it. Only a row's `module` imports torch, when it is called.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.learn import onnx_operators
from muslin.learn.onnx_operators import Operator
from muslin.messages import filled
from muslin.text import number_text

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


class LayerWords(NamedTuple):
    """A kind in one language: its name, what a layer does (with the values of its table row), and what that is for."""

    name: str
    detail: str
    purpose: str


@dataclass(frozen=True)
class LayerKind:
    """What muslin knows of one kind of layer.

    Attributes:
        module: the torch module of a layer with an input of that shape; the layers after it are given too.
        to_onnx: writes its nodes, the last of which bears the layer's name; returns the name of its result.
        operators: the ONNX operators by which its result is recognised in a sealed graph, with their arithmetic.
        fields: the fields of `LayerSpec` that it reads.
        output_shape: from a layer and its input's shape.
        weights: the shapes of its weights, from a layer and its input's shape.
        is_trained: whether training changes the weights.
        statistics: further numbers per channel, which training measures.
        is_kind: whether an operator with these attributes and constants is of this kind.
        edits: further edits of `muslin.explain.model_edits` that it takes.
        words: per language `LayerWords`.
    """

    module: Callable[[LayerSpec, Shape, Sequence[LayerSpec]], "nn.Module"]
    to_onnx: Callable[["GraphWriter", LayerSpec, Shape, str], str]
    operators: Mapping[str, Operator]
    fields: tuple[str, ...] = ()
    output_shape: Callable[[LayerSpec, Shape], Shape] = lambda layer, before: before
    weights: Callable[[LayerSpec, Shape], dict[str, Shape]] = lambda layer, before: {}
    is_trained: bool = True
    statistics: tuple[str, ...] = ()
    is_kind: Callable[[Mapping[str, Any], Constants], bool] = lambda attributes, constants: True
    edits: tuple[str, ...] = ()
    words: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)

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
        max((math.ceil(side / layer.stride) - 1) * layer.stride + layer.kernel_size - side, 0) for side in before[:2]
    ]
    start = [count // 2 for count in missing]
    return start[0], start[1], missing[0] - start[0], missing[1] - start[1]


def window_shape(layer: LayerSpec, before: Shape) -> Shape:
    """The shape after a window with a stride has gone over an image."""
    top, left, bottom, right = padding_of(layer, before)
    height, width = (
        (side - layer.kernel_size) // layer.stride + 1 for side in (before[0] + top + bottom, before[1] + left + right)
    )
    return height, width, layer.filters or before[2]


def _with_bias(layer: LayerSpec, weight: Shape) -> dict[str, Shape]:
    return {"weight": weight} | ({"bias": weight[:1]} if layer.bias else {})


def _convolution_weights(layer: LayerSpec, before: Shape) -> dict[str, Shape]:
    filters, channels = (layer.filters, before[2]) if layer.filters else (before[2], 1)
    return _with_bias(layer, (filters, channels, layer.kernel_size, layer.kernel_size))


def _module(make: Callable[[Any, LayerSpec, Shape], "nn.Module"]) -> Callable[..., "nn.Module"]:
    """`make` is given `muslin.learn.modules`, which is imported when it is called, and in it torch's `nn`."""

    def module(layer: LayerSpec, before: Shape, following: Sequence[LayerSpec]) -> "nn.Module":
        from muslin.learn import modules

        return make(modules, layer, before)

    return module


def _convolution_module(layer: LayerSpec, before: Shape, following: Sequence[LayerSpec]) -> "nn.Module":
    from muslin.learn.modules import Convolution

    return Convolution(layer, before[2], following, groups=1 if layer.filters else before[2])


def _batch_norm_module(layer: LayerSpec, before: Shape, following: Sequence[LayerSpec]) -> "nn.Module":
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
    softplus = graph.node("Softplus", [graph.node("Neg", [source], f"{target}_negated")], f"{target}_softplus")
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
        words={"en": ("scale", "pixel values 0 to 255 become {low} to {high}", "values in a range that suits the network"),
               "zh": ("缩放", "像素值 0 到 255 变为 {low} 到 {high}", "适合网络的数值范围")}),
    "normalise": LayerKind(
        _module(lambda m, layer, before: m.Normalise([0.0] * before[2], [255.0] * before[2])),
        _onnx_normalise, {"Div": onnx_operators.DIV},
        words={"en": ("normalise", "scaled to mean 0 and standard deviation 1 over the training images", "values in a range that suits the network"),
               "zh": ("标准化", "训练图片的均值变为 0，标准差变为 1", "适合网络的数值范围")}),
    "whitening": LayerKind(
        _module(lambda m, layer, before: m.Whitening(layer, before[2])),
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("filters", "kernel_size", "stride"),
        output_shape=window_shape,
        weights=lambda layer, before: {"weight": _convolution_weights(layer, before)["weight"]},
        is_trained=False, is_kind=_never,
        words={"en": ("whitening", "{filters} uncorrelated patterns of {kernel_size}×{kernel_size}, fixed before training", "small details as uncorrelated values"),
               "zh": ("白化", "{filters} 个互不相关的 {kernel_size}×{kernel_size} 图案，训练前固定", "把细节变成互不相关的数值")}),
    "depthwise convolution": LayerKind(
        _convolution_module,
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("kernel_size", "stride", "padding", "bias"),
        output_shape=window_shape, weights=_convolution_weights,
        is_kind=lambda attributes, constants: (
            constants[1] is not None and attributes.get("group", 1) == len(constants[1]) > 1
        ),
        words={"en": ("depthwise convolution", "a kernel of {kernel_size}×{kernel_size} for each of {channels} channels", "looks for a small pattern in each channel alone"),
               "zh": ("逐通道卷积", "{channels} 个通道各用一个 {kernel_size}×{kernel_size} 的卷积核", "在每个通道内单独寻找小图案")}),
    "convolution": LayerKind(
        _convolution_module,
        _onnx_convolution, {"Conv": onnx_operators.CONVOLUTION},
        fields=("filters", "kernel_size", "stride", "padding", "bias"),
        output_shape=window_shape, weights=_convolution_weights,
        words={"en": ("convolution", "{filters} kernels of {kernel_size}×{kernel_size}×{channels}", "looks everywhere for small patterns, one per kernel"),
               "zh": ("卷积", "{filters} 个 {kernel_size}×{kernel_size}×{channels} 的卷积核", "在整张图上寻找小图案，每个卷积核一种")}),
    "batch norm": LayerKind(
        _batch_norm_module,
        _onnx_batch_norm, {"BatchNormalization": onnx_operators.BATCH_NORM},
        fields=("learn_scale", "epsilon", "momentum"),
        weights=lambda layer, before: dict.fromkeys(["weight"] * layer.learn_scale + ["bias"], (before[-1],)),
        statistics=("running_mean", "running_var"),
        words={"en": ("batch norm", "each channel is scaled to mean 0 and standard deviation 1, followed by a learned shift, or scale and shift", "keeps the values in a stable range, which makes training faster"),
               "zh": ("批归一化", "每个通道的均值变为 0、标准差变为 1，再加上学到的偏移（或缩放与偏移）", "让数值保持在稳定的范围，训练更快")}),
    "relu": LayerKind(
        _module(lambda m, layer, before: m.nn.ReLU(inplace=True)),  # no layer needs its input again
        _onnx("Relu"), {"Relu": onnx_operators.RELU},
        words={"en": ("ReLU", "negative values become 0", "keeps what matches a pattern, drops what does not"),
               "zh": ("ReLU", "负值变为 0", "保留匹配的图案，去掉不匹配的")}),
    "relu6": LayerKind(
        _module(lambda m, layer, before: m.nn.ReLU6()),
        _onnx_relu6, {"Clip": onnx_operators.CLIP},
        is_kind=lambda attributes, constants: [None if c is None else float(c) for c in constants[1:3]] == [0, 6],
        words={"en": ("ReLU6", "negative values become 0, those above 6 become 6", "keeps what matches a pattern, within a fixed range"),
               "zh": ("ReLU6", "负值变为 0，大于 6 的变为 6", "在固定范围内保留匹配的图案")}),
    "add": LayerKind(
        _module(lambda m, layer, before: m.nn.Identity()),  # `Net.features` adds
        lambda graph, layer, before, source: graph.node("Add", [source, layer.source], layer.name),
        {"Add": onnx_operators.ADD},
        fields=("source",),
        words={"en": ("add", "adds the result of {source}", "a shortcut (residual connection): the layers in between only learn the change"),
               "zh": ("相加", "加上 {source} 的结果", "捷径（残差连接）：中间的层只需学习要改变的部分")}),
    "max pool": LayerKind(
        _module(lambda m, layer, before: m.nn.MaxPool2d(layer.kernel_size, layer.stride)),
        lambda graph, layer, before, source: graph.node("MaxPool", [source], layer.name, **_window(layer, before)),
        {"MaxPool": onnx_operators.MAX_POOL},
        fields=("kernel_size", "stride"), output_shape=window_shape,
        words={"en": ("max pool", "the largest value of each {kernel_size}×{kernel_size} window", "a smaller image that keeps the strongest matches"),
               "zh": ("最大池化", "每个 {kernel_size}×{kernel_size} 窗口中的最大值", "缩小图片，保留最强的匹配")}),
    "global max pool": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: m.F.max_pool2d(x, x.shape[2:]).flatten(1))),
        _onnx_global("GlobalMaxPool"), {"GlobalMaxPool": onnx_operators.GLOBAL_MAX},
        output_shape=lambda layer, before: before[2:],
        words={"en": ("global max pool", "the largest value of each channel", "how strongly each pattern matches, wherever it is"),
               "zh": ("全局最大池化", "每个通道的最大值", "每种图案匹配得有多强，无论在哪里")}),
    "global average pool": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: x.mean(dim=(2, 3)))),
        _onnx_global("GlobalAveragePool"), {"GlobalAveragePool": onnx_operators.GLOBAL_AVERAGE},
        output_shape=lambda layer, before: before[2:],
        words={"en": ("global average pool", "the mean of each channel", "how strongly each pattern matches on average"),
               "zh": ("全局平均池化", "每个通道的平均值", "每种图案平均匹配得有多强")}),
    "dropout": LayerKind(
        _module(lambda m, layer, before: m.Dropout(layer.rate)),
        _onnx("Identity"),  # it works in training alone; here it marks the place for an edit
        {"Identity": onnx_operators.OPERATORS["Identity"]},
        fields=("rate",), is_kind=_never, edits=("dropout",),
        words={"en": ("dropout", "in training, {rate:percent} of the values become 0", "prevents values from relying on each other"),
               "zh": ("随机失活", "训练时，{rate:percent} 的值变为 0", "使任何数值都不依赖另一个")}),
    "flatten": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda x: x.permute(0, 2, 3, 1).flatten(1))),
        _onnx_flatten, {"Flatten": onnx_operators.OPERATORS["Flatten"]},
        output_shape=lambda layer, before: (math.prod(before),),
        is_kind=_never,  # a global pooling flattens too
        words={"en": ("flatten", "all feature maps as one vector", "a vector instead of an image"),
               "zh": ("展平", "所有特征图展开为一个向量", "把图片变成向量")}),
    "dense": LayerKind(
        _module(lambda m, layer, before: m.Dense(layer, before[0])),
        lambda graph, layer, before, source: graph.dense(layer, source, layer.name),
        {"Gemm": onnx_operators.DENSE},
        fields=("filters", "bias", "output_scale"),
        output_shape=lambda layer, before: (layer.filters,),
        weights=lambda layer, before: _with_bias(layer, (layer.filters, before[0])),
        words={"en": ("dense", "{features} inputs to {filters} outputs", "a weighted sum of all inputs"),
               "zh": ("全连接", "{features} 个输入到 {filters} 个输出", "所有输入的加权和")}),
    "softmax": LayerKind(
        _module(lambda m, layer, before: m.nn.Softmax(dim=1)),
        _onnx("Softmax", axis=1), {"Softmax": onnx_operators.SOFTMAX},
        words={"en": ("softmax", "scores become probabilities that add up to 1", "how probable each class is"),
               "zh": ("softmax", "得分变为总和为 1 的概率", "每个类别的可能性")}),
    "sigmoid": LayerKind(
        _module(lambda m, layer, before: m.nn.Sigmoid()),
        _onnx("Sigmoid"), {"Sigmoid": onnx_operators.SIGMOID},
        words={"en": ("sigmoid", "each score becomes a separate probability", "how probable each label is"),
               "zh": ("sigmoid", "每个得分各自变为一个概率", "每个标签的可能性")}),
    "normalised sigmoid": LayerKind(
        _module(lambda m, layer, before: m.Function(lambda scores: m.F.softmax(m.logits(scores, "sigmoid"), dim=1))),
        _onnx_normalised_sigmoid, {"Softmax": onnx_operators.SOFTMAX},
        is_kind=_never,
        words={"en": ("normalised sigmoid", "each score becomes a sigmoid, divided by the sum of all", "how probable each class is"),
               "zh": ("归一化 sigmoid", "每个得分先取 sigmoid，再除以总和", "每个类别的可能性")}),
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


def kind_words(kind: str, language: str = "en") -> LayerWords:
    """The words of a kind; an unknown kind has only its own name."""
    words = LAYER_KINDS[kind].words if kind in LAYER_KINDS else {}
    return LayerWords(*words.get(language, words.get("en", (kind, "", ""))))


def layer_detail(row: Mapping[str, Any], language: str = "en") -> str:
    """What a layer of a bundle's table does, in words; empty for an unknown kind or a row that lacks something."""
    before = row.get("input") or [0]
    values = {**row, "features": math.prod(before), "channels": before[-1]}
    try:
        if row["kind"] == "scale":
            for name, pixel in (("low", 0), ("high", 255)):
                values[name] = number_text(round((pixel - row["mean"]) / row["std"], 6), ".2g")
        return filled(kind_words(row["kind"], language).detail, values, language)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return ""


OPERATORS: dict[str, Operator] = onnx_operators.OPERATORS | {
    op: operator for kind in LAYER_KINDS.values() for op, operator in kind.operators.items()
}
"""Every operator that can be explained, by ONNX's name."""

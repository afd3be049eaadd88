"""Networks as tables of layers. The same rows become the torch module, the ONNX graph and the drawing.

A network is written once, in `NETWORKS`, as a function of a recipe's widths; `describe` works out every shape,
parameter and multiplication from the rows. Nothing here imports torch, so a report or an inspection does not either.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from muslin.data.dataset import Target
from muslin.errors import RecipeError, nearest
from muslin.models.bundle import FEATURES

Kind = Literal[
    "scale", "normalise", "patches", "convolution", "depthwise convolution", "batch norm", "relu", "relu6", "add",
    "max pool", "global max pool", "global mean pool", "dropout", "flatten", "dense",
]  # fmt: skip
Shape = tuple[int, ...]  # (height, width, channels), or (features,) once flattened


@dataclass(frozen=True)
class LayerSpec:
    """One row of a network.

    Attributes:
        kind: what it does; each kind has its torch module in `modules.py` and its ONNX nodes in `export.py`.
        name: unique in its network; the prefix of its weights' names.
        filters: output channels of a convolution or features of a dense layer.
        kernel: side of the window, px.
        stride: step of the window, px.
        padding: zeros added on each side, px; `same` as TensorFlow has it: as many as make the result's side the
            input's divided by the stride, the odd one to the right and below.
        rate: share of values that a dropout sets to zero.
        bias: whether a convolution or a dense layer adds a bias.
        factor: a fixed number that a dense layer's result is multiplied by.
        mean, spread: what `scale` takes off every pixel, and then divides by.
        source: the layer whose result `add` adds.
        scaled: whether a batch norm also learns a scale for each channel.
        epsilon: what a batch norm adds to a channel's variance.
        momentum: the share of the newest batch in a batch norm's running mean and variance.
    """

    kind: Kind
    name: str
    filters: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int | Literal["same"] = 0
    rate: float = 0.0
    bias: bool = True
    factor: float = 1.0
    mean: float = 0.0
    spread: float = 255.0
    source: str = ""
    # airbench's batch norm: no scale, for the layer after it undoes it; short memory, for training is short
    scaled: bool = False
    epsilon: float = 1e-12
    momentum: float = 0.4


@dataclass(frozen=True)
class Network:
    """Layers in order, then one dense head per target.

    Attributes:
        name: its key in `NETWORKS`.
        input_shape: (height, width, channels) of the uint8 pixels it takes.
        layers: the trunk, from pixels to one row of features per image.
        heads: per target's name, the layer that turns features into one score per class.
        activation: how scores become probabilities: `softmax`, or the article's `sigmoid` divided by its sum.
        multilabel: the targets whose every score becomes a probability of its own, by a sigmoid.
        mirrored: whether an answer is the mean over the image and its mirror image.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[LayerSpec, ...]
    heads: dict[str, LayerSpec]
    activation: Literal["softmax", "sigmoid"]
    tta_flip: bool = False
    multilabel: frozenset[str] = frozenset()


def tutorial(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
    """The article's network. Pooling stands before the ReLU: the same values, a quarter of the work."""
    if len(widths) != 3:
        raise RecipeError(
            f"widths {', '.join(map(str, widths))}: the tutorial's network has three of them, as 64-32-32."
        )
    first, second, hidden = widths
    return [
        LayerSpec("scale", "scale"),
        LayerSpec("convolution", "conv1", filters=first, kernel=3),
        LayerSpec("max pool", "pool1", kernel=2, stride=2),
        LayerSpec("relu", "relu1"),
        LayerSpec("dropout", "dropout", rate=dropout),
        LayerSpec("convolution", "conv2", filters=second, kernel=3),
        LayerSpec("max pool", "pool2", kernel=2, stride=2),
        LayerSpec("relu", "relu2"),
        LayerSpec("flatten", "flatten"),
        LayerSpec("dense", "dense1", filters=hidden),
        LayerSpec("relu", "relu3"),
    ]


def whitened(
    stem: int, stride: int, directions: int, first_convolutions: int = 2
) -> Callable[[Sequence[int], float], list[LayerSpec]]:
    """The network of the CIFAR-10 speed records (Keller Jordan's airbench, 2024), for any size and channels.

    A frozen first layer makes `stem`×`stem` patches uncorrelated with equal variance, in at most as many `directions`
    as a patch has numbers; then, for each width, two convolutions (in the first block `first_convolutions`) with batch
    norm and ReLU, halving the image; then the strongest answer of each channel anywhere.
    """

    def layers(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
        if not widths:
            raise RecipeError("widths: this network needs at least one, as 32-64.")
        rows = [
            LayerSpec("normalise", "normalise"),
            LayerSpec("patches", "stem", filters=2 * directions, kernel=stem, stride=stride),
            LayerSpec("relu", "stem_relu"),
        ]
        for number, width in enumerate(widths, 1):
            name = f"block{number}"
            for place in range(1, (first_convolutions if number == 1 else 2) + 1):
                convolution = f"{name}_conv{place}"
                rows.append(
                    LayerSpec("convolution", convolution, filters=width, kernel=3, padding=1, bias=False)
                )
                if place == 1:
                    rows.append(LayerSpec("max pool", f"{name}_pool", kernel=2, stride=2))
                rows.append(LayerSpec("batch norm", f"{name}_norm{place}"))
                rows.append(LayerSpec("relu", f"{name}_relu{place}"))
        rows.append(LayerSpec("global max pool", "strongest"))
        return rows + ([LayerSpec("dropout", "dropout", rate=dropout)] if dropout else [])

    return layers


HEAD_STEPS = (
    "scores", "both", "negated", "softplus", "log_sigmoid", "clipped", "low", "high", "as_is", "tta_flip", "views",
)  # fmt: skip
"""What `export` adds to a target's name for the steps from features to its probabilities."""
LITE_STAGES = (  # repeats, kernel, stride, expansion, filters: table 1 of Tan & Le (arXiv 1905.11946)
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet_lite(width: float, depth: float) -> Callable[[Sequence[int], float], list[LayerSpec]]:
    """EfficientNet-Lite (Tan & Le 2019, Liu 2020): EfficientNet without squeeze-and-excitation and with ReLU6.

    As in the TensorFlow original the first and the last layer keep their width, and the first and the last stage their
    number of blocks. The layers' order and names fit the weights that `muslin.learn.pretrained` reads.
    """

    def filters(count: int) -> int:
        rounded = max(8, int(count * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * count * width else rounded

    def convolution(name: str, count: int, kernel: int = 1, stride: int = 1) -> list[LayerSpec]:
        kind: Kind = "convolution" if count else "depthwise convolution"
        return [
            LayerSpec(kind, name, filters=count, kernel=kernel, stride=stride, padding="same", bias=False),
            LayerSpec("batch norm", f"{name}_norm", scaled=True, epsilon=1e-3, momentum=0.01),
        ]

    def layers(widths: Sequence[int], dropout: float) -> list[LayerSpec]:
        if widths:
            raise RecipeError("widths: an EfficientNet-Lite has widths of its own. Leave them out.")
        # TensorFlow's EfficientNet-Lite takes (pixel - 127) / 128
        rows = [LayerSpec("scale", "scale", mean=127.0, spread=128.0), *convolution("stem", 32, 3, 2)]
        rows.append(LayerSpec("relu6", "stem_relu"))
        number, channels = 0, 32
        for stage, (repeats, kernel, first_stride, expansion, count) in enumerate(LITE_STAGES):
            is_edge = stage in (0, len(LITE_STAGES) - 1)
            for repeat in range(repeats if is_edge else math.ceil(depth * repeats)):
                number += 1
                name, stride, before = f"block{number}", first_stride if repeat == 0 else 1, rows[-1].name
                if expansion > 1:
                    rows += convolution(f"{name}_expand", channels * expansion)
                    rows.append(LayerSpec("relu6", f"{name}_expand_relu"))
                rows += convolution(f"{name}_depthwise", 0, kernel, stride)
                rows.append(LayerSpec("relu6", f"{name}_depthwise_relu"))
                rows += convolution(f"{name}_project", filters(count))
                if stride == 1 and channels == filters(count):
                    rows.append(LayerSpec("add", f"{name}_add", source=before))
                channels = filters(count)
        rows += [
            *convolution("top", 1280),
            LayerSpec("relu6", "top_relu"),
            LayerSpec("global mean pool", "mean"),
        ]
        return rows + ([LayerSpec("dropout", "dropout", rate=dropout)] if dropout else [])

    return layers


NETWORKS: dict[str, Callable[[Sequence[int], float], list[LayerSpec]]] = {
    "tutorial": tutorial,
    # of a 4×4 patch's 16 directions the 8 strongest, and one convolution in the first block: 60 % of the arithmetic of
    # 16 and two, and as accurate after two epochs (91.5 % of 10,000 images held out)
    "whitened-4": whitened(stem=4, stride=2, directions=8, first_convolutions=1),
    # all directions: 12 of a colour patch, 4 of a gray one
    "whitened-2": whitened(stem=2, stride=1, directions=12),
    "efficientnet-lite0": efficientnet_lite(width=1.0, depth=1.0),
    "efficientnet-lite1": efficientnet_lite(width=1.0, depth=1.1),
    "efficientnet-lite2": efficientnet_lite(width=1.1, depth=1.2),
}


BACKBONES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
"""The networks that may start from weights that were learned elsewhere, the best last, with the side in px of the
images that those were learned from; they take photos."""


def build_network(
    name: str,
    input_shape: tuple[int, int, int],
    targets: Sequence[Target],
    *,
    widths: Sequence[int],
    dropout: float = 0.0,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    tta_flip: bool = False,
) -> Network:
    """The network `name` for images of `input_shape` (height, width, channels) and these targets.

    Raises:
        RecipeError: no such network, the images are too small for it, or a target is called as a part of it.
    """
    if name not in NETWORKS:
        raise RecipeError(f"no network {name!r}. {nearest(name, NETWORKS)}")
    layers = tuple(_with_as_many_as_there_are(row, input_shape[2]) for row in NETWORKS[name](widths, dropout))
    _check_names([t.name for t in targets], layers)
    # 1/9, as in airbench: the strongest of many positive values is large, and softmax wants scores near one
    strongest = name.startswith("whitened")
    factor = 1 / 9 if strongest else 1.0
    several = frozenset(t.name for t in targets if t.kind == "multilabel")
    heads = {
        # after whitening a softmax needs no bias; a sigmoid does: a rare label is improbable before anything is seen
        t.name: LayerSpec(
            "dense", t.name, filters=len(t.classes), bias=not strongest or t.name in several, factor=factor
        )
        for t in targets
    }
    built = Network(name, input_shape, layers, heads, activation, tta_flip, several)
    output_shapes(built)
    return built


def _with_as_many_as_there_are(layer: LayerSpec, channels: int) -> LayerSpec:
    """`layer`, where it whitens with no more directions than a patch of so many channels has; each counts twice."""
    if layer.kind != "patches":
        return layer
    return replace(layer, filters=min(layer.filters, 2 * layer.kernel**2 * channels))


def head_name(target: str) -> str:
    """What the weights of a target's head are called: torch allows no dot in a name."""
    return "head_" + target.replace(".", "\u2024")


def _check_names(targets: Sequence[str], layers: Sequence[LayerSpec]) -> None:
    """In the graph a target's output bears its name, so nothing else may: no layer, and no step within a head."""
    taken = {FEATURES, "pixels", "numbers", "planes", "mirror", "both", *(layer.name for layer in layers)}
    taken |= {f"{layer.name}_{step}" for layer in layers for step in ("centred", "map", "order")}
    taken |= {f"{target}_{step}" for target in targets for step in HEAD_STEPS}
    if clash := sorted(taken & set(targets)):
        raise RecipeError(f"the target {clash[0]!r} is called as a part of the network. Rename its column.")


def output_shapes(network: Network) -> list[Shape]:
    """The shape after each layer of the trunk.

    Raises:
        RecipeError: the image has shrunk to nothing before a layer.
    """
    shape: Shape = network.input_shape
    after = []
    for layer in network.layers:
        shape = shape_after(layer, shape)
        if min(shape) < 1:
            height, width, _ = network.input_shape
            raise RecipeError(
                f"images of {height}×{width} px are too small for the network {network.name!r}: nothing is left "
                f"at {layer.name!r}. Use larger images or another recipe."
            )
        after.append(shape)
    return after


def check_image_scale(network: Network, scale: float) -> None:
    """
    Raises:
        RecipeError: `network` cannot take images with sides of `scale` times its own.
    """
    if any(layer.kind == "flatten" for layer in network.layers):
        raise RecipeError(
            f"the network {network.name!r} takes images of one size only. Leave early_share at 0, or take another "
            "recipe."
        )
    height, width, channels = network.input_shape
    output_shapes(replace(network, input_shape=(round(height * scale), round(width * scale), channels)))


def frozen_layer_count(network: Network, blocks: int) -> int:
    """How many of `network`'s layers, from the first on, the first `blocks` blocks of it end with.

    Raises:
        RecipeError: it has no blocks to be kept, or not so many.
    """
    if network.name not in BACKBONES:
        raise RecipeError(f"kept_blocks: the network {network.name!r} has none to be kept. Leave it at 0.")
    places = [place for place, layer in enumerate(network.layers) if layer.name.startswith(f"block{blocks}_")]
    if not places:
        last = max(
            int(layer.name[5:].partition("_")[0]) for layer in network.layers if layer.name[:5] == "block"
        )
        raise RecipeError(f"kept_blocks: {network.name} has {last} blocks, not {blocks}. Keep fewer.")
    return places[-1] + 1


def shape_after(layer: LayerSpec, shape: Shape) -> Shape:
    """The shape of what `layer` makes of an image or row of features of `shape`."""
    match layer.kind:
        case "convolution" | "depthwise convolution" | "patches" | "max pool":
            top, left, bottom, right = padding_of(layer, shape)
            height, width = (
                (side - layer.kernel) // layer.stride + 1
                for side in (shape[0] + top + bottom, shape[1] + left + right)
            )
            return height, width, layer.filters or shape[2]
        case "global max pool" | "global mean pool":
            return (shape[2],)
        case "flatten":
            return (math.prod(shape),)
        case "dense":
            return (layer.filters,)
        case _:
            return shape


def padding_of(layer: LayerSpec, before: Shape) -> tuple[int, int, int, int]:
    """The zeros that `layer` adds to an image of shape `before`: above, left, below, right (ONNX's order), px."""
    if layer.padding != "same":
        return (layer.padding,) * 4
    missing = [
        max((math.ceil(side / layer.stride) - 1) * layer.stride + layer.kernel - side, 0)
        for side in before[:2]
    ]
    start = [count // 2 for count in missing]
    return start[0], start[1], missing[0] - start[0], missing[1] - start[1]


def parameters(layer: LayerSpec, before: Shape) -> int:
    """How many numbers training can change in `layer`; the frozen whitening counts none."""
    match layer.kind:
        case "convolution":
            return layer.filters * (layer.kernel**2 * before[2] + layer.bias)
        case "depthwise convolution":
            return before[2] * layer.kernel**2
        case "dense":
            return layer.filters * (before[0] + layer.bias)
        case "batch norm":
            return before[-1] * (
                2 if layer.scaled else 1
            )  # the shift, and the scale where it is not fixed at one
        case _:
            return 0


def multiply_adds(layer: LayerSpec, before: Shape) -> int:
    """How many multiply-and-add steps one image costs in `layer`."""
    after = shape_after(layer, before)
    match layer.kind:
        case "convolution" | "patches":
            return math.prod(after) * layer.kernel**2 * before[2]
        case "depthwise convolution":
            return math.prod(after) * layer.kernel**2
        case "dense":
            return layer.filters * before[0]
        case _:
            return 0


def describe(network: Network) -> dict[str, Any]:
    """The network as plain values for JSON: every layer with its shape, parameters and arithmetic."""
    rows = []
    before: Shape = network.input_shape
    for layer, shape in zip(network.layers, output_shapes(network), strict=True):
        rows.append(_row(layer, before, shape))
        before = shape
    for head in network.heads.values():
        rows.append(_row(head, before, (head.filters,)))
        several = head.name in network.multilabel
        activation = "sigmoid" if several else network.activation
        rows.append(
            {
                "name": f"{head.name}_{activation}",
                "kind": activation,
                "detail": "each score becomes a probability of its own"
                if several
                else "scores become probabilities that add up to one",
                "output": [head.filters],
                "parameters": 0,
                "multiply_adds": 0,
            }
        )
    return {
        "name": network.name,
        "input": list(network.input_shape),
        "tta_flip": network.tta_flip,
        "parameters": sum(row["parameters"] for row in rows),
        "multiply_adds": sum(row["multiply_adds"] for row in rows) * (2 if network.tta_flip else 1),
        "layers": rows,
    }


def _row(layer: LayerSpec, before: Shape, after: Shape) -> dict[str, Any]:
    match layer.kind:
        case "scale":
            low, high = -layer.mean / layer.spread, (255 - layer.mean) / layer.spread
            detail = f"pixels 0–255 become {low:.2g}–{high:.2g}".replace("-", "−")
        case "normalise":
            detail = "the training images' mean becomes 0, their spread 1"
        case "patches":
            detail = f"{after[-1]} whitened {layer.kernel}×{layer.kernel} patches, fixed before training"
        case "convolution":
            detail = f"{layer.filters} kernels of {layer.kernel}×{layer.kernel}×{before[2]}"
        case "depthwise convolution":
            detail = f"a kernel of {layer.kernel}×{layer.kernel} for each of {before[2]} channels"
        case "max pool":
            detail = f"the largest of each {layer.kernel}×{layer.kernel} window"
        case "global max pool":
            detail = "the largest value of each channel"
        case "global mean pool":
            detail = "the mean value of each channel"
        case "add":
            detail = f"the result of {layer.source} is added"
        case "batch norm":
            detail = f"each channel's mean becomes 0 and spread 1, then a learned {'scale and ' * layer.scaled}shift"
        case "relu":
            detail = "negative values become 0"
        case "relu6":
            detail = "negative values become 0, those above 6 become 6"
        case "dropout":
            detail = f"in training, {layer.rate:.0%} of the values become 0"
        case "flatten":
            detail = "the maps in one row"
        case "dense":
            detail = f"{before[0]} inputs to {layer.filters} outputs"
    return {
        "name": layer.name,
        "kind": layer.kind,
        "detail": detail,
        "output": list(after),
        "parameters": parameters(layer, before),
        "multiply_adds": multiply_adds(layer, before),
    }

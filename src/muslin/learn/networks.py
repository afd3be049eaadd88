"""Networks as tables of layers. The same rows become the torch module, the ONNX graph and the drawing.

A network is written once, in `NETWORKS`, as a function of a recipe's widths; `describe` works out every shape,
parameter and multiplication from the rows. Nothing here imports torch, so a report or an inspection does not either.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from muslin.data.dataset import Target
from muslin.errors import RecipeError, nearest

Kind = Literal[
    "scale", "normalise", "patches", "convolution", "batch norm", "relu", "max pool", "global max pool",
    "dropout", "flatten", "dense",
]  # fmt: skip
Shape = tuple[int, ...]  # (height, width, channels), or (features,) once flattened


@dataclass(frozen=True)
class Layer:
    """One row of a network.

    Attributes:
        kind: what it does; each kind has its torch module in `modules.py` and its ONNX nodes in `export.py`.
        name: unique in its network; the prefix of its weights' names.
        filters: output channels of a convolution or features of a dense layer.
        kernel: side of the window, px.
        stride: step of the window, px.
        padding: zeros added on each side, px.
        rate: share of values that a dropout sets to zero.
        bias: whether a convolution or a dense layer adds a bias.
        factor: a fixed number that a dense layer's result is multiplied by.
    """

    kind: Kind
    name: str
    filters: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    rate: float = 0.0
    bias: bool = True
    factor: float = 1.0


@dataclass(frozen=True)
class Network:
    """Layers in order, then one dense head per target.

    Attributes:
        name: its key in `NETWORKS`.
        input_shape: (height, width, channels) of the uint8 pixels it takes.
        layers: the trunk, from pixels to one row of features per picture.
        heads: per target's name, the layer that turns features into one score per class.
        activation: how scores become probabilities: `softmax`, or the article's `sigmoid` divided by its sum.
        multilabel: the targets whose every score becomes a probability of its own, by a sigmoid.
        mirrored: whether an answer is the mean over the picture and its mirror image.
    """

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    heads: dict[str, Layer]
    activation: Literal["softmax", "sigmoid"]
    mirrored: bool = False
    multilabel: frozenset[str] = frozenset()


def tutorial(widths: Sequence[int], dropout: float) -> list[Layer]:
    """The article's network. Pooling stands before the ReLU: the same values, a quarter of the work."""
    if len(widths) != 3:
        raise RecipeError(
            f"widths {', '.join(map(str, widths))}: the tutorial's network has three of them, as 64-32-32."
        )
    first, second, hidden = widths
    return [
        Layer("scale", "scale"),
        Layer("convolution", "conv1", filters=first, kernel=3),
        Layer("max pool", "pool1", kernel=2, stride=2),
        Layer("relu", "relu1"),
        Layer("dropout", "dropout", rate=dropout),
        Layer("convolution", "conv2", filters=second, kernel=3),
        Layer("max pool", "pool2", kernel=2, stride=2),
        Layer("relu", "relu2"),
        Layer("flatten", "flatten"),
        Layer("dense", "dense1", filters=hidden),
        Layer("relu", "relu3"),
    ]


def whitened(
    stem: int, stride: int, directions: int, first_convolutions: int = 2
) -> Callable[[Sequence[int], float], list[Layer]]:
    """The network of the CIFAR-10 speed records (Keller Jordan's airbench, 2024), for any size and channels.

    A frozen first layer makes `stem`×`stem` patches uncorrelated with equal variance; then, for each width, two
    convolutions (in the first block `first_convolutions`) with batch norm and ReLU, halving the picture; then the
    strongest answer of each channel anywhere.
    """

    def layers(widths: Sequence[int], dropout: float) -> list[Layer]:
        rows = [
            Layer("normalise", "normalise"),
            Layer("patches", "stem", filters=2 * directions, kernel=stem, stride=stride),
            Layer("relu", "stem_relu"),
        ]
        for number, width in enumerate(widths, 1):
            name = f"block{number}"
            for place in range(1, (first_convolutions if number == 1 else 2) + 1):
                convolution = f"{name}_conv{place}"
                rows.append(Layer("convolution", convolution, filters=width, kernel=3, padding=1, bias=False))
                if place == 1:
                    rows.append(Layer("max pool", f"{name}_pool", kernel=2, stride=2))
                rows.append(Layer("batch norm", f"{name}_norm{place}"))
                rows.append(Layer("relu", f"{name}_relu{place}"))
        rows.append(Layer("global max pool", "strongest"))
        return rows + ([Layer("dropout", "dropout", rate=dropout)] if dropout else [])

    return layers


HEAD_STEPS = (
    "scores", "both", "negated", "softplus", "log_sigmoid", "clipped", "low", "high", "as_is", "mirrored", "halves",
)  # fmt: skip
"""What `export` adds to a target's name for the steps from features to its probabilities."""

NETWORKS: dict[str, Callable[[Sequence[int], float], list[Layer]]] = {
    "tutorial": tutorial,
    # of a 4×4 patch's 16 directions the 8 strongest, and one convolution in the first block: 60 % of the arithmetic of
    # 16 and two, and as accurate after two epochs (91.5 % of 10,000 pictures held out)
    "whitened-4": whitened(stem=4, stride=2, directions=8, first_convolutions=1),
    "whitened-2": whitened(stem=2, stride=1, directions=4),
}


def network(
    name: str,
    input_shape: tuple[int, int, int],
    targets: Sequence[Target],
    *,
    widths: Sequence[int],
    dropout: float = 0.0,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    mirrored: bool = False,
) -> Network:
    """The network `name` for pictures of `input_shape` (height, width, channels) and these targets.

    Raises:
        RecipeError: no such network, the pictures are too small for it, or a target is called as a part of it.
    """
    if name not in NETWORKS:
        raise RecipeError(f"no network {name!r}. {nearest(name, NETWORKS)}")
    layers = tuple(NETWORKS[name](widths, dropout))
    _check_names([t.name for t in targets], layers)
    # 1/9, as in airbench: the strongest of many positive values is large, and softmax wants scores near one
    factor = 1.0 if name == "tutorial" else 1 / 9
    several = frozenset(t.name for t in targets if t.kind == "multilabel")
    heads = {
        # a softmax needs no bias; a sigmoid does, for a label that is rare is improbable before anything is seen
        t.name: Layer(
            "dense",
            t.name,
            filters=len(t.classes),
            bias=name == "tutorial" or t.name in several,
            factor=factor,
        )
        for t in targets
    }
    built = Network(name, input_shape, layers, heads, activation, mirrored, several)
    shapes(built)
    return built


def head_key(target: str) -> str:
    """What the weights of a target's head are called: torch allows no dot in a name."""
    return "head_" + target.replace(".", "\u2024")


def _check_names(targets: Sequence[str], layers: Sequence[Layer]) -> None:
    """In the graph a target's output bears its name, so nothing else may: no layer, and no step within a head."""
    taken = {"pixels", "numbers", "planes", "mirror", "both", *(layer.name for layer in layers)}
    taken |= {f"{layer.name}_{step}" for layer in layers for step in ("centred", "map", "order")}
    taken |= {f"{target}_{step}" for target in targets for step in HEAD_STEPS}
    if clash := sorted(taken & set(targets)):
        raise RecipeError(f"the target {clash[0]!r} is called as a part of the network. Rename its column.")


def shapes(network: Network) -> list[Shape]:
    """The shape after each layer of the trunk.

    Raises:
        RecipeError: the picture has shrunk to nothing before a layer.
    """
    shape: Shape = network.input_shape
    after = []
    for layer in network.layers:
        shape = shape_after(layer, shape)
        if min(shape) < 1:
            height, width, _ = network.input_shape
            raise RecipeError(
                f"pictures of {height}×{width} px are too small for the network {network.name!r}: nothing is left "
                f"at {layer.name!r}. Use larger pictures or another recipe."
            )
        after.append(shape)
    return after


def shape_after(layer: Layer, shape: Shape) -> Shape:
    """The shape of what `layer` makes of a picture or row of features of `shape`."""
    match layer.kind:
        case "convolution" | "patches" | "max pool":
            height, width = (
                (side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in (shape[0], shape[1])
            )
            return height, width, shape[2] if layer.kind == "max pool" else layer.filters
        case "global max pool":
            return (shape[2],)
        case "flatten":
            return (math.prod(shape),)
        case "dense":
            return (layer.filters,)
        case _:
            return shape


def parameters(layer: Layer, before: Shape) -> int:
    """How many numbers training can change in `layer`; the frozen whitening counts none."""
    match layer.kind:
        case "convolution":
            return layer.filters * (layer.kernel**2 * before[2] + layer.bias)
        case "dense":
            return layer.filters * (before[0] + layer.bias)
        case "batch norm":
            return before[-1]  # the shift; the scale is fixed at one
        case _:
            return 0


def multiply_adds(layer: Layer, before: Shape) -> int:
    """How many multiply-and-add steps one picture costs in `layer`."""
    after = shape_after(layer, before)
    match layer.kind:
        case "convolution" | "patches":
            return math.prod(after) * layer.kernel**2 * before[2]
        case "dense":
            return layer.filters * before[0]
        case _:
            return 0


def describe(network: Network) -> dict[str, Any]:
    """The network as plain values for JSON: every layer with its shape, parameters and arithmetic."""
    rows = []
    before: Shape = network.input_shape
    for layer, shape in zip(network.layers, shapes(network), strict=True):
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
        "mirrored": network.mirrored,
        "parameters": sum(row["parameters"] for row in rows),
        "multiply_adds": sum(row["multiply_adds"] for row in rows) * (2 if network.mirrored else 1),
        "layers": rows,
    }


def _row(layer: Layer, before: Shape, after: Shape) -> dict[str, Any]:
    match layer.kind:
        case "scale":
            detail = "pixels 0–255 become 0–1"
        case "normalise":
            detail = "the training pictures' mean becomes 0, their spread 1"
        case "patches":
            detail = f"{after[-1]} whitened {layer.kernel}×{layer.kernel} patches, fixed before training"
        case "convolution":
            detail = f"{layer.filters} kernels of {layer.kernel}×{layer.kernel}×{before[2]}"
        case "max pool":
            detail = f"the largest of each {layer.kernel}×{layer.kernel} window"
        case "global max pool":
            detail = "the largest value of each channel"
        case "batch norm":
            detail = "each channel's mean becomes 0 and spread 1, then a learned shift"
        case "relu":
            detail = "negative values become 0"
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

"""A sealed model taken apart: its layers, and what each of them says to an image.

`split_layers` reads the graph and prepares a session that gives every layer's result; `Anatomy.trace` runs it on one
image. Results are those of ONNX Runtime without its optimisations, which would melt layers into one; the answers
themselves are the predictor's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import RecipeError, nearest
from muslin.explain.graph import Array, Graph, Node, read_graph
from muslin.explain.image_edits import edge_colour
from muslin.explain.operations import MOVING, TAKEN_APART, curve, limits, window
from muslin.models import runtime
from muslin.models.bundle import FEATURES, Bundle

ViewName = Literal["original", "flipped"]
VIEWS: tuple[ViewName, ViewName] = ("original", "flipped")

AUXILIARY = (*MOVING, "Mean", "Neg", "Softplus", "Shape", "Gather", "Constant", "ConstantOfShape", "Expand")
"""Operations that are left out of a first drawing: they move values, or only prepare others."""

_KINDS = {
    "Conv": "convolution", "Gemm": "dense", "MatMul": "dense", "BatchNormalization": "batch norm", "Relu": "relu",
    "MaxPool": "max pool", "AveragePool": "mean pool", "GlobalMaxPool": "global max pool",
    "GlobalAveragePool": "global mean pool", "ReduceMean": "global mean pool", "Add": "addition",
    "Sub": "subtraction", "Mul": "product", "Div": "division", "Softmax": "softmax", "Sigmoid": "sigmoid",
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """The windows of a convolution; sizes in pixels as (rows, columns)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    outputs: int
    inputs: int


@dataclass(frozen=True)
class Layer:
    """One result of the graph.

    Attributes:
        name: the result's name in the graph.
        op: ONNX's name of the operation; kind and detail say the same in words.
        inputs: the layers it takes.
        shape: (channels, rows, columns) or (features,), without the count of images.
        parameters: numbers that training could change.
        multiply_adds: of one image.
        share: of all multiply-adds, 0 to 1.
        block: the block it belongs to, where it belongs to one.
        auxiliary: whether it only moves or prepares values.
        residual: whether it adds two branches.
        column: its place from left to right: the longest way from the pixels.
        kernel: of a convolution.
        edits: the kinds of edits that it takes.
        unsupported: why its arithmetic is not shown; None where it is.
    """

    name: str
    op: str
    kind: str
    detail: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int = 0
    multiply_adds: int = 0
    share: float = 0.0
    block: str | None = None
    auxiliary: bool = False
    residual: bool = False
    column: int = 0
    kernel: Kernel | None = None
    edits: tuple[str, ...] = ()
    unsupported: str | None = None


@dataclass(frozen=True, eq=False)
class LayeredModel:
    """A model taken apart.

    Attributes:
        bundle: the model.
        whole: the graph as it runs, with a place for each dropout, which does nothing outside training.
        graph: the part of it that depends on the image; whatever else it works out is among the numbers.
        layers: every result that depends on the image, in the order they are worked out.
        scores: per target's name, the result that becomes its probabilities; absent where there is none such.
        cannot: sentences on what cannot be shown of this model.
    """

    bundle: Bundle
    whole: Graph
    graph: Graph
    layers: tuple[Layer, ...]
    scores: Mapping[str, str]
    unsupported: tuple[str, ...]
    session: Any = field(repr=False)

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> Layer:
        """The layer called `name`.

        Raises:
            RecipeError: there is none.
        """
        if name not in self.by_name:
            raise RecipeError(f"no layer {str(name)[:80]!r}. {nearest(str(name)[:80], self.by_name)}")
        return self.by_name[name]

    def target(self, name: str) -> Target:
        """The target called `name`.

        Raises:
            RecipeError: there is none.
        """
        targets = {target.name: target for target in self.bundle.targets}
        if name not in targets:
            raise RecipeError(f"no target {str(name)[:80]!r}. {nearest(str(name)[:80], targets)}")
        return targets[name]

    @property
    def tta_flip(self) -> bool:
        """Whether the image goes through the network twice, as it is and mirrored."""
        return any(node.op == "Concat" and node.attributes.get("axis") == 0 for node in self.graph.nodes)

    def trace(self, pixels: NDArray[np.uint8]) -> "Trace":
        """Every layer's result for one image, uint8 (height, width, channels) as the bundle takes it.

        Raises:
            BundleError: the runtime cannot run the graph.
        """
        names = [layer.name for layer in self.layers]
        return Trace(self, pixels, dict(zip(names, _run(self.session, names, pixels[None]), strict=True)))


@dataclass(frozen=True, eq=False)
class Trace:
    """One image's way through a network: `values` has each layer's result, with the count of images first."""

    layered: LayeredModel
    pixels: NDArray[np.uint8]
    values: Mapping[str, Array]

    @cached_property
    def empty(self) -> "Trace":
        """The way of an empty image: every pixel of the colour that this one has at its edge."""
        return self.layered.trace(np.broadcast_to(edge_colour(self.pixels), self.pixels.shape))

    def of(self, layer: str, tta_view: ViewName = "original") -> Array:
        """A layer's result for one view, of the layer's shape. What comes before the halves part is the same."""
        self.layered.layer(layer)
        values = self.values[layer]
        found: Array = values[min(VIEWS.index(tta_view), len(values) - 1)]
        return found


def split_layers(bundle: Bundle, whole: Graph | None = None) -> LayeredModel:
    """The layers of a model, and a session that gives what each of them says.

    Args:
        whole: the graph in the place of the bundle's own, as after an edit.

    Raises:
        BundleError: the graph cannot be read or run.
    """
    whole = _with_dropout(read_graph(bundle.model), bundle.network) if whole is None else whole
    dependent = _dependent(whole)
    session = runtime.session(whole.to_bytes(also=whole.results), optimise=False)
    results = _run(session, whole.results, bundle.golden_pixels[:1])
    values = dict(zip(whole.results, results, strict=True))
    constant = {n: v for n, v in values.items() if n not in dependent and not n.startswith(FEATURES)}
    graph = replace(
        whole.with_constants(constant),
        nodes=tuple(node for node in whole.nodes if not dependent.isdisjoint(node.outputs)),
    )
    layers = _layers(graph, {n: v.shape[1:] for n, v in values.items() if n in dependent}, bundle.network)
    scores = {t.name: found for t in bundle.targets if (found := _scores(graph, t.name))}
    return LayeredModel(bundle, whole, graph, layers, scores, _cannot(bundle, layers, scores), session)


def _run(session: Any, names: Sequence[str], pixels: NDArray[np.uint8]) -> list[Array]:
    found: list[Array] = runtime.run_session(session, names, {"pixels": np.ascontiguousarray(pixels)})
    return found


def _with_dropout(graph: Graph, network: Mapping[str, Any]) -> Graph:
    """With an Identity for each dropout of the table of layers: an export leaves them out."""
    before = ""
    for row in _rows(network):
        if row.get("kind") == "dropout" and before in graph.producers and row["name"] not in graph.producers:
            graph = graph.followed_by(before, row["name"])
        before = row["name"]
    return graph


def _rows(network: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of a bundle's table of layers that have a name; a table from elsewhere may hold anything."""
    rows = network.get("layers")
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("name"), str)]


def _dependent(graph: Graph) -> set[str]:
    """The results that depend on the image; but for copies of what the heads see, which lead to no answer."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if node.outputs[0].startswith(FEATURES):
            continue
        if not found.isdisjoint(node.inputs) and node.op != "Shape":
            found.update(name for name in node.outputs if name)
    return found - set(graph.inputs)


def _scores(graph: Graph, target: str) -> str | None:
    """The result that a target's probabilities are made of: the last one that a layer with weights gives."""
    name = target
    while (node := graph.producers.get(name)) is not None:
        if node.op in ("Gemm", "MatMul", "Conv"):
            return name
        if node.op == "Add" and any(i in graph.constants for i in node.inputs):
            return name  # a bias of its own
        name = next((i for i in node.inputs if i in graph.producers), "")
    return None


# --- layers


def _layers(
    graph: Graph, shapes: Mapping[str, tuple[int, ...]], network: Mapping[str, Any]
) -> tuple[Layer, ...]:
    rows = {row["name"]: row for row in _rows(network)}
    for name in [name for name in rows if name in graph.outputs]:  # a head's row is about its scores
        rows[f"{name}_scores"] = rows.pop(name)
    made: dict[str, Layer] = {}
    for node in graph.nodes:
        for name in node.outputs:
            if name not in shapes:
                continue
            inputs = tuple(i for i in dict.fromkeys(node.inputs) if i in made or i in graph.inputs)
            layer = _layer(graph, node, name, inputs, shapes)
            row = rows.get(name, {})
            layer = replace(
                layer,
                column=1 + max((made[i].column for i in inputs if i in made), default=0),
                kind=_word(row.get("kind"), layer.kind),
                detail=_word(row.get("detail"), layer.detail),
                parameters=row["parameters"] if isinstance(row.get("parameters"), int) else layer.parameters,
            )
            made[name] = layer
    total = sum(layer.multiply_adds for layer in made.values())
    blocks = _blocks(list(made.values()))
    return tuple(
        replace(
            layer,
            share=layer.multiply_adds / total if total else 0.0,
            block=blocks.get(layer.name),
            edits=_edits(graph, layer),
        )
        for layer in made.values()
    )


def _word(value: Any, usual: str) -> str:
    return value if isinstance(value, str) and value else usual


def _layer(
    graph: Graph, node: Node, name: str, inputs: tuple[str, ...], shapes: Mapping[str, tuple[int, ...]]
) -> Layer:
    shape = shapes[name]
    kind, detail, unsupported = _KINDS.get(node.op, node.op.lower()), "", None
    parameters = multiply_adds = 0
    kernel = None
    varied = [i for i in node.inputs if i in shapes]
    if node.op not in TAKEN_APART:
        unsupported = f"{node.op} is run, but not taken apart here"
    elif node.op in ("Conv", "Gemm", "MatMul") and node.inputs[1] not in graph.constants:
        unsupported = f"the weights of this {node.op} depend on the image themselves"
    elif node.op in ("Conv", "MaxPool", "AveragePool") and len(shape) != 3:
        unsupported = f"a {node.op} over {len(shape) - 1} dimensions is not taken apart here"
    elif node.op in ("MaxPool", "AveragePool") and node.attributes.get("ceil_mode"):
        unsupported = "a pooling with windows over the edge (ceil_mode) is not taken apart here"
    elif node.op in ("BatchNormalization", "Clip", "Slice", "Pad", "ReduceMean") and not all(
        i in graph.constants for i in node.inputs[1:] if i
    ):
        unsupported = f"the numbers of this {node.op} depend on the image themselves"
    elif node.op == "Div" and len(varied) == 2:
        unsupported = "a division by values that depend on the image is not taken apart here"
    if (single := curve(graph, node) if unsupported is None else None) is not None:
        kind, detail = single.kind, single.formula
        if node.op == "Clip" and limits(graph, node) == (0, 6):
            kind = "relu6"
    weights = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op in ("Conv", "Gemm", "MatMul") and weights is not None:
        bias = graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 else None
        parameters = weights.size + (0 if bias is None else bias.size)
        multiply_adds = weights.size
        if node.op == "Conv":
            multiply_adds *= int(np.prod(shape[1:]))
            kernel = _kernel(graph, node, shapes) if unsupported is None else None
            groups = node.attributes.get("group", 1)
            if groups == len(weights) and groups > 1:
                kind = "depthwise convolution"
            size = "×".join(map(str, weights.shape[2:]))
            detail = f"{len(weights)} kernels of {size}×{weights.shape[1]}"
        else:
            inside = weights.size // max(1, shape[-1])
            detail = f"{inside} inputs to {shape[-1]} outputs"
    elif node.op == "BatchNormalization" and unsupported is None:
        parameters = 2 * graph.constants[node.inputs[1]].size
    return Layer(
        name, node.op, kind, detail, inputs, shape, parameters, multiply_adds, kernel=kernel, unsupported=unsupported,
        auxiliary=node.op in AUXILIARY and name not in ("dropout", "flatten"),
        residual=node.op in ("Add", "Sum") and len(varied) > 1,
    )  # fmt: skip


def _kernel(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Kernel:
    weights, groups = graph.constants[node.inputs[1]], node.attributes.get("group", 1)
    steps = window(node, (1, *shapes[node.inputs[0]]), weights.shape[2:])
    return Kernel(
        steps.size, steps.stride, steps.pads, steps.dilation, groups, len(weights), weights.shape[1] * groups
    )


def _edits(graph: Graph, layer: Layer) -> tuple[str, ...]:
    """The kinds of edits a layer takes; see `muslin.explain.model_edits`."""
    node = graph.producers[layer.name]
    found = []
    if layer.unsupported is None and layer.kernel:
        found.append("kernel")
    if layer.unsupported is None and layer.op in ("Gemm", "MatMul"):
        found.append("weight")
    if layer.unsupported is None and layer.op in ("Conv", "Gemm") and len(node.inputs) > 2:
        found.append("bias")
    is_answer = layer.name in graph.outputs or layer.op in ("Softmax", "Split", "Mean")
    if (not is_answer and len(layer.shape) in (1, 3) and not layer.auxiliary) or layer.kind == "dropout":
        found.append("channel_off")
    if layer.op in LAYERS_OFF and not is_answer:
        found.append("layer_off")
    if layer.op in ("MaxPool", "GlobalMaxPool") and layer.unsupported is None:
        found.append("pooling")
    if layer.kind == "dropout":
        found.append("dropout")
    return tuple(found)


LAYERS_OFF = ("Relu", "LeakyRelu", "Clip", "HardSwish", "BatchNormalization", "Sub", "Div", "Add", "Mul")
"""Operations whose result has the shape of what they take, so that it may be handed on as it came."""


def _blocks(layers: Sequence[Layer]) -> dict[str, str]:
    """Which block each layer belongs to: by the start of the layers' names, or else from one addition to the next."""
    shown = [layer for layer in layers if not layer.auxiliary]
    starts = {layer.name: _start_of(layer.name) for layer in shown}
    named = _of_some_size(shown, starts)
    if len(set(named.values())) > 1 or len(shown) < MANY_LAYERS:
        return named
    number, found = 1, {}
    for layer in shown:
        found[layer.name] = f"block {number}"
        number += layer.residual
    return _of_some_size(shown, found)


MANY_LAYERS = 12


def _start_of(name: str) -> str:
    for mark in ("/", ".", "_"):
        if mark in name.strip(mark):
            return name.strip(mark).split(mark)[0]
    return name


def _of_some_size(layers: Sequence[Layer], block_of: Mapping[str, str]) -> dict[str, str]:
    """Only the blocks of three layers or more with a weighted one among them."""
    members: dict[str, list[Layer]] = {}
    for layer in layers:
        members.setdefault(block_of[layer.name], []).append(layer)
    kept: Collection[str] = [
        block for block, inside in members.items() if len(inside) > 2 and any(m.multiply_adds for m in inside)
    ]
    return {name: block for name, block in block_of.items() if block in kept}


def _cannot(bundle: Bundle, layers: Sequence[Layer], scores: Mapping[str, str]) -> tuple[str, ...]:
    found = []
    reasons: dict[str, list[str]] = {}
    for layer in layers:
        if layer.unsupported:
            reasons.setdefault(layer.unsupported, []).append(layer.name)
    for reason, names in reasons.items():
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        found.append(f"The arithmetic of {some} is not shown: {reason}.")
    for target in bundle.targets:
        if target.name not in scores:
            found.append(
                f"No evidence for {target.name}: its probabilities do not come from a layer of scores."
            )
    return tuple(found)

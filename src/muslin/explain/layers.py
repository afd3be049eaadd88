"""A sealed model split into layers, and what each of them makes of an image.

`split_layers` reads the graph and opens a session that gives every layer's result; `LayeredModel.trace` runs it on one
image. The session does not optimise the graph, because that would fuse layers; predictions are the predictor's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Target
from muslin.errors import BundleError, ExplanationError, unknown
from muslin.explain.graph import Graph, Node, read_graph
from muslin.explain.image_edits import edge_colour
from muslin.explain.lazy_property import lazy_property
from muslin.learn.layer_kinds import LAYER_KINDS, OPERATORS, kind_words, layer_detail
from muslin.learn.onnx_operators import Array, Call, window_of
from muslin.messages import LANGUAGES, Message, table
from muslin.models.bundle import Bundle
from muslin.models.graph_outputs import features_output
from muslin.models.runtime import run_session, session

ViewName = Literal["original", "flipped"]
VIEWS: tuple[ViewName, ViewName] = ("original", "flipped")

WEIGHTED = ("Conv", "Gemm")
"""Operators with trained weights that add values up."""


MAX_EXPLAINED_LAYERS = 1_000
"""Results of nodes: each is traced and explained some dozen times. EfficientNet-Lite2 has some 250."""

MAX_EXPLAINED_VALUES = 2**27
"""Values of all layers for one image, which a trace keeps: 512 MiB."""

MAX_VALUE = 1e15
"""Magnitude of a layer's values that can be explained: float32 holds sums and products of them with weights."""


@dataclass(frozen=True)
class Kernel:
    """The windows of a convolution; sizes in pixels as (rows, columns)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int]
    groups: int
    outputs: int
    inputs: int


@dataclass(frozen=True)
class Layer:
    """One result of the graph.

    Attributes:
        name: the result's name in the graph.
        op: ONNX's name of the operator.
        kind: a row of `LAYER_KINDS`, or the operator's name in lower case.
        kind_names: the kind's name per language.
        details: what it does, in words, per language; empty where the bundle does not say.
        purposes: what its kind is for, per language; empty for an unknown kind.
        inputs: the layers it takes.
        shape: (channels, rows, columns) or (features,), without the number of images.
        parameters: numbers that training could change.
        multiply_adds: of one image.
        multiply_adds_share: its share of the network's multiply-adds, 0 to 1.
        block: the block it belongs to, where it belongs to one.
        auxiliary: whether it only moves or prepares values.
        residual: whether it adds two branches.
        column: its place from left to right: the longest way from the pixels.
        kernel: of a convolution.
        edits: the kinds of `muslin.explain.model_edits` that it takes.
        unsupported: why its arithmetic is not shown; None where it is.
    """

    name: str
    op: str
    kind: str
    kind_names: Mapping[str, str]
    details: Mapping[str, str]
    purposes: Mapping[str, str]
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    parameters: int = 0
    multiply_adds: int = 0
    multiply_adds_share: float = 0.0
    block: str | None = None
    auxiliary: bool = False
    residual: bool = False
    column: int = 0
    kernel: Kernel | None = None
    edits: tuple[str, ...] = ()
    unsupported: Message | None = None


@dataclass(frozen=True, eq=False)
class LayeredModel:
    """A model split into layers.

    Attributes:
        bundle: the model.
        full_graph: the graph as it runs.
        graph: the part of it that depends on the image; all else that it computes is among the constants.
        layers: every result that depends on the image, in the order they are computed.
        scores: per target's name, the result that becomes its probabilities; absent without such a one.
        unsupported: what cannot be shown of this model.
    """

    bundle: Bundle
    full_graph: Graph
    graph: Graph
    layers: tuple[Layer, ...]
    scores: Mapping[str, str]
    unsupported: tuple[Message, ...]
    session: Any = field(repr=False)

    @lazy_property
    def by_name(self) -> dict[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> Layer:
        """The layer called `name`.

        Raises:
            ExplanationError: there is none.
        """
        if name not in self.by_name:
            raise ExplanationError("layer_unknown", **unknown(str(name)[:80], self.by_name))
        return self.by_name[name]

    def target(self, name: str) -> Target:
        """The target called `name`.

        Raises:
            ExplanationError: there is none.
        """
        targets = {target.name: target for target in self.bundle.targets}
        if name not in targets:
            raise ExplanationError("explained_target_unknown", **unknown(str(name)[:80], targets))
        return targets[name]

    @property
    def tta_flip(self) -> bool:
        """Whether the image goes through the network twice, as it is and mirrored."""
        return any(node.op == "Concat" and node.attributes.get("axis") == 0 for node in self.graph.nodes)

    def trace(self, pixels: NDArray[np.uint8]) -> "Trace":
        """Every layer's result for one image, uint8 (height, width, channels) as the bundle takes it.

        Raises:
            BundleError: the runtime cannot run the graph.
            ExplanationError: a layer has values that are NaN or above MAX_VALUE.
        """
        names = [layer.name for layer in self.layers]
        results = run_session(self.session, names, {"pixels": np.ascontiguousarray(pixels[None])})
        for name, values in zip(names, results, strict=True):
            if not (np.abs(values) <= MAX_VALUE).all():  # NaN is not below any number
                raise ExplanationError("layer_not_finite", name=name, maximum=MAX_VALUE)
        return Trace(self, pixels, dict(zip(names, results, strict=True)))


@dataclass(frozen=True, eq=False)
class Trace:
    """One image's way through a network: `values` has each layer's result, with the number of images first."""

    layered: LayeredModel
    pixels: NDArray[np.uint8]
    values: Mapping[str, Array]

    @lazy_property
    def of_empty_image(self) -> "Trace":
        """The trace of an empty image: every pixel has the colour of this one's edge."""
        return self.layered.trace(np.broadcast_to(edge_colour(self.pixels), self.pixels.shape))

    def of(self, layer: str, tta_view: ViewName = "original") -> Array:
        """A layer's result for one view, of the layer's shape. Layers before the mirror image have one for both."""
        self.layered.layer(layer)
        values = self.values[layer]
        result: Array = values[min(VIEWS.index(tta_view), len(values) - 1)]
        return result

    def call(self, layer: str) -> Call:
        """The operator that makes a layer, with its inputs and its result."""
        graph = self.layered.graph
        node = graph.producers[layer]
        pixels = {"pixels": self.pixels[None]}  # not joined with the values: that would copy all for each layer
        return Call(
            attributes=node.attributes,
            inputs=tuple(
                next(known[name] for known in (pixels, self.values, graph.constants) if name in known)
                for name in node.inputs
            ),
            varying=tuple(name in pixels or name in self.values for name in node.inputs),
            output=self.values[layer],
            part=(node.outputs.index(layer), len(node.outputs)),
        )


def split_layers(bundle: Bundle, full_graph: Graph | None = None) -> LayeredModel:
    """The layers of a model, and a session that gives the result of each.

    Args:
        full_graph: the graph in the place of the bundle's own, as after an edit.

    Raises:
        BundleError: the graph cannot be read or run, or has more layers or values than can be explained.
    """
    if (values := bundle.cost.values) > MAX_EXPLAINED_VALUES:
        raise BundleError("graph_cost", "values", found=values, maximum=MAX_EXPLAINED_VALUES)
    rows = _table_rows(bundle.network)
    full_graph = full_graph or read_graph(bundle.model)
    if (n_layers := len(full_graph.producers)) > MAX_EXPLAINED_LAYERS:
        raise BundleError("too_many_layers", found=n_layers, maximum=MAX_EXPLAINED_LAYERS)
    copies = _feature_copies(full_graph, bundle)
    dependent = _dependent(full_graph, copies)
    names = list(full_graph.producers)
    opened = session(full_graph.to_bytes(also=names), optimise=False)
    results = run_session(opened, names, {"pixels": bundle.golden_pixels[:1]})
    result_of = dict(zip(names, results, strict=True))
    constant = {n: v for n, v in result_of.items() if n not in dependent and n not in copies}
    graph = replace(
        full_graph.with_constants(constant),
        nodes=tuple(node for node in full_graph.nodes if not dependent.isdisjoint(node.outputs)),
    )
    layers = _layers(graph, {n: v.shape[1:] for n, v in result_of.items() if n in dependent}, rows)
    weighted = {t.name: [n for n in graph.path(t.name) if graph.producers[n].op in WEIGHTED] for t in bundle.targets}
    scores = {target: names[0] for target, names in weighted.items() if names}
    unsupported = _unsupported_parts(bundle, layers, scores)
    return LayeredModel(bundle, full_graph, graph, layers, scores, unsupported, opened)


def _table_rows(network: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Per layer's name its row of a bundle's table, without rows of a kind that muslin lacks."""
    rows = network.get("layers", ())
    return {row["name"]: row for row in rows if "name" in row and row.get("kind") in LAYER_KINDS}


def _feature_copies(graph: Graph, bundle: Bundle) -> set[str]:
    """The output with the features and its halves, which lead to no prediction."""
    name = features_output(graph.outputs, bundle.targets)
    return set() if name is None else {name, f"{name}_original", f"{name}_flipped"}


def _dependent(graph: Graph, copies: Set[str]) -> set[str]:
    """The results that depend on the image, without the copies of the features."""
    dependent = set(graph.inputs)
    for node in graph.nodes:
        if node.outputs[0] not in copies and not dependent.isdisjoint(node.inputs):
            dependent.update(name for name in node.outputs if name)
    return dependent - set(graph.inputs)


def _layers(
    graph: Graph, shapes: Mapping[str, tuple[int, ...]], rows: Mapping[str, Mapping[str, Any]]
) -> tuple[Layer, ...]:
    rows = {f"{name}_scores" if name in graph.outputs else name: row for name, row in rows.items()}
    made: dict[str, Layer] = {}
    for node in graph.nodes:
        for name in node.outputs:
            if name in shapes:
                inputs = tuple(i for i in dict.fromkeys(node.inputs) if i in made or i in graph.inputs)
                column = 1 + max((made[i].column for i in inputs if i in made), default=0)
                made[name] = _layer(graph, node, name, inputs, shapes, rows.get(name, {}), column)
    total = sum(layer.multiply_adds for layer in made.values()) or 1
    sizes = Counter(layer.block for layer in made.values() if not layer.auxiliary)
    return tuple(
        replace(
            layer,
            multiply_adds_share=layer.multiply_adds / total,
            block=layer.block if sizes[layer.block] > 1 else None,
        )
        for layer in made.values()
    )


def _layer(
    graph: Graph, node: Node, name: str, inputs: tuple[str, ...], shapes: Mapping[str, tuple[int, ...]],
    row: Mapping[str, Any], column: int,
) -> Layer:  # fmt: skip
    shape, constants = shapes[name], [graph.constants.get(i) for i in node.inputs]
    kinds = (k for k, r in LAYER_KINDS.items() if node.op in r.operators and r.is_kind(node.attributes, constants))
    kind = row.get("kind") or next(kinds, node.op.lower())
    unsupported = _why_unsupported(node, constants, shape)
    weights = constants[1] if node.op in WEIGHTED and unsupported is None else None
    kernel, block, parameters = None, row.get("block"), row.get("parameters")
    if node.op == "Conv" and weights is not None:
        window = window_of(node.attributes, (1, *shapes[node.inputs[0]]))
        groups = node.attributes.get("group", 1)
        kernel = Kernel(window.size, window.stride, window.pads[:2], groups, len(weights), weights.shape[1] * groups)
    if parameters is None:
        parameters = 0 if weights is None else sum(c.size for c in constants[1:] if c is not None)
    only_moves = node.op in OPERATORS and OPERATORS[node.op].step_kind == "moved"
    layer = Layer(
        name=name,
        op=node.op,
        kind=kind,
        kind_names={language: _kind_name(kind, node.op, language) for language in LANGUAGES},
        details={language: layer_detail(row, language) if row else "" for language in LANGUAGES},
        purposes={language: kind_words(kind, language).purpose for language in LANGUAGES},
        inputs=inputs,
        shape=shape,
        parameters=parameters,
        multiply_adds=0 if weights is None else weights.size * int(np.prod(shape[1:])),
        block=f"block{block}" if block else None,
        auxiliary=kind not in LAYER_KINDS or (only_moves and node.op not in LAYER_KINDS[kind].operators),
        residual=node.op == "Add" and len(inputs) > 1,
        column=column,
        kernel=kernel,
        unsupported=unsupported,
    )
    return replace(layer, edits=_edits(graph, node, layer))


def _kind_name(kind: str, op: str, language: str) -> str:
    if kind in LAYER_KINDS:
        return kind_words(kind, language).name
    name: str = table(language)["operators"]["names"].get(op, kind)
    return name


def _why_unsupported(node: Node, constants: Sequence[Array | None], shape: tuple[int, ...]) -> Message | None:
    """Only what muslin exports is shown; anything else is run all the same."""
    operator = OPERATORS.get(node.op)
    window = {"kernel_shape"} & operator.attributes if operator else set()
    if operator is None or not window <= set(node.attributes) <= operator.attributes or (window and len(shape) != 3):
        return Message("operator_unsupported", op=node.op)
    if any(constant is None for constant in constants[operator.varying :]):
        return Message("weights_vary", op=node.op)
    return None if operator.takes(constants, shape) else Message("operator_unsupported", op=node.op)


def _edits(graph: Graph, node: Node, layer: Layer) -> tuple[str, ...]:
    """The kinds of edits a layer takes; see `muslin.explain.model_edits`."""
    is_prediction = layer.name in graph.outputs or node.op in ("Softmax", "Sigmoid")
    edits = list(OPERATORS[node.op].edits) if layer.unsupported is None and not is_prediction else []
    if "bias" in edits and len(node.inputs) < 3:
        edits.remove("bias")
    if not is_prediction and (edits or not layer.auxiliary) and len(layer.shape) in (1, 3):
        edits.append("channel_off")
    return (*edits, *(LAYER_KINDS[layer.kind].edits if layer.kind in LAYER_KINDS else ()))


def _unsupported_parts(bundle: Bundle, layers: Sequence[Layer], scores: Mapping[str, str]) -> tuple[Message, ...]:
    reasons: dict[Message, list[str]] = {}
    for layer in layers:
        if layer.unsupported:
            reasons.setdefault(layer.unsupported, []).append(layer.name)
    return (
        *(Message("arithmetic_unsupported", layers=names[:3], more=len(names) - 3 if len(names) > 3 else None,
                  reason=reason) for reason, names in reasons.items()),
        *(Message("scores_missing", target=t.name) for t in bundle.targets if t.name not in scores),
    )  # fmt: skip

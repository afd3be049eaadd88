"""A trained network as a bundle: the ONNX graph from uint8 pixels to probabilities, and the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from muslin.data.dataset import Target
from muslin.learn.layer_kinds import LAYER_KINDS, LayerSpec
from muslin.learn.modules import Net, to_batch, weights_of
from muslin.learn.networks import Network, describe, head_name, layer_shapes
from muslin.models.bundle import Bundle, Preprocessing
from muslin.models.graph_outputs import FEATURES

OPSET = 18  # the first whose Split counts its outputs; onnxruntime 1.14 and later run it


def export(
    net: Net, targets: tuple[Target, ...], *, transform: str, golden: NDArray[np.uint8], provenance: dict[str, Any]
) -> Bundle:
    """Everything that is needed to predict as `net` does, without torch.

    Args:
        transform: the row of `muslin.images.TRANSFORMS` that makes a photo such an image.
        golden: uint8 (count, height, width, channels): images whose predictions are stored and checked at every load.
        provenance: JSON values on how the network came to be.
    """
    net.eval()
    with torch.no_grad():
        probabilities = net.probabilities(to_batch(golden))
    height, width, channels = net.network.input_shape
    weights = weights_of(net)
    return Bundle(
        targets=targets,
        preprocessing=Preprocessing(height=height, width=width, channels=channels, transform=transform),
        model=onnx_graph(net.network, weights).SerializeToString(deterministic=True),
        weights=save(weights),
        golden_pixels=golden,
        golden_probabilities={name: values.numpy() for name, values in probabilities.items()},
        network=describe(net.network),
        provenance=provenance,
    )


@dataclass
class GraphWriter:
    """The nodes and constants of an ONNX graph that is being written; each node's result has the node's name."""

    trained: Mapping[str, NDArray[Any]]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one result."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add numbers that training does not change."""
        self.constants[name] = value
        return name

    def weights(self, layer: str, *names: str) -> list[str]:
        """Those of a layer's weights that the network has."""
        full_names = [f"{layer}.{name}" for name in names]
        for name in full_names:
            if name in self.trained:
                self.constants.setdefault(name, self.trained[name])
        return [name for name in full_names if name in self.constants]

    def dense(self, layer: LayerSpec, source: str, weights: str) -> str:
        """A dense layer whose weights are called `weights`."""
        inputs = [source, *self.weights(weights, "weight", "bias")]
        scale = layer.output_scale
        return self.node("Gemm", inputs, layer.name, transB=1, alpha=scale, beta=scale)

    def mean_of_views(self, source: str, output: str) -> str:
        """The mean over the image's and the mirror image's half of `source`."""
        views = [f"{output}_original", f"{output}_flipped"]
        split = helper.make_node("Split", [source], views, name=f"{output}_views", axis=0, num_outputs=2)
        self.nodes.append(split)
        return self.node("Mean", views, output)


def onnx_graph(network: Network, weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """`network` as an ONNX model: `pixels` uint8 (count, height, width, channels) to per target float32
    (count, classes) probabilities, and FEATURES: what the heads take, float32 (count, features). A network without
    heads gives only these.

    Every layer's result bears the layer's name, so that an explainer can ask for it.
    """
    height, width, channels = network.input_shape
    graph = GraphWriter(weights)
    result = graph.node("Cast", ["pixels"], "numbers", to=TensorProto.FLOAT)
    result = graph.node("Transpose", [result], "planes", perm=[0, 3, 1, 2])
    if network.tta_flip:
        slicing = (("start", -1), ("end", np.iinfo(np.int64).min), ("axis", 3), ("step", -1))
        ends = [graph.constant(f"mirror_{what}", np.array([value])) for what, value in slicing]
        mirror = graph.node("Slice", [result, *ends], "mirror")
        result = graph.node("Concat", [result, mirror], "both", axis=0)
    *before, features = layer_shapes(network)
    for layer, shape in zip(network.layers, before, strict=True):
        result = LAYER_KINDS[layer.kind].to_onnx(graph, layer, shape, result)
    outputs = []
    for name, head in network.heads.items():
        scores_layer = LayerSpec("dense", f"{name}_scores", output_scale=head.output_scale)
        scores = graph.dense(scores_layer, result, head_name(name))
        activation = network.activation_layer(name)
        probabilities = LAYER_KINDS[activation.kind].to_onnx(graph, activation, (head.filters,), scores)
        if network.tta_flip:
            graph.mean_of_views(probabilities, name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["count", head.filters]))
    if network.tta_flip:  # features, like probabilities, are the mean over both views
        graph.mean_of_views(result, FEATURES)
    else:
        graph.node("Identity", [result], FEATURES)
    outputs.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["count", *features]))
    made = helper.make_graph(
        graph.nodes,
        network.name,
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["count", height, width, channels])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in graph.constants.items()],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="muslin"
    )
    onnx.checker.check_model(model)
    return model

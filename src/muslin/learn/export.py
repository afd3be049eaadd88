"""A trained network as a bundle: the ONNX graph from uint8 pixels to probabilities, and the weights."""

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from muslin.data.dataset import Target
from muslin.learn.modules import Net, to_batch, weights_of
from muslin.learn.networks import LayerSpec, Network, Shape, describe, head_name, output_shapes, padding_of
from muslin.models.bundle import FEATURES, Bundle, Preprocessing

OPSET = 18  # the first whose Split counts its outputs; onnxruntime 1.14 and later run it


def export(
    net: Net,
    targets: tuple[Target, ...],
    *,
    transform: str,
    golden: NDArray[np.uint8],
    provenance: dict[str, Any],
) -> Bundle:
    """Everything a reader needs to answer as `net` does, without torch.

    Args:
        transform: the row of `muslin.images.TRANSFORMS` that makes a photo such an image.
        golden: uint8 (count, height, width, channels): images whose answers are stored and checked at every load.
        provenance: JSON values on how the network came to be.
    """
    net.eval()
    with torch.no_grad():
        answers = net.probabilities(to_batch(golden))
    height, width, channels = net.network.input_shape
    weights = weights_of(net)
    return Bundle(
        targets=targets,
        preprocessing=Preprocessing(height=height, width=width, channels=channels, transform=transform),
        model=onnx_graph(net.network, weights).SerializeToString(deterministic=True),
        weights=save(weights),
        golden_pixels=golden,
        golden_probabilities={name: values.numpy() for name, values in answers.items()},
        network=describe(net.network),
        provenance=provenance,
    )


def onnx_graph(network: Network, weights: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    """`network` as an ONNX model: `pixels` uint8 (count, height, width, channels) to per target
    float32 (count, classes) probabilities, and FEATURES: what the heads see, float32 (count, features). A
    network without heads gives only these.

    Every layer's result bears the layer's name, so that an explainer can ask for it.
    """
    height, width, channels = network.input_shape
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(name: str, value: NDArray[Any]) -> str:
        constants[name] = value
        return name

    at = node("Cast", ["pixels"], "numbers", to=TensorProto.FLOAT)
    at = node("Transpose", [at], "planes", perm=[0, 3, 1, 2])
    if network.tta_flip:
        ends = [constant(f"mirror_{what}", np.array([v])) for what, v in
                (("start", -1), ("end", np.iinfo(np.int64).min), ("axis", 3), ("step", -1))]  # fmt: skip
        mirror = node("Slice", [at, *ends], "mirror")
        at = node("Concat", [at, mirror], "both", axis=0)

    def weighted(kind: str, layer: LayerSpec, source: str, prefix: str, **attributes: Any) -> str:
        names = [n for n in (f"{prefix}.weight", f"{prefix}.bias") if n in weights]
        return node(kind, [source, *(constant(n, weights[n]) for n in names)], layer.name, **attributes)

    before: Shape = network.input_shape
    for layer, shape in zip(network.layers, output_shapes(network), strict=True):
        window: dict[str, Any] = {
            "kernel_shape": [layer.kernel] * 2,
            "strides": [layer.stride] * 2,
        }
        if layer.kernel:
            window["pads"] = list(padding_of(layer, before))
        match layer.kind:
            case "scale" | "normalise":
                mean = constant(f"{layer.name}.mean", weights[f"{layer.name}.mean"])
                spread = constant(f"{layer.name}.spread", weights[f"{layer.name}.spread"])
                at = node("Div", [node("Sub", [at, mean], f"{layer.name}_centred"), spread], layer.name)
            case "patches" | "convolution":
                at = weighted("Conv", layer, at, layer.name, **window)
            case "depthwise convolution":
                at = weighted("Conv", layer, at, layer.name, **window, group=before[2])
            case "batch norm":
                keys = ("weight", "bias", "running_mean", "running_var")
                names = [constant(f"{layer.name}.{key}", weights[f"{layer.name}.{key}"]) for key in keys]
                at = node("BatchNormalization", [at, *names], layer.name, epsilon=layer.epsilon)
            case "relu":
                at = node("Relu", [at], layer.name)
            case "relu6":
                bounds = [
                    constant(f"relu6_{end}", np.array(v, np.float32)) for end, v in (("low", 0), ("high", 6))
                ]
                at = node("Clip", [at, *bounds], layer.name)
            case "add":
                at = node("Add", [at, layer.source], layer.name)
            case "global mean pool":
                at = node("Flatten", [node("GlobalAveragePool", [at], f"{layer.name}_map")], layer.name)
            case "max pool":
                at = node("MaxPool", [at], layer.name, **window)
            case "global max pool":
                at = node("Flatten", [node("GlobalMaxPool", [at], f"{layer.name}_map")], layer.name)
            case "flatten":
                at = node(
                    "Flatten", [node("Transpose", [at], f"{layer.name}_order", perm=[0, 2, 3, 1])], layer.name
                )
            case "dense":
                at = weighted("Gemm", layer, at, layer.name, transB=1, alpha=layer.factor, beta=layer.factor)
            case "dropout":
                pass  # only in training
        before = shape
    outputs = []
    for name, head in network.heads.items():
        scores_layer = LayerSpec("dense", f"{name}_scores", factor=head.factor)
        scores = weighted(
            "Gemm", scores_layer, at, head_name(name), transB=1, alpha=head.factor, beta=head.factor
        )
        answer = f"{name}_both" if network.tta_flip else name
        if name in network.multilabel:
            node("Sigmoid", [scores], answer)
        elif network.activation == "softmax":
            node("Softmax", [scores], answer, axis=1)
        else:
            # p / Σp as the softmax of log p = -softplus(-score): where all p are small, the runtime's sigmoid has
            # too few right digits for their quotient (on a trained tutorial it was wrong by up to 0.009).
            low = constant(f"{name}_low", np.array(np.log(1e-7), dtype=np.float32))
            high = constant(f"{name}_high", np.array(np.log1p(-1e-7), dtype=np.float32))
            softplus = node("Softplus", [node("Neg", [scores], f"{name}_negated")], f"{name}_softplus")
            logarithm = node("Neg", [softplus], f"{name}_log_sigmoid")
            node("Softmax", [node("Clip", [logarithm, low, high], f"{name}_clipped")], answer, axis=1)
        if network.tta_flip:
            views = [f"{name}_as_is", f"{name}_mirrored"]
            nodes.append(
                helper.make_node("Split", [answer], views, name=f"{name}_halves", axis=0, num_outputs=2)
            )
            node("Mean", views, name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["count", head.filters]))
    if network.tta_flip:  # features, like probabilities, are the mean over both views
        sides = [f"{FEATURES}_as_is", f"{FEATURES}_mirrored"]
        nodes.append(helper.make_node("Split", [at], sides, name=f"{FEATURES}_halves", axis=0, num_outputs=2))
        node("Mean", sides, FEATURES)
    else:
        node("Identity", [at], FEATURES)
    outputs.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["count", *before]))
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["count", height, width, channels])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9, producer_name="muslin"
    )
    onnx.checker.check_model(model)
    return model

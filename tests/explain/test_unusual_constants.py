"""Nodes of known operators whose constants have other shapes than those that muslin exports."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from muslin.data.dataset import Target
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.learn.export import export
from muslin.learn.layer_kinds import LayerSpec
from muslin.learn.modules import Net
from muslin.learn.networks import Network
from muslin.models.bundle import Bundle
from muslin.models.predictor import Predictor

LABEL = Target("label", ("Coat", "Shirt"))
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), np.uint8)


@pytest.fixture
def bundle() -> Bundle:
    layers = (
        LayerSpec("scale", "scale"),
        LayerSpec("convolution", "conv1", filters=4, kernel_size=3),
        LayerSpec("relu6", "relu1"),
        LayerSpec("flatten", "flatten"),
    )
    head = LayerSpec("dense", "label", filters=len(LABEL.classes))
    net = Net(Network("tutorial", (12, 12, 1), layers, {"label": head}, "softmax"), seed=0).eval()
    return export(net, (LABEL,), transform="fit", golden=PIXELS, provenance={})


def changed(bundle: Bundle, op: str, change: Any) -> InspectedModel:
    """The model after `change(node, constants)`, of its first node of an operator and the constants by name."""
    model = onnx.load_from_string(bundle.model)
    node = next(node for node in model.graph.node if node.op_type == op)
    change(node, {tensor.name: tensor for tensor in model.graph.initializer})
    return InspectedModel.of(Predictor(replace(bundle, model=model.SerializeToString()), 1, check=False))


def reshape(tensor: Any, *shape: int) -> None:
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).reshape(shape), tensor.name))


def test_bounds_of_one_value_are_numbers(bundle: Bundle) -> None:
    def change(node: Any, constants: Any) -> None:
        for name in node.input[1:]:
            reshape(constants[name], 1)

    attribution = Inspection(changed(bundle, "Clip", change), PIXELS[0], preprocessed=True).attribute("label", "Shirt")
    assert attribution.sum == pytest.approx(attribution.score, abs=1e-4)


def test_clip_without_upper_bound_is_not_taken_for_a_relu(bundle: Bundle) -> None:
    layered = changed(bundle, "Clip", lambda node, constants: node.input.pop()).layered
    unsupported = layered.layer("relu1").unsupported
    assert unsupported
    assert unsupported.code == "operator_unsupported"


def test_one_bias_for_all_classes_is_not_explained(bundle: Bundle) -> None:
    def change(node: Any, constants: Any) -> None:
        constants[node.input[2]].CopyFrom(numpy_helper.from_array(np.zeros(1, np.float32), node.input[2]))

    layered = changed(bundle, "Gemm", change).layered
    unsupported = layered.layer(layered.scores["label"]).unsupported
    assert unsupported
    assert unsupported.code == "operator_unsupported"

"""A new kind of layer is one row of `LAYER_KINDS`: it trains, exports, is drawn and explained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from torch import nn

from muslin.explain.arithmetic import arithmetic
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.learn.export import export
from muslin.learn.layer_kinds import LAYER_KINDS, OPERATORS, LayerKind, LayerSpec, window_shape
from muslin.learn.modules import Net, to_batch
from muslin.learn.networks import Network, describe
from muslin.learn.onnx_operators import (
    WINDOW_ATTRIBUTES,
    Back,
    Call,
    Float,
    Operator,
    Position,
    Step,
    rows_of,
    window_of,
)
from muslin.messages import LANGUAGES
from muslin.models.predictor import Predictor
from muslin.reporting.svg.network_diagram import network_diagram
from small_models import LABEL


def step(call: Call, position: Position, all_terms: bool) -> tuple[Step, None]:
    window = window_of(call.attributes, call.inputs[0].shape)
    image, channel, row, column = position
    patch = window.patch(call.inputs[0][image][channel : channel + 1], row, column)[0]
    values = {"value": float(np.nanmean(patch)), "values": rows_of(patch), "argmax": None, "formula": "mean"}
    return window.step(row, column) | values, None


def backward(call: Call, slopes: Float) -> Back:
    shape = call.inputs[0].shape
    window = window_of(call.attributes, shape)
    share = slopes / (window.size[0] * window.size[1])
    return (window.scatter(shape, lambda i, j: share),), 0.0


AVERAGE_POOL = LayerKind(
    module=lambda layer, before, following: nn.AvgPool2d(layer.kernel_size, layer.stride),
    to_onnx=lambda graph, layer, before, source: graph.node(
        "AveragePool", [source], layer.name, kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0]
    ),
    operators={"AveragePool": Operator("window", step, backward, WINDOW_ATTRIBUTES)},
    fields=("kernel_size", "stride"),
    output_shape=window_shape,
    words=dict.fromkeys(LANGUAGES, ("average pool", "the mean of windows", "a smaller image")),
)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setitem(LAYER_KINDS, "average pool", AVERAGE_POOL)
    monkeypatch.setitem(OPERATORS, "AveragePool", AVERAGE_POOL.operators["AveragePool"])
    layers = (
        LayerSpec("scale", "scale"),
        LayerSpec("convolution", "conv1", filters=4, kernel_size=3),
        LayerSpec("average pool", "pool1", kernel_size=2, stride=2),
        LayerSpec("relu", "relu1"),
        LayerSpec("flatten", "flatten"),
    )
    head = LayerSpec("dense", "label", filters=len(LABEL.classes))
    return Network("tutorial", (12, 12, 1), layers, {"label": head}, "softmax")


def test_new_kind_is_exported_drawn_and_explained(network: Network) -> None:
    net = Net(network, seed=0).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), np.uint8)
    expected: Any = net.probabilities(to_batch(pixels))["label"].detach().numpy()
    bundle = export(net, (LABEL,), transform="fit", golden=pixels, provenance={})
    inspected = InspectedModel.of(Predictor(bundle, 1))
    np.testing.assert_allclose(inspected.predictor.predict_pixels(pixels)["label"], expected, atol=1e-5)
    assert "a smaller image" in network_diagram(describe(network))

    inspection = Inspection(inspected, pixels[0], preprocessed=True)
    layer = inspected.layered.layer("pool1")
    assert (layer.kind, layer.unsupported, layer.details["en"]) == ("average pool", None, "the mean of windows")
    result = arithmetic(inspection.trace, "relu1", [2, 1, 3])
    assert result["matches_runtime"]
    assert [one["step_kind"] for one in result["layer_path"]] == ["window", "clipped"]
    for name in ("scale", "conv1", "pool1"):
        attribution = inspection.attribute("label", "Shirt", layer=name)
        assert attribution.is_exact
        assert attribution.sum == pytest.approx(attribution.score, abs=1e-4)


def test_bundle_with_a_kind_from_elsewhere_is_run(network: Network) -> None:
    """A reader without the row still predicts, and says that it does not show the operator."""
    net = Net(network, seed=0).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1), np.uint8)
    bundle = export(net, (LABEL,), transform="fit", golden=pixels, provenance={})
    del LAYER_KINDS["average pool"], OPERATORS["AveragePool"]
    layered = InspectedModel.of(Predictor(replace(bundle), 1)).layered
    layer = layered.layer("pool1")
    assert layer.kind == "averagepool"
    assert layer.unsupported is not None
    assert layer.unsupported.code == "operator_unsupported"

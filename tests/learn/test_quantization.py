"""An int8 graph predicts much the same, and takes pixels as they are where scaling them gives them again."""

import numpy as np
import onnx
import pytest

from fuzz.valid_models import LABEL, bundles, run_graph
from muslin.learn.quantization import quantize, with_weights
from muslin.models.graph_outputs import FEATURES
from muslin.models.onnx_check import check_graph

MODEL = bundles()["two graphs"].int8.model
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 12, 12, 1)).astype(np.uint8)
PIXELS[:, 0, :2, 0] = (0, 255)


def operators(model: bytes) -> set[str]:
    return {node.op_type for node in check_graph(model).graph.node}


@pytest.mark.parametrize("reduce_range", [False, True])
def test_a_quantized_graph_predicts_much_the_same(reduce_range: bool) -> None:
    quantized = quantize(MODEL, [PIXELS[:8], PIXELS[8:]], reduce_range=reduce_range)
    before, after = run_graph(MODEL, PIXELS), run_graph(quantized, PIXELS)
    assert np.abs(before[LABEL.name] - after[LABEL.name]).max() < 0.05
    assert before[FEATURES].shape == after[FEATURES].shape
    assert not np.array_equal(before[FEATURES], after[FEATURES])
    assert {"QuantizeLinear", "DequantizeLinear", "Conv", "Gemm"} <= operators(quantized)


def test_pixels_are_scaled_only_where_that_changes_them() -> None:
    assert not operators(quantize(MODEL, [PIXELS])) & {"Sub", "Div"}
    dark = quantize(MODEL, [PIXELS // 2])
    assert {"Sub", "Div"} <= operators(dark)


def test_the_same_images_give_the_same_bytes() -> None:
    assert quantize(MODEL, [PIXELS]) == quantize(MODEL, [PIXELS])


def test_heads_can_be_replaced_in_a_quantized_graph() -> None:
    quantized = quantize(MODEL, [PIXELS])
    bias = np.float32([9, 0, 0])
    changed = with_weights(quantized, {"head_label.bias": bias, "head_label.weight": np.zeros((3, 4), np.float32)})
    assert (run_graph(changed, PIXELS)["label"].argmax(1) == 0).all()
    names = {constant.name for constant in onnx.ModelProto.FromString(changed).graph.initializer}
    assert {"head_label.bias", "head_label.weight"} <= names

"""A graph's cost is known before it runs: hostile ones are refused without running them."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from muslin.errors import BundleError
from muslin.models.bundle import Bundle, Preprocessing
from small_models import brightness_model, small_bundle

Graph = onnx.GraphProto


def with_graph(change: Callable[[Graph], Any]) -> onnx.ModelProto:
    model = brightness_model()
    change(model.graph)
    return model


def constant(graph: Graph, name: str, values: Any, dtype: Any = np.int64) -> str:
    graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    return name


def before_the_mean(graph: Graph, *nodes: onnx.NodeProto, result: str) -> None:
    """Put nodes between `scaled`, (n, 8, 8, 1), and the mean."""
    mean = graph.node[2]
    mean.input[0] = result
    for i, node in enumerate(nodes):
        graph.node.insert(2 + i, node)


def refusal(model: onnx.ModelProto, **changes: Any) -> BundleError:
    tracemalloc.start()
    with pytest.raises(BundleError) as error:
        replace(small_bundle(), model=model.SerializeToString(), **changes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    return error.value


def test_cost_counts_values_and_multiply_adds() -> None:
    cost = small_bundle().cost
    # pixels, as_float, scaled: 64 each; the mean and its column; 3 scores; 3 probabilities
    assert (cost.values, cost.largest) == (3 * 64 + 2 + 6, 64)
    assert 2 * 64 <= cost.multiply_adds <= 1000


@pytest.mark.parametrize(
    "operator", ["ConstantOfShape", "Tile", "Expand", "Resize", "Range", "NonZero", "TopK", "OneHot"]
)
def test_operators_without_a_size_known_in_advance_are_refused(operator: str) -> None:
    def change(graph: Graph) -> None:
        graph.node[2].op_type = operator

    error = refusal(with_graph(change))
    assert (error.code, error.params["name"]) == ("graph_operator", operator)


def test_doubling_concatenations_are_refused() -> None:
    def change(graph: Graph) -> None:
        names = ["scaled", *(f"d{i}" for i in range(24))]
        nodes = [helper.make_node("Concat", [a, a], [b], axis=3) for a, b in pairwise(names)]
        before_the_mean(graph, *nodes, result=names[-1])

    error = refusal(with_graph(change))
    assert (error.code, error.message.hint_code) == ("graph_cost", "tensor_values")
    assert error.params["found"] == 64 * 2**24


def test_many_large_multiplications_are_refused() -> None:
    def change(graph: Graph) -> None:
        constant(graph, "shape", [1, 4096])
        constant(graph, "pads", [0, 0, 0, 4096 - 64])
        constant(graph, "flat", [-1, 64])
        constant(graph, "square", np.zeros((4096, 4096)), np.float32)
        constant(graph, "back", [-1, 64, 64, 1])
        names = ["padded", *(f"m{i}" for i in range(3000))]
        nodes = [helper.make_node("Reshape", ["scaled", "flat"], ["flat_pixels"])]
        nodes += [helper.make_node("Pad", ["flat_pixels", "pads"], ["padded"])]
        nodes += [helper.make_node("MatMul", [a, "square"], [b]) for a, b in pairwise(names)]
        nodes += [helper.make_node("Reshape", [names[-1], "back"], ["image"])]
        before_the_mean(graph, *nodes, result="image")

    model = with_graph(change)
    tracemalloc.start()
    with pytest.raises(BundleError) as error:
        replace(small_bundle(), model=model.SerializeToString())
    tracemalloc.stop()
    assert (error.value.code, error.value.message.hint_code) == ("graph_cost", "multiply_adds")
    assert error.value.params["found"] >= 3000 * 4096**2


def test_a_size_that_depends_on_the_image_is_refused() -> None:
    def change(graph: Graph) -> None:
        constant(graph, "zero", [0])
        constant(graph, "one", [1])
        nodes = [
            helper.make_node("Cast", ["pixels"], ["whole"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["whole"], ["brightest"], keepdims=0),
            helper.make_node("Unsqueeze", ["brightest", "zero"], ["end"]),
            helper.make_node("Slice", ["scaled", "zero", "end", "one"], ["cut"]),
        ]
        before_the_mean(graph, *nodes, result="cut")

    assert refusal(with_graph(change)).code == "graph_size_unknown"


def test_a_batch_that_costs_more_than_its_images_is_refused() -> None:
    def change(graph: Graph) -> None:
        constant(graph, "flat", [-1, 64])
        nodes = [
            helper.make_node("Reshape", ["scaled", "flat"], ["rows"]),
            helper.make_node("Transpose", ["rows"], ["columns"], perm=[1, 0]),
            helper.make_node("MatMul", ["columns", "rows"], ["products"]),
            helper.make_node("MatMul", ["rows", "products"], ["mixed"]),
            helper.make_node("Transpose", ["mixed"], ["mixed_columns"], perm=[1, 0]),
            helper.make_node("MatMul", ["mixed", "mixed_columns"], ["square"]),
        ]
        before_the_mean(graph, *nodes, result="scaled")

    assert refusal(with_graph(change)).code == "graph_batch_cost"


def test_a_huge_image_is_refused_before_any_is_decoded() -> None:
    def bundle() -> Bundle:
        golden = np.zeros((1, 1, 1, 1), np.uint8)
        pixels = np.broadcast_to(golden, (1, 9000, 9000, 3))
        return replace(
            small_bundle(),
            model=brightness_model(channels=3, side=9000).SerializeToString(),
            preprocessing=Preprocessing(9000, 9000, 3, "fit"),
            golden_pixels=pixels,
            golden_probabilities={"label": np.zeros((1, 3), np.float32)},
        )

    with pytest.raises(BundleError) as error:
        bundle()
    assert error.value.code == "graph_cost"


@pytest.mark.parametrize("parts", [1, 3])
def test_a_split_into_other_parts_than_its_outputs_is_refused(parts: int) -> None:
    """onnx's shape inference ended the process."""

    def change(graph: Graph) -> None:
        node = helper.make_node("Split", ["scaled"], ["left", "right"], axis=1, num_outputs=parts)
        before_the_mean(graph, node, result="left")

    assert refusal(with_graph(change)).code == "graph_sizes"

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
from muslin.models.graph_cost import check_cost
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


def computed_sizes(graph: Graph, *nodes: onnx.NodeProto, result: str) -> None:
    """Add the sum of what nodes make of `sizes`, the sizes of `pixels`, to the image."""
    before = [helper.make_node("Shape", ["pixels"], ["sizes"]), *nodes]
    after = [
        helper.make_node("Cast", [result], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Add", ["scaled", "sum"], ["changed"]),
    ]
    before_the_mean(graph, *before, *after, result="changed")


@pytest.mark.parametrize("fan", [2, 200])
def test_sizes_that_double_are_refused_before_they_are_inferred(fan: int) -> None:
    """Shape inference would compute them, in 20 s and 7 GB."""

    def change(graph: Graph) -> None:
        names = ["sizes", *(f"s{i}" for i in range(24))]
        nodes = [helper.make_node("Concat", [a] * fan, [b], axis=0) for a, b in pairwise(names)]
        computed_sizes(graph, *nodes, result=names[-1])

    error = refusal(with_graph(change))
    assert (error.code, error.message.hint_code) == ("graph_cost", "sizes")


def test_sizes_that_are_gathered_a_thousandfold_are_refused() -> None:
    def change(graph: Graph) -> None:
        indices = constant(graph, "indices", np.zeros(1024))
        computed_sizes(graph, helper.make_node("Gather", ["sizes", indices], ["many"]), result="many")

    error = refusal(with_graph(change))
    assert (error.code, error.message.hint_code, error.params["found"]) == ("graph_cost", "sizes", 1024)


@pytest.mark.parametrize("operator", ["Reshape", "Unsqueeze"])
def test_a_tensor_of_many_axes_is_refused(operator: str) -> None:
    def change(graph: Graph) -> None:
        axes = [-1, *[1] * 100] if operator == "Reshape" else list(range(100))
        before_the_mean(
            graph, helper.make_node(operator, ["scaled", constant(graph, "sizes", axes)], ["deep"]), result="deep"
        )

    error = refusal(with_graph(change))
    assert (error.code, error.message.hint_code) == ("graph_cost", "axes")


def test_sizes_as_exporters_compute_them_are_accepted() -> None:
    """A view of the batch as PyTorch exports it, and many squeeze-and-excitation blocks one after the other."""

    def change(graph: Graph) -> None:
        first, last = constant(graph, "first", 0), constant(graph, "last", [-1])
        axes, channel = constant(graph, "axes_1_2", [1, 2]), constant(graph, "axis", [0])
        nodes = [
            helper.make_node("Shape", ["scaled"], ["sizes"]),
            helper.make_node("Gather", ["sizes", first], ["count"]),
            helper.make_node("Unsqueeze", ["count", channel], ["counts"]),
            helper.make_node("Concat", ["counts", last], ["view"], axis=0),
            helper.make_node("Reshape", ["scaled", "view"], ["flat"]),
            helper.make_node("Reshape", ["flat", "sizes"], ["x0"]),
        ]
        for i in range(30):
            nodes += [
                helper.make_node("ReduceMean", [f"x{i}", axes], [f"mean{i}"], keepdims=0),
                helper.make_node("Sigmoid", [f"mean{i}"], [f"gate{i}"]),
                helper.make_node("Unsqueeze", [f"gate{i}", axes], [f"gates{i}"]),
                helper.make_node("Mul", [f"x{i}", f"gates{i}"], [f"x{i + 1}"]),
            ]
        before_the_mean(graph, *nodes, result="x30")

    model = with_graph(change)
    golden = small_bundle().golden_pixels
    assert check_cost(model, golden.shape[1:], len(golden)).largest == 64


@pytest.mark.parametrize("is_node", [False, True])
def test_a_large_constant_costs_the_same_as_a_node(is_node: bool) -> None:
    def change(graph: Graph) -> None:
        values = numpy_helper.from_array(np.ones((8, 8, 100), np.float32), "ones")
        if is_node:
            graph.node.insert(0, helper.make_node("Constant", [], ["ones"], value=values))
        else:
            graph.initializer.append(values)
        mul = next(i for i, node in enumerate(graph.node) if node.op_type == "ReduceMean")
        graph.node.insert(mul, helper.make_node("Mul", ["scaled", "ones"], ["wide"]))
        graph.node[mul + 1].input[0] = "wide"

    golden = small_bundle().golden_pixels
    assert check_cost(with_graph(change), golden.shape[1:], len(golden)).largest == 6400


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

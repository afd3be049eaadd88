"""The table of layer kinds: every row is complete, and what its parts say agrees."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from muslin.learn.export import GraphWriter
from muslin.learn.layer_kinds import (
    LAYER_KINDS,
    OPERATORS,
    LayerKind,
    LayerSpec,
    LayerWords,
    kind_words,
    layer_detail,
    table_row,
)
from muslin.learn.networks import NETWORKS, Network
from muslin.messages import LANGUAGES

EXAMPLES = {
    "filters": 4, "kernel_size": 2, "stride": 2, "padding": 1, "rate": 0.125, "bias": True, "output_scale": 0.5,
    "mean": 10.0, "std": 20.0, "source": "before", "learn_scale": True, "epsilon": 1e-3, "momentum": 0.1,
}  # fmt: skip
FLAT = ("dense", "softmax", "sigmoid", "normalised sigmoid")


def example(kind: str) -> tuple[LayerSpec, tuple[int, ...]]:
    """A layer of `kind` with a value of its own for every field it reads, and the shape of its input."""
    layer = LayerSpec(kind, "layer", **{name: EXAMPLES[name] for name in LAYER_KINDS[kind].fields})
    return layer, (6,) if kind in FLAT else (8, 6, 3)


def faults(name: str, row: LayerKind) -> list[str]:
    """What a row of the table lacks."""
    known = {field.name for field in fields(LayerSpec)}
    missing = [f"{name}: {field} is no field" for field in row.fields if field not in known]
    for language in LANGUAGES:
        words = row.words.get(language, ("", "", ""))
        missing += [
            f"{name}: no {part} in {language}" for part, word in zip(LayerWords._fields, words, strict=True) if not word
        ]
    missing += [] if row.operators else [f"{name}: no operator"]
    for op, operator in row.operators.items():
        missing += (
            [] if operator.step_kind and operator.step and operator.backward else [f"{name}: {op} has no arithmetic"]
        )
    return missing


def test_every_row_is_complete() -> None:
    assert [fault for name, row in LAYER_KINDS.items() for fault in faults(name, row)] == []


def test_a_row_that_lacks_something_is_found() -> None:
    whole = LAYER_KINDS["max pool"]
    assert faults("max pool", replace(whole, operators={}))
    assert faults("max pool", replace(whole, words={}))
    assert faults("max pool", replace(whole, fields=("kernel",)))


def test_networks_use_only_kinds_of_the_table() -> None:
    widths = {"tutorial": (4, 4, 4), "whitened-4": (4, 4), "whitened-2": (4, 4), "whitened-2-shortcuts": (4, 4)}
    used = {layer.kind for name, spec in NETWORKS.items() for layer in spec.build(widths.get(name, ()), 0.1)}
    assert used | {"softmax", "sigmoid", "normalised sigmoid"} == set(LAYER_KINDS)


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_module_has_the_shape_and_parameters_of_the_row(kind: str) -> None:
    layer, before = example(kind)
    row = LAYER_KINDS[kind]
    module = row.module(layer, before, ()).eval()
    for weight in module.parameters():
        torch.nn.init.uniform_(weight)
    batch = torch.rand(2, 6) if len(before) == 1 else torch.rand(2, 3, 8, 6)
    after = row.output_shape(layer, before)
    expected = after if len(after) == 1 else (after[2], after[0], after[1])
    with torch.no_grad():
        assert module(batch).shape == (2, *expected)
    trained = sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
    assert trained == row.parameters(layer, before)
    stored = dict(module.state_dict())
    for name, shape in row.pretrained_shapes(layer, before).items():
        assert tuple(stored[name].shape) == shape


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_onnx_nodes_are_those_of_the_row(kind: str) -> None:
    layer, before = example(kind)
    module = LAYER_KINDS[kind].module(layer, before, ())
    weights = {f"layer.{name}": value.numpy() for name, value in module.state_dict().items()}
    graph = GraphWriter(weights)
    result = LAYER_KINDS[kind].to_onnx(graph, layer, before, "before")
    assert result == "layer"
    assert set(LAYER_KINDS[kind].operators) & {node.op_type for node in graph.nodes}
    assert {node.op_type for node in graph.nodes} <= set(OPERATORS)
    for node in graph.nodes:  # every attribute that is exported is understood by the explainer
        assert {attribute.name for attribute in node.attribute} <= OPERATORS[node.op_type].attributes


@pytest.mark.parametrize("kind", LAYER_KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_detail_has_the_values_of_the_layer(kind: str, language: str) -> None:
    row = table_row(*example(kind))
    detail = layer_detail(row, language)
    assert detail
    assert "{" not in detail
    assert kind_words(kind, language).name


def test_dropout_rates_are_exact_in_words_and_data() -> None:
    for rate, words in ((0.125, "12.5 %"), (0.004, "0.4 %"), (0.25, "25.0 %")):
        row = table_row(LayerSpec("dropout", "dropout", rate=rate), (8,))
        assert row["rate"] == rate
        assert words in layer_detail(row)


def test_detail_of_a_row_from_elsewhere_is_empty() -> None:
    for row in ({"kind": "dropout"}, {"kind": "scale", "mean": 1, "std": 0}, {"kind": "swish"}, {"kind": 3}):
        assert "{" not in layer_detail(row)


def test_unknown_kind_is_called_by_its_own_name() -> None:
    assert kind_words("swish").name == "swish"


def test_table_is_read_without_torch() -> None:
    code = "import sys; import muslin.learn.layer_kinds, muslin.learn.networks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_activations_follow_the_kind_of_target() -> None:
    heads = {name: LayerSpec("dense", name, filters=2) for name in ("label", "tags")}
    network = Network("tutorial", (8, 8, 1), (), heads, "sigmoid", multilabel=frozenset(["tags"]))
    assert network.activation_layer("tags").kind == "sigmoid"
    assert network.activation_layer("label").kind == "normalised sigmoid"
    assert replace(network, activation="softmax").activation_layer("label").kind == "softmax"


def test_exported_constants_of_a_scale_are_its_own() -> None:
    graph = GraphWriter({})
    layer = LayerSpec("scale", "scale", mean=127.0, std=128.0)
    LAYER_KINDS["scale"].to_onnx(graph, layer, (8, 8, 3), "planes")
    assert {name: float(np.squeeze(value)) for name, value in graph.constants.items()} == {
        "scale.mean": 127.0,
        "scale.std": 128.0,
    }

"""A bundle's second graph passes every check of the first, and each is blamed by its own part."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper
from safetensors.numpy import load, save

from fuzz.valid_models import bundles, sealed, valid_parts
from muslin.errors import BundleError
from muslin.models.bundle import read_bundle, to_bytes
from muslin.models.predictor import Predictor
from muslin.reporting.terminal.model import model_summary

GRAPH, TENSORS = "model.int8.onnx", "int8.safetensors"
Change = Callable[[bytes], bytes]


def parts_with(name: str, change: Change) -> bytes:
    parts = dict(valid_parts("two graphs"))
    return sealed(parts | {name: change(parts[name])})


def refused(content: bytes) -> BundleError:
    with pytest.raises(BundleError) as error:
        read_bundle(io.BytesIO(content))
    return error.value


def external(content: bytes) -> bytes:
    model = onnx.ModelProto.FromString(content)
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


def foreign(content: bytes) -> bytes:
    model = onnx.ModelProto.FromString(content)
    model.opset_import.add(domain="com.microsoft", version=1)
    return model.SerializeToString()


def costly(content: bytes) -> bytes:
    model = onnx.ModelProto.FromString(content)
    model.graph.node.append(helper.make_node("Tile", ["pixels", "many"], ["large"]))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "code"),
    [(external, "graph_field"), (foreign, "graph_domain"), (costly, "graph_operator"),
     (lambda content: b"", "part_empty"), (lambda content: b"xxxxORTM", "graph_format"),
     (lambda content: content[:100], "graph_not_onnx")],
)  # fmt: skip
def test_a_hostile_second_graph_is_refused(change: Change, code: str) -> None:
    error = refused(parts_with(GRAPH, change))
    assert (error.code, error.params["part"]) == (code, GRAPH)


def with_tensor(name: str, values: np.ndarray) -> Change:
    return lambda content: save({**load(content), name: values})


@pytest.mark.parametrize(
    ("change", "code"),
    [(with_tensor("probabilities/label", np.full((3, 3), 2, np.float32)), "tensor_range"),
     (with_tensor("probabilities/label", np.zeros((1, 3), np.float32)), "tensor_shape"),
     (with_tensor("thresholds/label", np.float64([0.5])), "thresholds_range"),
     (with_tensor("thresholds/label", np.float32([0.5])), "tensor_shape"),
     (with_tensor("targets/label/predicted", np.int32([9])), "tensor_shape"),
     (with_tensor("ood_detector/calibration_scores", np.float32([np.nan])), "tensor_range"),
     (with_tensor("other", np.float32([1])), "tensor_unknown"),
     (lambda content: save({"probabilities/size": np.zeros((3, 3), np.float32)}), "tensor_names"),
     (lambda content: b"no tensors", "not_safetensors")],
)  # fmt: skip
def test_wrong_values_beside_the_second_graph_are_refused(change: Change, code: str) -> None:
    error = refused(parts_with(TENSORS, change))
    assert (error.code, error.params["part"]) == (code, TENSORS)


@pytest.mark.parametrize("name", [GRAPH, TENSORS])
def test_a_second_graph_has_both_parts(name: str) -> None:
    parts = dict(valid_parts("two graphs"))
    del parts[name]
    error = refused(sealed(parts))
    assert (error.code, error.params["part"]) == ("part_missing", name)


def test_two_graphs_are_read_as_they_were_sealed() -> None:
    bundle = bundles()["two graphs"]
    again = read_bundle(io.BytesIO(to_bytes(bundle)))
    assert again == bundle
    assert again != bundles()["one target"]
    assert again != replace(bundle, int8=replace(bundle.int8, model=bundle.model))
    assert json.dumps(model_summary(bundle)["int8"]["calibration"])
    assert model_summary(bundles()["one target"])["int8"] is None


def test_a_second_graph_that_predicts_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    from muslin.models import predictor

    bundle = bundles()["two graphs"]
    golden = {name: values[:, ::-1].copy() for name, values in bundle.int8.golden_probabilities.items()}
    wrong = replace(bundle, int8=replace(bundle.int8, golden_probabilities=golden))
    with pytest.raises(BundleError) as error:
        Predictor(wrong, graph="int8")
    assert error.value.code == "golden_mismatch"
    monkeypatch.setattr(predictor, "has_int8_products", lambda: True)
    for given, graph, note in ((wrong, "float32", "graph_mismatch"), (bundle, "int8", "graph_int8")):
        found = Predictor.of(given, 1, "m.muslin")
        assert (found.graph, found.graph_note.code) == (graph, note)

"""Models changed anywhere and sealed again are refused or used; scripts/fuzz tries many more."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_properties import check_bundle
from onnx import ModelProto, helper
from properties import OF_MODELS
from valid_models import bundles, sealed, valid_parts, with_new_golden
from worker import Worker

from muslin.errors import MuslinError
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.graph_cost import check_cost
from muslin.models.predictor import Predictor
from refusals import refuses

EXAMPLES = {"resealed-models": 16, "changed-graphs": 150}


@pytest.mark.parametrize("kind", OF_MODELS)
def test_changed_model_is_refused_or_used_within_limits(kind: str, tmp_path: Path) -> None:
    with Worker() as worker:
        outcome = worker.run("property", tmp_path / "files", name=kind, number=0, examples=EXAMPLES[kind])
    assert outcome.result == "read", outcome.details


@pytest.mark.parametrize("name", sorted(bundles()))
def test_model_that_was_only_sealed_again_passes(name: str, tmp_path: Path) -> None:
    check_bundle(sealed(valid_parts(name)), tmp_path)
    assert Predictor.open(tmp_path / "m.muslin", graph="float32").bundle == bundles()[name]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("provenance.json", lambda json_: json_["test"]["label"].update(accuracy=float("nan"))),
        ("provenance.json", lambda json_: json_.update(seed="7")),
        ("network.json", lambda json_: json_["layers"][0].update(output="x" * 5_000_000)),
        ("network.json", lambda json_: json_.update(layers=[{"name": "a"}] * 300_000)),
        ("manifest.json", lambda json_: json_["targets"][0].update(classes=[str(i) for i in range(200_000)])),
        ("manifest.json", lambda json_: json_["targets"][0].update(classes=["dress", "hat", "\x1b[2J"])),
    ],
)
def test_model_with_unfit_json_is_refused_by_every_command(part: str, change: Any, tmp_path: Path) -> None:
    parts = dict(valid_parts("one target"))
    content = json.loads(parts[part])
    change(content)
    check_bundle(sealed(parts | {part: json.dumps(content).encode()}), tmp_path)
    with pytest.raises(MuslinError):
        Predictor.open(tmp_path / "m.muslin")


# ── Found by scripts/fuzz ────────────────────────────────────────────────────────────────────────────────


def test_layer_of_huge_values_is_not_explained(tmp_path: Path) -> None:
    """The results are probabilities all the same; the explanation ended in a fault of muslin."""
    parts = dict(valid_parts("one target"))
    model = ModelProto.FromString(parts["model.onnx"])
    constant = next(one for one in model.graph.initializer if one.name == "norm.weight")
    constant.raw_data = np.full(4, 1e25, np.float32).tobytes()
    (tmp_path / "m.muslin").write_bytes(sealed(with_new_golden(parts | {"model.onnx": model.SerializeToString()})))
    predictor = Predictor.open(tmp_path / "m.muslin")
    inspection = Inspection(InspectedModel.of(predictor), predictor.bundle.golden_pixels[0], preprocessed=True)
    with refuses("layer_not_finite", name="norm"):
        _ = inspection.trace


def test_graph_of_a_product_without_axes_is_refused() -> None:
    model = ModelProto.FromString(valid_parts("one target")["model.onnx"])
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.input[0] = "high"  # a single number
    with refuses("graph_sizes"):
        check_cost(model, (12, 12, 1), 3)


def test_graph_of_many_layers_predicts_but_is_not_explained(tmp_path: Path) -> None:
    """Each layer is traced some dozen times for an explanation."""
    parts = dict(valid_parts("one target"))
    model = ModelProto.FromString(parts["model.onnx"])
    names = ["planes", *(f"r{i}" for i in range(1_000))]
    nodes = [helper.make_node("Relu", [before], [after]) for before, after in pairwise(names)]
    before = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*before[:2], *nodes, *before[2:]])
    (tmp_path / "m.muslin").write_bytes(sealed(with_new_golden(parts | {"model.onnx": model.SerializeToString()})))
    inspected = InspectedModel.open(tmp_path / "m.muslin")
    with refuses("layers_unavailable"):
        _ = inspected.layered
    assert inspected.error.code == "too_many_layers"
    assert inspected.predictor.predict_pixels(bundles()["one target"].golden_pixels)["label"].shape == (3, 3)

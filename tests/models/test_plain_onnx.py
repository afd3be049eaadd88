"""A plain ONNX file gives the predictor's probabilities in any runtime, and says what it takes and gives."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from command_line import error_object, invoke
from muslin.data.dataset import Target
from muslin.evaluation.selective import fit_calibration_data
from muslin.models.bundle import Bundle, seal
from muslin.models.onnx_check import check_graph
from muslin.models.plain_onnx import labels_text, plain_onnx
from muslin.models.predictor import Predictor
from small_models import SIDE, small_bundle

ARTICLE = Target("article", ("Trouser", "Shirt", "Bag"))
COLOUR = Target("base colour", ("red", "blé", "青"))
TAGS = Target("2 tags", ("red, green", "long"), "multilabel")
PIXELS = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 1), dtype=np.uint8)


def calibrated(bundle: Bundle, *names: str) -> Bundle:
    """`bundle` with calibration data for these targets, whose temperature is not 1."""
    data = {}
    for target in (target for target in bundle.targets if target.name in names):
        rng = np.random.default_rng(1)
        shape = (200, len(target.classes)) if target.kind == "multilabel" else 200
        labels = rng.integers(0, 2 if target.kind == "multilabel" else len(target.classes), shape)
        found = fit_calibration_data(target, labels, rng.dirichlet(np.ones(len(target.classes)), 200).astype("f4"))
        assert found is not None
        assert (found.temperature != 1).all()
        data[target.name] = found
    return replace(bundle, calibration_data=data)


def run(model: onnx.ModelProto, pixels: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(None, {"pixels": pixels}), strict=True))


@pytest.mark.parametrize("names", [(), ("article", "base colour", "2 tags")])
def test_each_output_has_the_calibrated_probabilities(names: tuple[str, ...]) -> None:
    bundle = calibrated(small_bundle(ARTICLE, COLOUR, TAGS), *names)
    expected, outputs = Predictor(bundle).predict_pixels(PIXELS), run(plain_onnx(bundle), PIXELS)
    assert outputs.keys() == {"article", "base_colour", "_2_tags"}
    for name, output in (("article", "article"), ("base colour", "base_colour"), ("2 tags", "_2_tags")):
        np.testing.assert_allclose(outputs[output], expected[name], atol=2e-6)


def test_nodes_with_the_names_of_targets_are_no_fault() -> None:
    """Trained networks name the node that gives a target's probabilities after the target."""
    bundle = calibrated(small_bundle(ARTICLE, TAGS), "article", "2 tags")
    model = onnx.ModelProto.FromString(bundle.model)
    for node in model.graph.node:
        node.name = node.output[0]
    bundle = replace(bundle, model=model.SerializeToString())
    outputs = run(plain_onnx(bundle), PIXELS)
    expected = Predictor(bundle).predict_pixels(PIXELS)
    np.testing.assert_allclose(outputs["article"], expected["article"], atol=2e-6)


def test_certain_labels_are_scaled_as_in_the_predictor() -> None:
    """A float32 probability of 1 or 0 has no log odds of its own."""
    bundle = calibrated(small_bundle(TAGS), TAGS.name)
    model = onnx.ModelProto.FromString(bundle.model)
    for constant in model.graph.initializer:
        if constant.name == f"{TAGS.name}.weight":
            constant.CopyFrom(onnx.numpy_helper.from_array(np.float32([[-300, 300]]), constant.name))
    bundle = replace(bundle, model=model.SerializeToString())
    expected = Predictor(bundle, check=False).predict_pixels(PIXELS)[TAGS.name]
    np.testing.assert_allclose(run(plain_onnx(bundle), PIXELS)["_2_tags"], expected, atol=2e-6)


def test_names_that_become_equal_stay_different() -> None:
    targets = [Target(name, ("a", "b")) for name in ("top size", "top_size", "as_float", "pixels 2")]
    bundle = calibrated(small_bundle(*targets[:2], targets[3]), "top size")
    outputs = run(plain_onnx(bundle), PIXELS)
    assert outputs.keys() == {"top_size_2", "top_size", "pixels_2"}
    expected = Predictor(bundle).predict_pixels(PIXELS)
    np.testing.assert_allclose(outputs["top_size_2"], expected["top size"], atol=2e-6)
    np.testing.assert_allclose(outputs["top_size"], expected["top_size"], atol=2e-6)


def test_an_inner_tensor_makes_room_for_an_output() -> None:
    bundle = small_bundle(Target("as float", ("a", "b")))  # the graph has a tensor as_float
    expected = Predictor(bundle).predict_pixels(PIXELS)["as float"]
    np.testing.assert_allclose(run(plain_onnx(bundle), PIXELS)["as_float"], expected, atol=2e-6)


def test_the_metadata_say_what_goes_in_and_comes_out() -> None:
    bundle = replace(small_bundle(ARTICLE, TAGS), thresholds={TAGS.name: (0.25, 0.75)})
    model = plain_onnx(bundle)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["targets"]) == [
        {"name": "article", "output": "article", "kind": "multiclass", "classes": ["Trouser", "Shirt", "Bag"]},
        {
            "name": "2 tags",
            "output": "_2_tags",
            "kind": "multilabel",
            "classes": ["red, green", "long"],
            "thresholds": [0.25, 0.75],
        },
    ]
    expected = {"input": "pixels", "height": SIDE, "width": SIDE, "channels": 1, "transform": "fit"}
    assert json.loads(metadata["preprocessing"]) == expected
    assert check_graph(model.SerializeToString()) == model


def test_export_writes_the_model_and_its_labels(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seal(small_bundle(ARTICLE), tmp_path / "m.muslin")
    words = ["export", tmp_path / "m.muslin", "--onnx", tmp_path / "m.onnx", "--labels", tmp_path / "labels.txt"]
    result = invoke(capfd, *words, "--json")
    assert result.code == 0, result
    assert result.json == {
        "onnx": str(tmp_path / "m.onnx"),
        "labels": str(tmp_path / "labels.txt"),
        "input": f"pixels: uint8 (count, {SIDE}, {SIDE}, 1)",
        "outputs": ["article: float32 (count, 3)"],
    }
    assert (tmp_path / "labels.txt").read_text() == "Trouser\nShirt\nBag\n"
    onnx.checker.check_model(tmp_path / "m.onnx")
    assert error_object(invoke(capfd, *words, "--json"))["code"] == "output_exists"
    assert invoke(capfd, *words, "--overwrite").code == 0


def test_each_class_has_one_line_of_the_labels() -> None:
    names = ("long\nsleeve", "a\tb", "\u200fقميص", "plain")
    assert labels_text((Target("t", names),)) == "long\\nsleeve\na\\tb\n\u200fقميص\nplain\n"
    assert labels_text((Target("t", names), Target("u", ("x",)))).splitlines()[-2:] == ["t\tplain", "u\tx"]


def test_labels_of_several_targets_name_the_target(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seal(small_bundle(COLOUR, TAGS), tmp_path / "m.muslin")
    files = ["--onnx", tmp_path / "m.onnx", "--labels", tmp_path / "labels.txt"]
    assert invoke(capfd, "export", tmp_path / "m.muslin", *files).code == 0
    lines = (tmp_path / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [
        *("base colour\tred", "base colour\tblé", "base colour\t青"),
        *("2 tags\tred, green", "2 tags\tlong"),
    ]


def test_one_file_for_two_outputs_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seal(small_bundle(), tmp_path / "m.muslin")
    out = tmp_path / "m.onnx"
    result = invoke(capfd, "export", tmp_path / "m.muslin", "--onnx", out, "--labels", out, "--overwrite", "--json")
    assert error_object(result)["code"] == "outputs_equal"
    assert not out.exists()

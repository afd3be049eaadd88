"""Explanations agree with the runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

import muslin
from muslin.data.dataset import Target
from muslin.data.synthetic import make_garments
from muslin.errors import ExplanationError
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import attribute, attribution_layers
from muslin.explain.feature_map_sheets import kernel_sheet
from muslin.explain.inspection import InspectedModel, Inspection, accuracy_before_and_after
from muslin.explain.model_edits import edit_model
from muslin.learn.export import export
from muslin.learn.modules import Net
from muslin.learn.networks import build_network
from muslin.models.bundle import seal
from muslin.models.predictor import Predictor
from muslin.workflows.explain import explain
from small_models import LABEL, SIDE, small_bundle


@pytest.fixture(scope="module", params=["tutorial", "quick"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / request.param
    run = muslin.train(
        make_garments(300, seed=1).dataset, recipe=request.param, out=out, settings={"epochs": 1, "batch_size": 48}
    )
    return run.model


def test_arithmetic_of_500_random_values_equals_the_runtime(model: Path) -> None:
    inspected = InspectedModel.open(model)
    trace = inspected.layered.trace(inspected.bundle.golden_pixels[0])
    numbers = np.random.default_rng(0)
    for _ in range(500):
        layer = inspected.layered.layers[numbers.integers(len(inspected.layered.layers))]
        index = [int(numbers.integers(side)) for side in layer.shape]
        tta_view = "flipped" if numbers.integers(2) else "original"
        result = arithmetic(trace, layer.name, index, tta_view)
        row = min(("original", "flipped").index(tta_view), len(trace.values[layer.name]) - 1)
        runtime = trace.values[layer.name][(row, *index)]
        assert result["sum"] == pytest.approx(runtime, rel=1e-4, abs=1e-4)
        assert result["matches_runtime"]
        for step in result["layer_path"]:
            if step["step_kind"] == "convolution":
                products = sum(
                    v * w
                    for m in arithmetic(trace, step["layer"], step["index"], tta_view, all_terms=True)["layer_path"][
                        -1
                    ]["maps"]
                    for values, weights in zip(m["values"], m["weights"], strict=True)
                    for v, w in zip(values, weights, strict=True)
                    if v is not None
                )
                assert products + (step["bias"] or 0) == pytest.approx(step["runtime_value"], rel=1e-4, abs=1e-4)


def test_cells_and_bias_add_up_to_the_score_at_every_layer(model: Path) -> None:
    inspected = InspectedModel.open(model)
    trace = inspected.layered.trace(inspected.bundle.golden_pixels[1])
    target = inspected.bundle.targets[0]
    scores = trace.values[inspected.layered.scores[target.name]].mean(0)
    assert attribution_layers(inspected.layered, target.name)
    for layer in attribution_layers(inspected.layered, target.name):
        one = attribute(trace, target.name, target.classes[2], layer=layer)
        pair = attribute(trace, target.name, target.classes[2], target.classes[0], layer=layer)
        assert one.is_exact
        assert one.sum == pytest.approx(scores[2], rel=1e-4, abs=1e-4)
        assert pair.sum == pytest.approx(scores[2] - scores[0], rel=1e-4, abs=1e-4)


def test_edited_kernel_predicts_as_an_edited_file(model: Path) -> None:
    inspected = InspectedModel.open(model)
    layer = next(layer for layer in inspected.layered.layers if layer.kernel and layer.parameters)
    values = np.arange(layer.kernel.size[0] * layer.kernel.size[1]).reshape(layer.kernel.size) / 8.0
    edit = {"kind": "kernel", "layer": layer.name, "output": 1, "input": 0, "values": values.tolist()}
    pixels = inspected.bundle.golden_pixels[0]
    inspection = Inspection(inspected, pixels, model_edits=(edit,), preprocessed=True)

    file = onnx.load_from_string(inspected.bundle.model)
    tensor = next(t for t in file.graph.initializer if t.name == f"{layer.name}.weight")
    weights = numpy_helper.to_array(tensor).copy()
    weights[1, 0] = values
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    bundle = replace(inspected.bundle, model=file.SerializeToString())
    predicted = Predictor(bundle, 1, check=False).predict_pixels(pixels[None])

    for name, probabilities in inspection.probabilities.items():
        assert list(probabilities.values()) == predicted[name][0].tolist()
        assert probabilities != replace(inspection, model_edits=()).probabilities[name]


def test_every_edit_that_a_layer_offers_can_be_made(model: Path) -> None:
    inspected = InspectedModel.open(model)
    for layer in inspected.layered.layers:
        for kind in layer.edits:
            edit = {
                "kind": kind,
                "layer": layer.name,
                "output": 0,
                "input": 0,
                "value": 0.5,
                "channel": 0,
                "how": "first",
            }
            if layer.kernel:
                edit["values"] = np.zeros(layer.kernel.size).tolist()
            again = inspected.edited([edit])
            assert [a.shape for a in again.layered.layers if a.name == layer.name] == [layer.shape]


def test_edits_of_one_layer_commute(model: Path) -> None:
    inspected = InspectedModel.open(model)
    layer = next(layer for layer in inspected.layered.layers if layer.kernel and layer.parameters)
    off = [{"kind": "channel_off", "layer": layer.name, "channel": channel} for channel in (0, 1)]
    kernel = {"kind": "kernel", "layer": layer.name, "output": 2, "input": 0}
    kernel["values"] = np.ones(layer.kernel.size).tolist()
    pixels = inspected.bundle.golden_pixels[0]
    first, last = (inspected.edited(edits).predictor.predict_pixels(pixels[None]) for edits in
                   ([kernel, *off], [*off, kernel]))  # fmt: skip
    for name, probabilities in first.items():
        assert probabilities.tolist() == last[name].tolist()


def test_invalid_edits_are_refused_with_their_code(model: Path) -> None:
    inspected = InspectedModel.open(model)
    name = next(layer.name for layer in inspected.layered.layers if layer.kernel and layer.parameters)
    relu = next(layer.name for layer in inspected.layered.layers if layer.kind == "relu")
    size = inspected.layered.layer(name).kernel.size  # type: ignore[union-attr]
    kernel = {"kind": "kernel", "layer": name, "output": 0, "input": 0}
    for edit, code in (
        ({}, "edit_unknown"),
        (7, "edit_unknown"),
        ({"kind": "kernel"}, "layer_unknown"),
        ({"kind": "kernel", "layer": name}, "edit_index"),
        (kernel | {"output": 10**9}, "edit_index"),
        (kernel | {"values": [[1]]}, "edit_kernel_shape"),
        (kernel | {"values": np.full(size, np.nan).tolist()}, "edit_value"),
        ({"kind": "channel_off", "layer": name, "channel": -1}, "edit_index"),
        ({"kind": "bias", "layer": "nowhere"}, "layer_unknown"),
        ({"kind": "kernel", "layer": relu}, "edit_not_supported"),
    ):
        with pytest.raises(ExplanationError) as error:
            inspected.edited([{"kind": "channel_off", "layer": name, "channel": 0}, edit])  # type: ignore[list-item]
        assert error.value.code == code, edit
        assert error.value.params["number"] == 2
    with pytest.raises(ExplanationError) as error:
        inspected.edited([{}] * 1001)
    assert error.value.code == "too_many_edits"


def test_pooling_edits_take_the_mean_or_the_first_value(model: Path) -> None:
    inspected = InspectedModel.open(model)
    layer = next(layer for layer in inspected.layered.layers if layer.op == "MaxPool")
    pixels = inspected.bundle.golden_pixels[0]
    before = inspected.layered.trace(pixels).of(layer.inputs[0])
    height, width = layer.shape[1:]
    windows = before[:, : 2 * height, : 2 * width].reshape(len(before), height, 2, width, 2)
    for how, expected in (("mean", windows.mean((2, 4))), ("first", windows[:, :, 0, :, 0])):
        edited = inspected.edited([{"kind": "pooling", "layer": layer.name, "how": how}])
        pooled = edited.layered.trace(pixels).of(layer.name)
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ExplanationError) as error:
        inspected.edited([{"kind": "pooling", "layer": layer.name, "how": "median"}])
    assert error.value.code == "edit_pooling"


@pytest.mark.parametrize("rate", [0.125, 0.004])
def test_dropout_edit_takes_the_rate_of_the_layer(rate: float) -> None:
    widths = {"widths": (8, 8, 64), "dropout": rate}
    network = build_network("tutorial", (28, 28, 1), [LABEL], **widths)  # type: ignore[arg-type]
    pixels = np.zeros((2, 28, 28, 1), np.uint8)
    bundle = export(Net(network, 0), (LABEL,), transform="fit", golden=pixels, provenance={})
    layered = InspectedModel.of(Predictor(bundle, 1)).layered
    shape = layered.layer("dropout").shape
    edited = edit_model(layered, [{"kind": "dropout", "layer": "dropout"}])
    factors = next(value for name, value in edited.graph.constants.items() if name.endswith("/factors"))
    keep = np.random.default_rng(0).random(shape) >= rate
    np.testing.assert_allclose(factors[0], keep / (1 - rate), rtol=1e-6)
    with pytest.raises(ExplanationError) as error:
        edit_model(layered, [{"kind": "dropout", "layer": "dropout", "rate": 1.0}])
    assert error.value.code == "edit_value"


def test_unknown_names_are_refused_with_their_code(model: Path) -> None:
    inspected = InspectedModel.open(model)
    pixels = inspected.bundle.golden_pixels[0]
    inspection = Inspection(inspected, pixels, preprocessed=True)
    name = inspected.bundle.targets[0].name
    label = inspected.bundle.targets[0].classes[0]
    for refused, code in (
        (lambda: inspection.trace.of("nowhere"), "layer_unknown"),
        (lambda: inspection.attribute("colour", label), "explained_target_unknown"),
        (lambda: inspection.attribute(name, "hat"), "explained_class_unknown"),
        (lambda: inspection.attribute(name, label, layer="nowhere"), "attribution_layer_unknown"),
        (lambda: arithmetic(inspection.trace, name, [99]), "index_out_of_shape"),
        (lambda: replace(inspection, skip=frozenset(["nothing"])).steps, "step_unknown"),
        (lambda: replace(inspection, image_edits={"turn": 1}).pixels, "image_edit_unknown"),
        (lambda: replace(inspection, image_edits={"blur": 51}).pixels, "image_edit_range"),
        (lambda: kernel_sheet(inspected.layered, name), "layer_without_kernels"),
    ):
        with pytest.raises(ExplanationError) as error:
            refused()
        assert error.value.code == code


def test_preprocessing_ends_with_the_input_of_predict(model: Path) -> None:
    inspected = InspectedModel.open(model)
    photo = np.full((90, 60, 3), 250, np.uint8)
    photo[20:70, 15:45] = (200, 30, 60)
    inspection = Inspection(inspected, photo)
    predicted = inspected.predictor.predict([photo])[0].predictions
    for name, prediction in predicted.items():
        assert inspection.probabilities[name] == pytest.approx(dict(prediction.probabilities), abs=1e-6)
    optional = [step.name for step in inspection.steps if step.optional]
    assert optional
    assert set(inspection.effects()) == set(optional)


def test_model_without_feature_maps_still_predicts() -> None:
    inspected = InspectedModel.of(Predictor(small_bundle(LABEL), 1))
    inspection = Inspection(inspected, inspected.bundle.golden_pixels[0], preprocessed=True)
    assert sum(inspection.predictions["label"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ExplanationError) as error:
        inspection.attribute("label", "Shirt")
    assert error.value.code == "attribution_unavailable"


def test_a_changed_threshold_decides_which_class_is_explained(tmp_path: Path) -> None:
    target = Target("label", ("Trouser", "Bag"))
    bundle = replace(small_bundle(target), thresholds={"label": (0.9,)})
    predictor = Predictor(bundle, 1)
    pixels = np.full((SIDE, SIDE, 1), 51, np.uint8)  # with 73 % a Bag
    assert predictor.predict([pixels])[0].predictions["label"].label == "Trouser"
    found = Inspection(InspectedModel.of(predictor), pixels, preprocessed=True).predictions["label"]
    assert (found["label"], found["probability"]) == ("Trouser", pytest.approx(0.27, abs=0.01))
    measured = accuracy_before_and_after(predictor, predictor, pixels[None], target, np.zeros(1, np.int64))
    assert measured["before"]["correct"] == measured["after"]["correct"] == 1
    seal(bundle, tmp_path / "model.muslin")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "gray.png")
    explained = explain(tmp_path / "model.muslin", tmp_path / "gray.png").targets["label"]
    assert (explained.label, explained.versus) == ("Trouser", "Bag")

"""What a person is told about a network is what the runtime does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import muslin
from muslin.data.synthetic import make_garments
from muslin.errors import ExplanationError
from muslin.explain.arithmetic import arithmetic
from muslin.explain.attribution import attribute, attribution_layers
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.predictor import Predictor
from small_models import LABEL, small_bundle


@pytest.fixture(scope="module", params=["tutorial", "quick"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / request.param
    run = muslin.train(
        make_garments(300, seed=1).dataset,
        recipe=request.param,
        out=out,
        settings={"epochs": 1, "batch_size": 48},
    )
    return run.model


def test_the_arithmetic_of_500_random_values_is_the_runtimes(model: Path) -> None:
    inspected = InspectedModel.open(model)
    trace = inspected.layered.trace(inspected.bundle.golden_pixels[0])
    numbers = np.random.default_rng(0)
    for _ in range(500):
        layer = inspected.layered.layers[numbers.integers(len(inspected.layered.layers))]
        index = [int(numbers.integers(side)) for side in layer.shape]
        tta_view = "flipped" if numbers.integers(2) else "original"
        found = arithmetic(trace, layer.name, index, tta_view)
        row = min(("original", "flipped").index(tta_view), len(trace.values[layer.name]) - 1)
        runtime = trace.values[layer.name][(row, *index)]
        assert found["sum"] == pytest.approx(runtime, rel=1e-4, abs=1e-4)
        assert found["agrees"]
        for step in found["chain"]:
            if step["kind"] == "convolution":
                products = sum(
                    v * w
                    for m in arithmetic(trace, step["layer"], step["index"], tta_view, all_terms=True)[
                        "chain"
                    ][-1]["maps"]
                    for values, weights in zip(m["values"], m["weights"], strict=True)
                    for v, w in zip(values, weights, strict=True)
                    if v is not None
                )
                assert products + (step["bias"] or 0) == pytest.approx(step["runtime"], rel=1e-4, abs=1e-4)


def test_evidence_and_bias_add_up_to_the_score_at_every_layer(model: Path) -> None:
    inspected = InspectedModel.open(model)
    trace = inspected.layered.trace(inspected.bundle.golden_pixels[1])
    target = inspected.bundle.targets[0]
    scores = trace.values[inspected.layered.scores[target.name]].mean(0)
    assert attribution_layers(inspected.layered, target.name)
    for layer in attribution_layers(inspected.layered, target.name):
        one = attribute(trace, target.name, target.classes[2], layer=layer)
        pair = attribute(trace, target.name, target.classes[2], target.classes[0], layer=layer)
        assert one.exact
        assert one.sum == pytest.approx(scores[2], rel=1e-4, abs=1e-4)
        assert pair.sum == pytest.approx(scores[2] - scores[0], rel=1e-4, abs=1e-4)


def test_editing_a_kernel_answers_as_the_edited_file_does(model: Path) -> None:
    inspected = InspectedModel.open(model)
    layer = next(layer for layer in inspected.layered.layers if layer.kernel and layer.parameters)
    values = np.arange(layer.kernel.size[0] * layer.kernel.size[1]).reshape(layer.kernel.size) / 8.0
    edit = {"kind": "kernel", "layer": layer.name, "output": 1, "input": 0, "values": values.tolist()}
    pixels = inspected.bundle.golden_pixels[0]
    seen = Inspection(inspected, pixels, model_edits=(edit,), preprocessed=True)

    file = onnx.load_from_string(inspected.bundle.model)
    tensor = next(t for t in file.graph.initializer if t.name == f"{layer.name}.weight")
    weights = numpy_helper.to_array(tensor).copy()
    weights[1, 0] = values
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    bundle = replace(inspected.bundle, model=file.SerializeToString())
    answers = Predictor(bundle, 1, check=False).predict_pixels(pixels[None])

    for name, probabilities in seen.probabilities.items():
        assert list(probabilities.values()) == answers[name][0].tolist()
        assert probabilities != seen.unedited().probabilities[name]


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


def test_edits_of_one_layer_add_up_in_any_order(model: Path) -> None:
    inspected = InspectedModel.open(model)
    layer = next(layer for layer in inspected.layered.layers if layer.kernel and layer.parameters)
    off = [{"kind": "channel_off", "layer": layer.name, "channel": channel} for channel in (0, 1)]
    kernel = {"kind": "kernel", "layer": layer.name, "output": 2, "input": 0}
    kernel["values"] = np.ones(layer.kernel.size).tolist()
    pixels = inspected.bundle.golden_pixels[0]
    first, last = (inspected.edited(edits).predictor.predict_pixels(pixels[None]) for edits in
                   ([kernel, *off], [*off, kernel]))  # fmt: skip
    for name, answer in first.items():
        assert answer.tolist() == last[name].tolist()


def test_an_edit_that_makes_no_sense_is_refused_in_one_line(model: Path) -> None:
    inspected = InspectedModel.open(model)
    name = next(layer.name for layer in inspected.layered.layers if layer.kernel)
    for edit in (
        {}, 7, {"kind": "kernel"}, {"kind": "kernel", "layer": name},
        {"kind": "kernel", "layer": name, "output": 10**9, "input": 0, "values": [[1]]},
        {"kind": "kernel", "layer": name, "output": 0, "input": 0, "values": [[float("nan")]]},
        {"kind": "channel_off", "layer": name, "channel": -1}, {"kind": "bias", "layer": "nowhere"},
    ):  # fmt: skip
        with pytest.raises(ExplanationError) as refused:
            inspected.edited([edit])  # type: ignore[list-item]
        assert "\n" not in str(refused.value)


def test_what_the_network_saw_ends_with_what_predict_gives_it(model: Path) -> None:
    inspected = InspectedModel.open(model)
    photo = np.full((90, 60, 3), 250, np.uint8)
    photo[20:70, 15:45] = (200, 30, 60)
    view = Inspection(inspected, photo)
    predicted = inspected.predictor.predict([photo])[0].predictions
    for name, answer in predicted.items():
        assert view.probabilities[name] == pytest.approx(dict(answer.probabilities), abs=1e-6)
    switchable = [step.name for step in view.steps if step.optional]
    assert switchable
    assert set(view.effects()) == set(switchable)


def test_a_model_without_maps_still_answers_and_says_so() -> None:
    inspected = InspectedModel.of(Predictor(small_bundle(LABEL), 1))
    view = Inspection(inspected, inspected.bundle.golden_pixels[0], preprocessed=True)
    assert sum(view.predictions["label"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    with pytest.raises(ExplanationError) as error:
        view.attribute("label", "Shirt")
    assert error.value.code == "attribution_unavailable"

"""`muslin explain` as a person uses it: one image, its numbers, and a page."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import error_object, invoke, refusal
from muslin.data.synthetic import make_garments
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.messages import Message
from muslin.models.bundle import seal
from muslin.workflows.explain import ExplainOptions, explain
from refusals import refuses
from small_models import convolving_bundle, small_bundle


@pytest.fixture(scope="module", params=["tutorial", "quick"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / request.param
    settings = {"epochs": 1, "batch_size": 48}
    return muslin.train(make_garments(150, seed=1).dataset, recipe=request.param, out=out, settings=settings).model


@pytest.fixture
def shirt(tmp_path: Path) -> Path:
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[8:34, 6:24] = (200, 80, 30)
    Image.fromarray(pixels).save(tmp_path / "shirt.png")
    return tmp_path / "shirt.png"


@pytest.fixture
def curved(tmp_path: Path) -> Path:
    """A model with an operator whose arithmetic is not shown."""
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    seal(
        convolving_bundle(kernels, numbers.integers(0, 256, (3, 20, 20, 1), np.uint8), activation="Erf"),
        tmp_path / "curved.muslin",
    )
    return tmp_path / "curved.muslin"


def test_explanation_has_the_numbers_of_predict_and_adds_up(
    model: Path, shirt: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    explanation = invoke(capfd, "explain", model, shirt, "--json").json
    predicted = invoke(capfd, "predict", model, shirt, "--json").json["predictions"]["label"]
    probabilities = explanation["predictions"]["label"]["probabilities"]
    assert probabilities == pytest.approx(predicted["probabilities"], abs=1e-6)
    one = explanation["explanations"]["label"]
    assert one["class"] == predicted["label"]
    assert [attribution["class"] for attribution in one["attributions"][:2]] == [one["class"]] * 2
    assert one["attributions"][0]["versus"] == one["versus"]
    for attribution in one["attributions"]:
        assert attribution["is_exact"]
        total = np.sum(attribution["cells"]) + attribution["bias"]
        assert total == pytest.approx(attribution["score"], rel=1e-4, abs=1e-4)
    inspection = Inspection(InspectedModel.open(model), shirt)
    classes = inspection.inspected.bundle.targets[0].classes
    raw = inspection.inspected.predictor.infer(inspection.pixels[None]).raw_probabilities["label"][0]
    first = one["score_arithmetic"][0]
    assert first["value"] == pytest.approx(raw[classes.index(one["class"])], abs=1e-6)
    assert all(step["matches_runtime"] for step in (*one["score_arithmetic"], explanation["strongest_value"]))
    assert {"shuffled_weights", "other_class", "deletion", "insertion"} <= set(one["sanity_checks"])
    assert explanation["preprocessing"][0]["shape"] == [40, 30, 3]


def test_another_class_and_a_pair_can_be_explained(
    model: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--class", "shoe", "--versus", "bag"]
    explanation = invoke(capfd, "explain", model, shirt, "--json", *options).json["explanations"]["label"]
    assert (explanation["class"], explanation["versus"]) == ("shoe", "bag")
    result = invoke(capfd, "explain", model, shirt, *options, "-o", tmp_path / "why.html")
    assert result.code == 0
    assert result.out.startswith("shoe ")
    assert str(tmp_path / "why.html") in result.out
    page = (tmp_path / "why.html").read_text()
    assert "shoe rather than bag" in page
    assert "calibration" in page


def test_unknown_names_are_refused_and_nothing_is_written(
    model: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "why.html"
    for words, code, params in (
        (["--class", "shrit"], "explained_class_unknown", {"name": "shrit", "nearest": "shirt"}),
        (["--class", "shirt", "--versus", "shirt"], "versus_unknown", {"name": "shirt", "label": "shirt"}),
        (["--target", "colour"], "explained_target_unknown", {"name": "colour", "choices": ["label"]}),
        (["--layer", "nowhere"], "attribution_layer_unknown", {"name": "nowhere"}),
    ):
        error = error_object(invoke(capfd, "explain", model, shirt, "-o", page, "--json", *words))
        assert error["code"] == code
        assert params.items() <= error["params"].items()
    (tmp_path / "torn.png").write_bytes(shirt.read_bytes()[:60])
    assert "torn.png" in refusal(invoke(capfd, "explain", model, tmp_path / "torn.png", "-o", page))
    assert not page.exists()


def test_unsupported_operator_is_named_and_the_model_predicts(
    curved: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    explanation = explain(curved, shirt)
    (message,) = explanation.unsupported
    assert isinstance(message, Message)
    assert message.code == "arithmetic_unsupported"
    assert message.params["layers"] == ["activated"]
    assert message.params["reason"].params == {"op": "Erf"}
    result = invoke(capfd, "explain", curved, shirt, "-o", tmp_path / "why.html", "--json").json
    assert sum(result["predictions"]["label"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert result["unsupported"] == [str(message)]
    for attribution in result["explanations"]["label"]["attributions"]:
        assert attribution["layer"] not in ("first", "scaled")
    assert "Erf" in (tmp_path / "why.html").read_text()


def test_model_without_feature_maps_has_no_attribution(shirt: Path, tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "mean.muslin")
    one = explain(tmp_path / "mean.muslin", shirt).targets["label"]
    assert one.attributions == ()
    assert isinstance(one.error, Message)
    assert one.error.code == "attribution_unavailable"
    assert one.score_arithmetic
    for options in (ExplainOptions(seed=0), ExplainOptions(versus="Bag", label="Shirt")):
        with refuses("explain_options_unused"):
            explain(tmp_path / "mean.muslin", shirt, options)


def test_names_stay_text_in_the_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = np.random.default_rng(0)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    seal(convolving_bundle(np.ones((2, 1, 3, 3), np.float32), pixels), tmp_path / "<b>m.muslin")
    Image.fromarray(pixels[0, :, :, 0]).save(tmp_path / "<script>alert(1)</script>.png".replace("/", "∕"))
    image = next(tmp_path.glob("*.png"))
    assert invoke(capfd, "explain", tmp_path / "<b>m.muslin", image, "-o", tmp_path / "w.html").code == 0
    page = (tmp_path / "w.html").read_text()
    assert "<script" not in page
    assert "<b>m" not in page
    assert json.dumps("&lt;script&gt;") in json.dumps(page) or "&lt;script&gt;" in page

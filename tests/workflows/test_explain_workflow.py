"""`muslin explain` as a person uses it: one image, its numbers, and a page."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import muslin
from command_line import invoke, refusal
from muslin.data.synthetic import make_garments
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.bundle import seal
from small_models import convolving_bundle, small_bundle


@pytest.fixture(scope="module", params=["tutorial", "quick"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / request.param
    settings = {"epochs": 1, "batch_size": 48}
    return muslin.train(
        make_garments(150, seed=1).dataset, recipe=request.param, out=out, settings=settings
    ).model


@pytest.fixture
def shirt(tmp_path: Path) -> Path:
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels[8:34, 6:24] = (200, 80, 30)
    Image.fromarray(pixels).save(tmp_path / "shirt.png")
    return tmp_path / "shirt.png"


@pytest.fixture
def curved(tmp_path: Path) -> Path:
    """A model with an operation that is not taken apart."""
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    seal(
        convolving_bundle(kernels, numbers.integers(0, 256, (3, 20, 20, 1), np.uint8), activation="Erf"),
        tmp_path / "curved.muslin",
    )
    return tmp_path / "curved.muslin"


def test_the_numbers_are_those_that_predict_gives_and_they_add_up(
    model: Path, shirt: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = invoke(capfd, "explain", model, shirt, "--json").json
    said = invoke(capfd, "predict", model, shirt, "--json").json["predictions"]["label"]
    assert found["predictions"]["label"]["probabilities"] == pytest.approx(said["probabilities"], abs=1e-6)
    one = found["explanations"]["label"]
    assert one["class"] == said["label"]
    assert [e["class"] for e in one["attributions"][:2]] == [one["class"]] * 2
    assert one["attributions"][0]["versus"] == one["versus"]
    for evidence in one["attributions"]:
        assert evidence["exact"]
        assert np.sum(evidence["cells"]) + evidence["bias"] == pytest.approx(
            evidence["score"], rel=1e-4, abs=1e-4
        )
    view = Inspection(InspectedModel.open(model), shirt)
    classes = view.inspected.bundle.targets[0].classes
    raw_probabilities = view.inspected.predictor.infer(view.pixels[None]).raw_probabilities["label"][
        0
    ]  # before it is calibrated
    assert one["score"][0]["value"] == pytest.approx(raw_probabilities[classes.index(one["class"])], abs=1e-6)
    assert all(step["agrees"] for step in (*one["score"], found["value"]))
    assert {"shuffled", "other_class", "deletion", "insertion"} <= set(one["sanity_checks"])
    assert found["steps"][0]["shape"] == [40, 30, 3]


def test_a_wrong_class_and_a_pair_can_be_asked_about(
    model: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = ["--class", "shoe", "--versus", "bag"]
    found = invoke(capfd, "explain", model, shirt, "--json", *asked).json["explanations"]["label"]
    assert (found["class"], found["versus"]) == ("shoe", "bag")
    said = invoke(capfd, "explain", model, shirt, *asked, "-o", tmp_path / "why.html")
    assert said.code == 0
    assert said.out.startswith("shoe ")
    assert "wrote" in said.out
    page = (tmp_path / "why.html").read_text()
    assert "Evidence for shoe rather than bag" in page
    assert "Calibrated on images that it did not learn from" in page


def test_what_makes_no_sense_is_refused_in_one_line_and_nothing_is_written(
    model: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "why.html"
    for words, named in (
        (["--class", "shrit"], "Did you mean shirt?"),
        (["--class", "shirt", "--versus", "shirt"], "to set 'shirt' against"),
        (["--target", "colour"], "no target 'colour'"),
        (["--layer", "nowhere"], "no evidence at 'nowhere'"),
    ):
        assert named in refusal(invoke(capfd, "explain", model, shirt, "-o", page, *words))
    (tmp_path / "torn.png").write_bytes(shirt.read_bytes()[:60])
    assert "torn.png" in refusal(invoke(capfd, "explain", model, tmp_path / "torn.png", "-o", page))
    assert not page.exists()


def test_a_foreign_operation_is_named_and_the_answer_is_there_all_the_same(
    curved: Path, shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = invoke(capfd, "explain", curved, shirt, "-o", tmp_path / "why.html", "--json")
    found = said.json
    assert sum(found["predictions"]["label"]["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert any("Erf is run, but not taken apart" in sentence for sentence in found["unsupported"])
    for evidence in found["explanations"]["label"]["attributions"]:
        assert evidence["layer"] not in ("first", "scaled")
    assert "Erf is run, but not taken apart" in (tmp_path / "why.html").read_text()


def test_a_model_without_any_map_says_why_there_is_no_evidence(
    shirt: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seal(small_bundle(), tmp_path / "mean.muslin")
    found = invoke(capfd, "explain", tmp_path / "mean.muslin", shirt, "--json").json
    one = found["explanations"]["label"]
    assert one["attributions"] == []
    assert "no evidence map" in one["problem"]
    assert one["score"]


def test_names_from_a_catalogue_stay_text_in_the_page(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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

"""`muslin compare` says which of two models is better, and stops the worse one."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from PIL import Image

from command_line import invoke
from muslin.data import read
from muslin.data.dataset import Target
from muslin.errors import BundleError, DataError
from muslin.models.bundle import Bundle, open_bundle, seal
from muslin.models.graph_variant import GraphVariant
from muslin.models.predictor import Predictor
from muslin.workflows.compare import CompareOptions, compare
from noted_decoding import noted_decoding
from small_models import LABEL, brightness_model, having_seen, small_bundle, with_model


def blind(bundle: Bundle) -> Bundle:
    """The same with equal probabilities, so that it predicts the first class for every image."""
    model = brightness_model()
    for number in model.graph.initializer:
        if number.name == "label.weight":
            number.CopyFrom(numpy_helper.from_array(np.zeros((1, 3), np.float32), number.name))
    thirds = np.full_like(bundle.golden_probabilities["label"], 1 / 3)
    return replace(with_model(bundle, model), golden_probabilities={"label": thirds})


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models and 60 photos: `good` is correct on 40 white bags and 20 black trousers, `blind` on trousers only."""
    good = having_seen(small_bundle(), small_bundle().golden_pixels)
    seal(good, tmp_path / "good.muslin")
    seal(blind(good), tmp_path / "blind.muslin")
    for name, count, brightness in (("Bag", 40, 255), ("Trouser", 20, 0)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            image = np.full((8, 8), brightness, np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{i:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("graph", "correct"), [("float32", 60), ("int8", 20)])
def test_graph_of_both_models_can_be_chosen(job: Path, graph: str, correct: int) -> None:
    good = open_bundle("good.muslin")
    other = blind(good)
    seal(replace(good, int8=GraphVariant(other.model, other.golden_probabilities)), job / "two.muslin")
    compared = compare("two.muslin", "two.muslin", "photos", CompareOptions(graph=graph))
    assert compared.comparisons["label"].overall.both_correct == correct
    with pytest.raises(BundleError) as error:
        compare("two.muslin", "good.muslin", "photos", CompareOptions(graph="int8"))
    assert error.value.code == "graph_missing"


def test_better_model_is_named_with_its_interval(job: Path, capfd: Any) -> None:
    result = invoke(capfd, "compare", "blind.muslin", "good.muslin", "photos", "-o", "sheet.png")
    assert result.code == 0, result
    assert "better by 66.7 points" in result.out
    assert "p < 0.001" in result.out
    bag = next(line for line in result.out.splitlines() if line.startswith("Bag"))
    assert bag.split()[:4] == ["Bag", "40", "0.0", "100.0"]
    assert bag.split()[-1] == "second"
    with Image.open(io.BytesIO((job / "sheet.png").read_bytes())) as sheet:
        assert sheet.width > 500


@pytest.mark.parametrize("network", [None, "efficientnet-lite0"])
def test_second_comparison_decodes_nothing(job: Path, monkeypatch: pytest.MonkeyPatch, network: str | None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(job / "cache"))
    (job / "photos/Bag/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in ("good", "blind") if network else ():
        bundle = open_bundle(job / f"{name}.muslin")
        seal(replace(bundle, network={**bundle.network, "name": network}), job / f"{name}.muslin")
    plain = [Predictor.open(f"{name}.muslin").predict_pixels for name in ("blind", "good")]
    first = compare("blind.muslin", "good.muslin", "photos")
    pixels = np.stack([first.dataset.images[i] for i in range(60)])
    for predict, found in zip(plain, first.predictions["label"], strict=True):
        np.testing.assert_array_equal(predict(pixels)["label"].argmax(axis=1), found)
    names = noted_decoding(monkeypatch)
    again = compare("blind.muslin", "good.muslin", "photos")
    assert set(names) <= {"broken.png"}
    assert again.to_dict() == first.to_dict()
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(job / "photos/Bag/00.png")
    compare("blind.muslin", "good.muslin", "photos")
    assert set(names) == {"broken.png", "00.png"}


def test_fail_if_worse_than_stops_the_worse_model(job: Path, capfd: Any) -> None:
    words = ["photos", "--fail-if-worse-than", "0.01"]
    assert invoke(capfd, "compare", "blind.muslin", "good.muslin", *words).code == 0
    assert invoke(capfd, "compare", "good.muslin", "good.muslin", *words).code == 0
    result = invoke(capfd, "compare", "good.muslin", "blind.muslin", *words)
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("muslin: ")
    assert "blind.muslin" in result.err
    assert "66.7" in result.err
    assert invoke(capfd, "compare", "good.muslin", "blind.muslin", "photos").code == 0


def test_json_has_counts_and_image_names(job: Path, capfd: Any) -> None:
    result = invoke(capfd, "compare", "blind.muslin", "good.muslin", "photos", "--json")
    target = result.json["targets"]["label"]
    assert target["overall"]["only_b_correct"] == 40
    assert target["overall"]["p_value"] == pytest.approx(2 / 2**40)
    assert len(target["images_only_b_correct"]) == 40
    assert target["images_only_b_correct"][0] == "Bag/00.png"


def test_classes_are_matched_by_name(job: Path, capfd: Any) -> None:
    seal(small_bundle(Target("label", tuple(reversed(LABEL.classes)))), job / "reversed.muslin")
    result = invoke(capfd, "compare", "good.muslin", "reversed.muslin", "photos", "--json")
    overall = result.json["targets"]["label"]["overall"]
    # With reversed classes the model predicts Trouser for white images and Bag for black ones
    assert (overall["both_correct"], overall["neither_correct"]) == (0, 0)
    assert (overall["only_a_correct"], overall["only_b_correct"]) == (60, 0)


def test_models_without_a_common_target_are_refused(job: Path) -> None:
    seal(small_bundle(Target("colour", ("red", "blue"))), job / "other.muslin")
    with pytest.raises(DataError) as error:
        compare("good.muslin", "other.muslin", "photos")
    assert error.value.code == "no_common_target"


def test_data_without_labels_are_refused(job: Path) -> None:
    with pytest.raises(DataError) as error:
        compare("good.muslin", "blind.muslin", replace(read("photos"), targets=(), labels={}))
    assert error.value.code == "no_targets"


def test_gate_refuses_a_model_that_hides_what_it_was_trained_on(job: Path, capfd: Any) -> None:
    seal(small_bundle(), job / "old.muslin")
    assert invoke(capfd, "compare", "good.muslin", "old.muslin", "photos").code == 0
    for pair in (("good.muslin", "old.muslin"), ("old.muslin", "good.muslin")):
        result = invoke(capfd, "compare", *pair, "photos", "--fail-if-worse-than", "0.5", "--json")
        assert result.code == 1
        assert (result.json["error"]["code"], result.json["error"]["params"]["path"]) == (
            "seen_images_missing",
            "old.muslin",
        )


@pytest.mark.parametrize("split", ["test", "all"])
def test_gate_judges_on_images_that_neither_model_has_seen(job: Path, capfd: Any, split: str) -> None:
    white, black = np.full((1, 8, 8, 1), 255, np.uint8), np.zeros((1, 8, 8, 1), np.uint8)
    seal(having_seen(small_bundle(), white), job / "a.muslin")
    seal(having_seen(small_bundle(), small_bundle().golden_pixels, black), job / "b.muslin")
    seal(having_seen(blind(small_bundle()), white), job / "blind.muslin")
    gate = ["photos", "--fail-if-worse-than", "0.01", "--split", split, "--json"]
    passed = invoke(capfd, "compare", "a.muslin", "blind.muslin", *gate)
    assert (passed.code, passed.json["targets"]["label"]["overall"]["n"]) == (0, 20)
    assert passed.json["seen_images"]["b"] == {"n": 60, "train": 40, "validation": 0, "set_aside": True}
    refused = invoke(capfd, "compare", "a.muslin", "b.muslin", *gate)
    assert (refused.code, refused.json["error"]["code"]) == (1, "no_common_image")
    seal(having_seen(small_bundle(), np.concatenate([white, black])), job / "memorised.muslin")
    memorised = invoke(capfd, "compare", "a.muslin", "memorised.muslin", *gate)
    assert (memorised.code, memorised.json["error"]["code"]) == (1, "all_images_seen")


def test_seen_images_are_compared_only_on_purpose(job: Path, capfd: Any) -> None:
    white = np.full((1, 8, 8, 1), 255, np.uint8)
    seal(having_seen(small_bundle(), white), job / "a.muslin")
    words = ["compare", "a.muslin", "blind.muslin", "photos", "--json"]
    by_default, on_purpose = invoke(capfd, *words), invoke(capfd, *words, "--split", "all")
    assert by_default.json["targets"]["label"]["overall"]["n"] == 20
    assert on_purpose.json["targets"]["label"]["overall"]["n"] == 60
    assert [fix["code"] for fix in by_default.json["fixes"]][:1] == ["seen_images_set_aside"]
    assert [fix["code"] for fix in on_purpose.json["fixes"]][:1] == ["evaluated_on_seen_images"]

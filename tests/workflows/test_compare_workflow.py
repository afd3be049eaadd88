"""`muslin compare`: which of two models is better, and a gate for the worse one."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper
from PIL import Image

from command_line import invoke, refusal
from muslin.data.dataset import Target
from muslin.models.bundle import Bundle, seal
from small_models import LABEL, brightness_model, small_bundle, with_model


def blind(bundle: Bundle) -> Bundle:
    """The same, but the first class for every image."""
    model = brightness_model()
    for number in model.graph.initializer:
        if number.name == "label.weight":
            number.CopyFrom(numpy_helper.from_array(np.zeros((1, 3), np.float32), number.name))
    thirds = np.full_like(bundle.golden_probabilities["label"], 1 / 3)
    return replace(with_model(bundle, model), golden_probabilities={"label": thirds})


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models and 60 photos: 40 white bags, which only the first knows, and 20 black trousers, which both do."""
    seal(small_bundle(), tmp_path / "good.muslin")
    seal(blind(small_bundle()), tmp_path / "blind.muslin")
    for name, count, brightness in (("Bag", 40, 255), ("Trouser", 20, 0)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            image = np.full((8, 8), brightness, np.uint8)
            Image.fromarray(image).save(tmp_path / "photos" / name / f"{i:02}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_better_model_is_named_with_its_interval_and_chance(job: Path, capfd: Any) -> None:
    said = invoke(capfd, "compare", "blind.muslin", "good.muslin", "photos", "-o", "sheet.png")
    assert said.code == 0, said
    assert "only the first on 0, only the second on 40, neither on 0" in said.out
    assert "the second is better by 66.7 points" in said.out
    assert "that much by chance: p < 0.001" in said.out
    bag = next(line for line in said.out.splitlines() if line.startswith("Bag"))
    assert bag.split()[:4] == ["Bag", "40", "0.0", "100.0"]
    assert bag.split()[-1] == "second"
    with Image.open(io.BytesIO((job / "sheet.png").read_bytes())) as sheet:
        assert sheet.width > 500


def test_a_gate_lets_the_better_one_through_and_stops_the_worse_one(job: Path, capfd: Any) -> None:
    words = ["photos", "--fail-if-worse-than", "0.01"]
    assert invoke(capfd, "compare", "blind.muslin", "good.muslin", *words).code == 0
    assert invoke(capfd, "compare", "good.muslin", "good.muslin", *words).code == 0
    said = invoke(capfd, "compare", "good.muslin", "blind.muslin", *words)
    assert said.code == 1
    assert "muslin: label: blind.muslin is worse by 66.7 points" in said.err
    assert invoke(capfd, "compare", "good.muslin", "blind.muslin", "photos").code == 0


def test_json_has_the_counts_and_the_images_by_name(job: Path, capfd: Any) -> None:
    said = invoke(capfd, "compare", "blind.muslin", "good.muslin", "photos", "--json")
    found = said.json["targets"]["label"]
    assert (found["overall"]["only_b"], found["overall"]["p_value"]) == (40, pytest.approx(2 / 2**40))
    assert len(found["only_b_right"]) == 40
    assert found["only_b_right"][0] == "Bag/00.png"


def test_classes_are_matched_by_name_not_by_place(job: Path, capfd: Any) -> None:
    seal(small_bundle(Target("label", tuple(reversed(LABEL.classes)))), job / "turned.muslin")
    said = invoke(capfd, "compare", "good.muslin", "turned.muslin", "photos", "--json")
    overall = said.json["targets"]["label"]["overall"]
    # Turned, the model calls white images Trouser and black ones Bag.
    assert (overall["both"], overall["only_a"], overall["only_b"], overall["neither"]) == (0, 60, 0, 0)


def test_models_with_no_question_in_common_are_refused(job: Path, capfd: Any) -> None:
    seal(small_bundle(Target("colour", ("red", "blue"))), job / "other.muslin")
    assert "no target in common" in refusal(invoke(capfd, "compare", "good.muslin", "other.muslin", "photos"))

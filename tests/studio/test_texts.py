"""What muslin.explain says is said on the studio's pages in their own language."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from muslin.errors import RecipeError
from muslin.explain import preprocessing_steps
from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.predictor import Predictor
from small_models import convolving_bundle, small_bundle

STATIC = Path(__file__).parents[2] / "src/muslin/studio/static"


def known(sentence: str) -> bool:
    code = (STATIC / "sentences.js").read_text()
    patterns = re.findall(r"^  \[\"\w+\", /(.+)/, \[", code, re.M)
    assert len(patterns) > 5
    return any(re.search(pattern, sentence) for pattern in patterns)


@pytest.fixture(scope="module")
def curved() -> InspectedModel:
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    return InspectedModel.of(Predictor(convolving_bundle(kernels, pixels, activation="Erf"), 1))


def test_every_step_and_kind_of_layer_has_its_word(curved: InspectedModel) -> None:
    texts = json.loads((STATIC / "texts/zh.json").read_text())
    for name in preprocessing_steps.WORDS:
        assert re.search(r"[\u4e00-\u9fff]", texts[f"step.{name}"] + texts[f"stepText.{name}"])
    assert [layer.kind for layer in curved.layered.layers if f"kind.{layer.kind}" not in texts] == ["erf"]


def test_sentences_on_what_cannot_be_shown_are_known_to_the_pages(curved: InspectedModel) -> None:
    sentences = [
        *curved.layered.unsupported,
        *(layer.unsupported for layer in curved.layered.layers if layer.unsupported),
    ]
    assert len(sentences) >= 2
    plain = InspectedModel.of(Predictor(small_bundle(), 1))
    with pytest.raises(RecipeError) as refused:
        Inspection(plain, plain.bundle.golden_pixels[0], ready=True).attribute("label", "Shirt")
    for sentence in (*sentences, str(refused.value)):
        assert known(sentence), sentence


@pytest.mark.parametrize("activation", ["Relu", "Sigmoid"])
def test_why_a_map_is_exact_or_not_is_known_to_the_pages(activation: str) -> None:
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    inspected = InspectedModel.of(Predictor(convolving_bundle(kernels, pixels, activation=activation), 1))
    view = Inspection(inspected, pixels[0], ready=True)
    found = view.attribute("label", "Shirt", layer="first")
    assert found.exact == (activation == "Relu")
    assert known(found.why)

"""What the explainer writes has its words in every language of the studio."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from muslin.explain.inspection import InspectedModel, Inspection
from muslin.explain.preprocessing_steps import STEPS
from muslin.messages import LANGUAGES, Message, table
from muslin.models.predictor import Predictor
from small_models import convolving_bundle

STATIC = Path(__file__).parents[2] / "src/muslin/studio/static"


def inspection(activation: str) -> Inspection:
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    inspected = InspectedModel.of(Predictor(convolving_bundle(kernels, pixels, activation=activation), 1))
    return Inspection(inspected, pixels[0], preprocessed=True)


def test_the_texts_of_each_room_have_the_same_keys() -> None:
    tables = [
        {path.name: json.loads(path.read_text()) for path in (STATIC / "texts" / language).iterdir()}
        for language in LANGUAGES
    ]
    assert [{name: table.keys() for name, table in tables[0].items()}] == [
        {name: table.keys() for name, table in tables[1].items()}
    ]


@pytest.mark.parametrize("codes", STEPS.values(), ids=STEPS)
def test_every_preprocessing_step_has_words_in_chinese(codes: tuple[str, str]) -> None:
    for code in codes:
        assert re.search(r"[\u4e00-\u9fff]", table("zh")[code]["message"])


def test_every_layer_has_a_name_in_every_language() -> None:
    for layer in inspection("Erf").model.layered.layers:
        assert set(layer.kind_names) == set(LANGUAGES)
        assert all(layer.kind_names.values())


def test_reasons_are_messages_that_can_be_translated() -> None:
    found = inspection("Erf").model.layered
    assert [message.code for message in found.unsupported] == ["arithmetic_unsupported"]
    assert all(isinstance(layer.unsupported, Message | None) for layer in found.layers)
    for activation, code in (("Relu", "attribution_exact"), ("Sigmoid", "attribution_curved")):
        attribution = inspection(activation).attribute("label", "Shirt", layer="first")
        assert attribution.is_exact == (activation == "Relu")
        assert attribution.reason.code == code
        assert attribution.reason.text("zh") != attribution.reason.text("en")

"""The texts and the styles of the pages: in every language what a page asks for, and nothing that no page uses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from muslin.explain.inspection import InspectedModel, Inspection
from muslin.explain.preprocessing_steps import STEPS
from muslin.messages import LANGUAGES, Message, table
from muslin.models.predictor import Predictor
from muslin.web.page_files import SHARED, page_texts
from small_models import convolving_bundle

SOURCE = Path(__file__).parents[2] / "src/muslin"
STATIC = SOURCE / "studio/static"
PAGE = (SHARED, STATIC)
TEXTS = page_texts(PAGE, "en")
SCRIPTS = "".join(p.read_text() for folder in PAGE for p in folder.rglob("*.js") if "vendor" not in p.parts)
SOURCES = SCRIPTS + "".join(path.read_text() for suffix in ("py", "toml") for path in SOURCE.rglob(f"*.{suffix}"))


def inspection(activation: str) -> Inspection:
    numbers = np.random.default_rng(0)
    kernels = numbers.normal(size=(2, 1, 3, 3)).astype(np.float32)
    pixels = numbers.integers(0, 256, (3, 20, 20, 1), np.uint8)
    inspected = InspectedModel.of(Predictor(convolving_bundle(kernels, pixels, activation=activation), 1))
    return Inspection(inspected, pixels[0], preprocessed=True)


def test_the_texts_of_each_room_fill_the_same_gaps() -> None:
    tables = [
        {
            path.name: {key: set(re.findall(r"\{\w+\}", text)) for key, text in json.loads(path.read_text()).items()}
            for folder in PAGE
            for path in (folder / "texts" / language).iterdir()
        }
        for language in LANGUAGES
    ]
    assert tables[0] == tables[1]


def test_one_thing_has_one_name_in_chinese() -> None:
    """The other words for an image, a computer, you, a score, a recipe, out of scope, to review, and the studio."""
    others = "图像(?!分类)|计算机|您|分数(?!据)|方案|范围外|复核|studio 无法"
    paths = [path for folder in PAGE for path in (folder / "texts/zh").iterdir()]
    texts = [text for path in paths for text in json.loads(path.read_text()).values()]
    rows = [row["message"] + row.get("hint", "") for row in table("zh").values()]
    assert [text for text in texts + rows if re.search(others, text)] == []


def test_every_text_is_used_by_a_page() -> None:
    whole, templates = asked_texts()

    words = set(re.findall(r"[\w-]+", SOURCES))

    def is_named(part: str) -> bool:
        return part in words or part.replace("_", " ") in SOURCES

    def is_used(key: str) -> bool:
        found = [template.fullmatch(key) for template in templates]
        return key in whole or any(all(map(is_named, match.groups())) for match in found if match)

    assert [key for key in TEXTS if not is_used(key.removesuffix(".one"))] == []


def test_every_text_that_a_page_asks_for_is_there() -> None:
    asked = set(re.findall(r"""\btn?\(["']([^"']+)["']""", SCRIPTS))
    assert len(asked) > 300
    assert sorted(asked - TEXTS.keys()) == []


def test_every_style_is_used_by_a_page() -> None:
    rules = "".join(path.read_text() for folder in PAGE for path in folder.rglob("*.css"))
    selectors = re.findall(r"[^{}]+(?=\{)", re.sub(r"/\*.*?\*/", "", rules, flags=re.DOTALL))
    names = {name for selector in selectors for name in re.findall(r"\.([a-zA-Z][\w-]*)", selector)}
    words = set(re.findall(r"[\w-]+", SCRIPTS + (STATIC / "index.html").read_text()))
    starts = tuple(re.findall(r"([a-z-]+)\$\{", SCRIPTS))
    assert len(names) > 200
    assert sorted(name for name in names - words if not name.startswith(starts)) == []


def asked_texts() -> tuple[set[str], list[re.Pattern[str]]]:
    """What the scripts name: whole keys, and keys with a part that is only known when the page is open."""
    whole = set(re.findall(r"""["'`]([\w.]+)["'`]""", SCRIPTS))
    found = {re.sub(r"\$\{[^{}]*\}", "{}", text) for text in re.findall(r"`((?:[\w.]|\$\{[^{}`]*\})+)`", SCRIPTS)}
    named = (text for text in found if "{}" in text and text.replace("{}", "").strip("."))
    return whole, [re.compile(re.escape(text).replace(r"\{\}", "(.+)")) for text in named]


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

"""The studio's rooms on a phone, in Chinese, with sixty classes whose names are long or written from right to left."""

from pathlib import Path

import pytest
from chromium import Page
from page_actions import serious_problems, until
from PIL import Image

import muslin
from muslin.data.synthetic import make_garments

NAMES = (
    "قميص رجالي طويل الأكمام مع أزرار",
    "Damen-Übergangsjacke-mit-abnehmbarer-Kapuze-und-Reißverschlusstaschen",
    *(f"Women's long-sleeved garment number {n:02d}" for n in range(58)),
)
IMAGES = 180
SETTINGS = {"epochs": 1, "batch_size": 60, "folds": 0, "image_size": 28}
MODEL = "runs/first/model.muslin"
ROOMS = {
    "data": ("page=data&data=photos", ".labelpanel .classes button kbd"),
    "training": ("page=training&run=runs/first", ".kernelsheet"),
    "mistakes": (f"page=mistakes&run=runs/first&model={MODEL}", ".confusion tbody td"),
    "slices": ("page=mistakes&run=runs/first&mistakes=slices", ".mistakesview p + p, .mistakesview table"),
    "inside": (f"page=model&model={MODEL}&image=golden:0&tab=network", ".bars a"),
    "classes": (f"page=walk&model={MODEL}&stage=classes", "main h1, main h2"),
    "tagging": (f"page=tagging&data=photos&model={MODEL}", "button.main"),
}
RAW = r"(document.body.innerText.match(/\{\w+\}|(^|\s)--[a-z]+|undefined|NaN/) || [])[0]"
OUTSIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
LONGEST_NAME = "Math.max(...[...document.querySelectorAll('.confusion tbody th')].map(e => e.offsetWidth))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    images = make_garments(IMAGES, seed=3).dataset.images
    for number in range(IMAGES):
        place = folder / "photos" / NAMES[number % len(NAMES)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number][:, :, 0]).save(place / f"{number}.png")
    muslin.train(folder / "photos", recipe="quick", out=folder / "runs/first", settings=SETTINGS, snapshots=True)
    return folder


@pytest.mark.parametrize("room", ROOMS)
def test_many_long_names_fit_a_phone(browser: Page, address: str, room: str) -> None:
    where, wanted = ROOMS[room]
    browser.resize(390, 844, phone=True)
    browser.prefer("dark")
    browser.visit(f"{address}/#{where}&lang=zh")
    until(browser, f"document.querySelector({wanted!r})", 120)
    if room != "mistakes":  # axe would look at 3,600 cells; test_mistakes_in_browser.py looks at a smaller matrix
        assert serious_problems(browser) == []
    assert not browser.run(OUTSIDE)
    assert browser.run(RAW) is None
    if room == "data":
        assert browser.run(f"Math.max(...[...document.querySelectorAll({wanted!r})].map(e => e.offsetHeight))") < 30
    if room == "mistakes":
        assert browser.run(LONGEST_NAME) < 160  # so that cells are beside it


def test_a_sentence_keeps_its_order_around_arabic(browser: Page, address: str) -> None:
    browser.visit(f"{address}/#page=home&lang=en")
    until(browser, "document.querySelector('main h1')")
    texts = "import('/static/texts.js').then(({ t, percent }) => [t('whyThis', { class: NAME }), percent(0.5)])"
    arabic = NAMES[0]
    assert browser.run(texts.replace("NAME", repr(arabic))) == [f"Why \u2068{arabic}\u2069?", "50.0\u00a0%"]

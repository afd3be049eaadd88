"""A real run's report in a real browser, without a network: on a desk, on a phone, in the dark and on paper."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium import Page

import muslin
from command_line import FinishedRun
from muslin.data.dataset import Target
from muslin.data.synthetic import SyntheticDataset
from muslin.evaluation.binary import operating_point
from muslin.reporting.report.report import write_report
from reporting.synthetic_evaluations import report

SEEN = """
element => {
  element.scrollIntoView({block: 'center'});
  const box = element.getBoundingClientRect();
  return element.checkVisibility({opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true})
    && box.width > 1 && box.height > 1 && box.right > 0 && box.left < innerWidth;
}
"""


@pytest.fixture
def page(browser: Page, sliced_run: FinishedRun) -> Page:
    """The report on a desk's screen, by daylight."""
    browser.said.clear()
    browser.asked_for.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.open(sliced_run.folder / "report.html")
    return browser


def seen(page: Page, selector: str) -> int:
    """How many elements fit `selector`, each of which a reader can see.

    Raises:
        AssertionError: one of them is hidden, empty or beside the page.
    """
    shown = page.run(f"[...document.querySelectorAll({selector!r})].map({SEEN})")
    assert all(shown), (selector, shown)
    return len(shown)


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({selector!r}).innerText"))


def test_the_report_opens_without_a_network_and_without_a_complaint(page: Page) -> None:
    assert page.said == []
    assert page.asked_for[0].startswith("file://")
    assert all(address.startswith("data:image/png;base64,") for address in page.asked_for[1:])
    assert page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.run("document.scripts.length") == 0


def test_the_browser_would_have_said_so(browser: Page, tmp_path: Path) -> None:
    """That the lists of complaints and addresses do fill, for a page that deserves it."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.org/x.png'><script>console.warn('w'); nothing.at.all</script>")
    browser.said.clear()
    browser.asked_for.clear()
    browser.open(bad)
    assert any("console.warning" in words for words in browser.said)
    assert any("nothing is not defined" in words for words in browser.said)
    assert any("ERR_INTERNET_DISCONNECTED" in words for words in browser.said)
    assert "http://example.org/x.png" in browser.asked_for


def test_the_data_are_shown_with_counts_and_samples(page: Page, sliced_run: FinishedRun) -> None:
    data = text(page, "#data")
    assert "3,000 images in 10 classes" in data
    assert seen(page, "#data .drawing") == 1
    assert seen(page, "#data h4") == 10
    assert seen(page, "#data .classes .mean img") == 10
    assert seen(page, "#data .classes .row > img") >= 30
    assert "Ankle boot" in data


def test_the_network_is_drawn_with_shape_and_parameters_of_each_layer(
    page: Page, sliced_run: FinishedRun
) -> None:
    assert seen(page, "#network .drawing") == 1
    drawn = str(page.run("document.querySelector('#network svg').textContent"))
    network = muslin.open(sliced_run.folder).bundle.network
    assert len(network["layers"]) > 8
    for layer in network["layers"]:
        assert layer["name"] in drawn
        assert "×".join(map(str, layer["output"])) in drawn
        if layer["parameters"]:
            assert f"{layer['parameters']:,}" in drawn
    assert f"{network['parameters']:,}" in text(page, ".key")


def test_both_learning_curves_show_training_and_validation(page: Page, sliced_run: FinishedRun) -> None:
    assert seen(page, "#learning .drawing") == 2
    end = muslin.Run(sliced_run.folder).history[-1]
    lasts = (f"{end['validation_loss']:.3f}", f"{100 * end['validation_accuracy']:.1f}")
    for drawing, last in enumerate(lasts):
        words = page.run(f"document.querySelectorAll('#learning svg')[{drawing}].textContent")
        assert "train" in words
        assert f"validation{last}" in words, "each curve's name and last value stand at its end"
    assert (
        page.run("[...document.querySelectorAll('#learning svg path, #learning svg polyline')].length") >= 4
    )


def test_the_figures_stand_with_their_intervals(page: Page, sliced_run: FinishedRun) -> None:
    test = sliced_run.result.json["test"]
    headline = text(page, "header")
    assert f"{100 * test['accuracy']:.1f} %" in headline.replace("\u00a0", " ")
    low, high = (f"{100 * end:.1f}" for end in test["interval"])
    assert f"expect {low} to {high} % (95 % interval)" in headline.replace("\u00a0", " ")
    assert seen(page, "#figures table.figures tbody tr") == 12, "ten classes and two means"
    rows = page.run("[...document.querySelectorAll('#figures tbody:first-of-type tr')].map(r => r.innerText)")
    assert all(re.search(r"\d+\.\d.%.*\d+\.\d to \d+\.\d", row) for row in rows), rows


def test_the_confusion_matrix_is_a_heat_map(page: Page) -> None:
    box = '[aria-label="Confusion matrix"]'
    assert seen(page, f"{box} .drawing") == 1
    fills = page.run(
        f"[...document.querySelectorAll('{box} rect')].map(getComputedStyle).map(s => s.fill + s.fillOpacity)"
    )
    assert len(fills) >= 100
    assert len(set(fills)) > 10, "as many shades as there are shares"


def test_right_and_wrong_predictions_differ_by_more_than_colour(page: Page) -> None:
    shown = seen(page, "#predictions .judged")
    right, wrong = seen(page, "#predictions .judged.right"), seen(page, "#predictions .judged.wrong")
    assert right + wrong == shown >= 20
    assert right > 0
    assert wrong > 0
    look = "e => [getComputedStyle(e.querySelector('img')).borderStyle, e.querySelector('.mark').innerText]"
    kinds = {
        kind: page.run(f"[...document.querySelectorAll('#predictions .judged.{kind}')].map({look})")
        for kind in ("right", "wrong")
    }
    assert all(kind == ["solid", "✓"] for kind in kinds["right"])
    assert all(kind == ["dashed", "✗"] for kind in kinds["wrong"])
    captions = page.run(
        "[...document.querySelectorAll('#predictions .wrong figcaption')].map(c => c.innerText)"
    )
    assert all("is " in caption for caption in captions), "what it is stands under what it was taken for"


def test_the_most_confused_pairs_come_with_examples(page: Page) -> None:
    pairs = page.run("[...document.querySelectorAll('#confused h3')].map(h => h.innerText)")
    assert len(pairs) >= 3
    assert all(re.search(r".+ taken for .+: \d+ times?, ", pair) for pair in pairs)
    assert any(
        {"Shirt", "T-shirt/top", "Pullover", "Coat"} & set(re.split(" taken for |:", p)) for p in pairs
    )
    assert seen(page, "#confused .trio img") >= 3 * len(pairs)


def test_the_surest_mistakes_are_named(page: Page) -> None:
    assert seen(page, "#mistakes .judged.wrong") >= 10
    captions = page.run("[...document.querySelectorAll('#mistakes figcaption')].map(c => c.innerText)")
    assert all(re.search(r"\d+.%(.|\n)*is .+\n.*test/\d+", caption) for caption in captions), captions[:3]


def test_how_it_was_made_can_be_read_and_repeated(page: Page, sliced_run: FinishedRun) -> None:
    made = text(page, "#made")
    record = muslin.Run(sliced_run.folder).record
    assert record["command"] in made
    assert record["data"]["fingerprint"] in made.replace("\n", "")
    assert record["machine"]["processor"] in made
    for word in ("quick", "seed", "batch size", "torch", record["versions"]["torch"], "Training took"):
        assert word in made


def test_every_image_is_also_a_file(page: Page, sliced_run: FinishedRun) -> None:
    names = {path.name for path in sliced_run.folder.iterdir()}
    assert names >= {
        "counts.svg", "network.svg", "curves.svg", "classes.svg", "confusion.svg", "reliability.svg",
    }  # fmt: skip
    for name in names:
        if name.endswith(".svg"):
            page.open(sliced_run.folder / name)
            assert page.said == [], name
            assert page.run("document.documentElement.getBoundingClientRect().width") > 100, name


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(width: int, page: Page) -> None:
    page.resize(width, 844, phone=width < 700)
    assert page.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    beside = page.run(
        """[...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.wide, .unseen, .skip') && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert beside == [], "only what scrolls by itself may be wider"
    assert page.said == []


CONTRASTS = """
[...document.querySelectorAll('h1, h2, h3, h4, p, li, td, th, dd, dt, figcaption, a, pre, caption, .drawing text')]
  .filter(e => e.checkVisibility() && e.textContent.trim() && !e.closest('.unseen, .skip'))
  .map(e => {
    const light = colour => {
      const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let under = e;
    const clear = colour => colour === 'rgba(0, 0, 0, 0)';
    while (under.parentElement && clear(getComputedStyle(under).backgroundColor)) under = under.parentElement;
    const style = getComputedStyle(e), ground = getComputedStyle(under).backgroundColor;
    const inside = e.closest('svg');
    const pair = [light(inside ? style.fill : style.color), light(ground)].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05), text = e.textContent.slice(0, 40);
    return {contrast, ground: light(ground), inside: !!inside, text};
  })
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground_by_day_and_by_night(scheme: str, page: Page) -> None:
    page.prefer(scheme)
    found = page.run(CONTRASTS)
    assert len(found) > 200
    # WCAG 2.2, 1.4.3; words inside drawings may stand on a bar or a cell, which this does not see
    faint = [entry for entry in found if entry["contrast"] < 4.5 and not entry["inside"]]
    assert faint == []
    assert all(entry["ground"] > 0.7 if scheme == "light" else entry["ground"] < 0.1 for entry in found)


def test_it_prints(page: Page) -> None:
    page.prefer("dark")
    printed = page.pdf()
    assert printed.startswith(b"%PDF-")
    assert printed.rstrip().endswith(b"%%EOF")
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))
    assert 4 <= pages <= 14, "neither cut off nor mostly empty"
    page.call(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    try:
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.run("document.querySelector('nav').checkVisibility()")
        assert page.run("document.querySelector('#made pre').checkVisibility()")
    finally:
        page.call("Emulation.setEmulatedMedia", media="", features=[])


ODD = (
    "<img src=x onerror=\"console.error('run')\">", "</svg><script>console.error('run')</script>", "👗 Kleid, \"weit\"",
    "line\nbreak", "x" * 200,
)  # fmt: skip


def test_whatever_classes_are_called_they_are_only_words(
    browser: Page, drawn: SyntheticDataset, tmp_path: Path
) -> None:
    dataset: Any = replace(drawn.dataset, name="<b>&amp;", targets=(Target("<i>kind</i>", ODD),),
                           labels={"<i>kind</i>": drawn.dataset.labels["label"]})  # fmt: skip
    run = muslin.train(dataset, settings={"epochs": 1, "batch_size": 40}, out=tmp_path / "run")
    browser.said.clear()
    browser.resize(390, 844, phone=True)
    browser.open(run.report)
    assert browser.said == []
    assert browser.run("document.querySelectorAll('[src=\"x\"], script').length") == 0
    assert browser.run("document.documentElement.scrollWidth") == 390
    names = browser.run(
        "[...document.querySelectorAll('#figures tbody:first-of-type th')].map(h => h.textContent)"
    )
    assert names == list(ODD)
    for path in run.folder.glob("*.svg"):
        browser.open(path)
        assert browser.said == [], path.name


def test_the_threshold_of_two_classes_can_be_moved(browser: Page, tmp_path: Path) -> None:
    made = report(("flat", "worn"))
    page = write_report(tmp_path, made)
    browser.said.clear()
    browser.resize(1280, 900)
    browser.open(page)
    assert seen(browser, "#threshold-slider") == 1
    before = text(browser, '[data-metric="recall"]')
    dots = "[...document.querySelectorAll('#threshold .point')].map(p => [p.getAttribute('cx'), p.getAttribute('cy')])"
    stood = browser.run(dots)
    browser.run("document.getElementById('threshold-slider').value = 20")
    browser.run("document.getElementById('threshold-slider').dispatchEvent(new Event('input'))")
    labels = made.dataset.labels["label"][made.split.test]
    at = operating_point(labels, made.probabilities[:, 1], 0.2)
    assert text(browser, '[data-metric="threshold"]') == "0.20"
    assert text(browser, '[data-metric="predicted"]') == f"{at.predicted:,}"
    for name, share in (
        ("recall", at.recall),
        ("precision", at.precision),
        ("false-positive-rate", at.false_positive_rate),
        ("accuracy", at.accuracy),
    ):
        assert share is not None
        assert text(browser, f'[data-metric="{name}"]') == f"{100 * share:.1f}\u00a0%"
    assert text(browser, '[data-metric="recall"]') != before
    assert all(now != then for now, then in zip(browser.run(dots), stood, strict=True))
    assert browser.said == []

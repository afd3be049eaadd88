"""A report in a browser without a network: on a desktop, on a phone, in dark mode and on paper."""

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
from muslin.reporting.report.report import write_target_report
from reporting.synthetic_evaluations import report_inputs

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
    """The report on a desktop screen, in light mode."""
    browser.console.clear()
    browser.requested.clear()
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


def test_report_opens_without_network_or_errors(page: Page) -> None:
    assert page.console == []
    assert page.requested[0].startswith("file://")
    assert all(address.startswith("data:image/png;base64,") for address in page.requested[1:])
    assert page.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert page.run("document.scripts.length") == 0


def test_browser_reports_errors_and_requests(browser: Page, tmp_path: Path) -> None:
    """That the lists of complaints and addresses do fill, for a page that deserves it."""
    bad = tmp_path / "bad.html"
    bad.write_text("<img src='http://example.org/x.png'><script>console.warn('w'); nothing.at.all</script>")
    browser.console.clear()
    browser.requested.clear()
    browser.open(bad)
    assert any("console.warning" in words for words in browser.console)
    assert any("nothing is not defined" in words for words in browser.console)
    assert any("ERR_INTERNET_DISCONNECTED" in words for words in browser.console)
    assert "http://example.org/x.png" in browser.requested


def test_data_section_shows_counts_and_samples(page: Page, sliced_run: FinishedRun) -> None:
    data = text(page, "#data")
    assert "3,000 images in 10 classes" in data
    assert seen(page, "#data .drawing") == 1
    assert seen(page, "#data h4") == 10
    assert seen(page, "#data .classes .mean img") == 10
    assert seen(page, "#data .classes .row > img") >= 30
    assert "Ankle boot" in data


def test_network_is_drawn_with_shapes_and_parameters(page: Page, sliced_run: FinishedRun) -> None:
    assert seen(page, "#network .drawing") == 1
    synthetic = str(page.run("document.querySelector('#network svg').textContent"))
    network = muslin.open(sliced_run.folder).bundle.network
    assert len(network["layers"]) > 8
    for layer in network["layers"]:
        assert layer["name"] in synthetic
        assert "×".join(map(str, layer["output"])) in synthetic
        if layer["parameters"]:
            assert f"{layer['parameters']:,}" in synthetic
    assert f"{network['parameters']:,}" in text(page, ".key-metrics")


def test_learning_curves_show_training_and_validation(page: Page, sliced_run: FinishedRun) -> None:
    assert seen(page, "#learning-curves .drawing") == 2
    end = muslin.Run(sliced_run.folder).history[-1]
    lasts = (f"{end['validation_loss']:.3f}", f"{100 * end['validation_accuracy']:.1f}")
    for drawing, last in enumerate(lasts):
        words = page.run(f"document.querySelectorAll('#learning-curves svg')[{drawing}].textContent")
        assert "train" in words
        assert f"validation{last}" in words, "each curve's name and last value stand at its end"
    assert (
        page.run("[...document.querySelectorAll('#learning-curves svg path, #learning-curves svg polyline')].length")
        >= 4
    )


def test_metrics_have_intervals(page: Page, sliced_run: FinishedRun) -> None:
    (test,) = sliced_run.result.json["test"].values()
    headline = text(page, "header")
    assert f"{100 * test['accuracy']:.1f} %" in headline.replace("\u00a0", " ")
    low, high = (f"{100 * end:.1f}" for end in test["interval"])
    assert f"Expect {low} to {high} % on new images like these (95 % interval)" in headline.replace("\u00a0", " ")
    assert seen(page, "#class-metrics table.metrics tbody tr") == 12, "ten classes and two means"
    rows = page.run("[...document.querySelectorAll('#class-metrics tbody:first-of-type tr')].map(r => r.innerText)")
    assert all(re.search(r"\d+\.\d.%.*\d+\.\d to \d+\.\d", row) for row in rows), rows


def test_confusion_matrix_is_a_heat_map(page: Page) -> None:
    box = '[aria-label="Confusion matrix"]'
    assert seen(page, f"{box} .drawing") == 1
    fills = page.run(
        f"[...document.querySelectorAll('{box} rect')].map(getComputedStyle).map(s => s.fill + s.fillOpacity)"
    )
    assert len(fills) >= 100
    assert len(set(fills)) > 10, "as many shades as there are shares"


def test_errors_differ_by_more_than_colour(page: Page) -> None:
    shown = seen(page, "#predictions .tile")
    correct, incorrect = seen(page, "#predictions .tile.correct"), seen(page, "#predictions .tile.incorrect")
    assert correct + incorrect == shown >= 20
    assert correct > 0
    assert incorrect > 0
    look = "e => [getComputedStyle(e.querySelector('img')).borderStyle, e.querySelector('.mark').innerText]"
    kinds = {
        kind: page.run(f"[...document.querySelectorAll('#predictions .tile.{kind}')].map({look})")
        for kind in ("correct", "incorrect")
    }
    assert all(kind == ["solid", "✓"] for kind in kinds["correct"])
    assert all(kind == ["dashed", "✗"] for kind in kinds["incorrect"])
    captions = page.run("[...document.querySelectorAll('#predictions .incorrect figcaption')].map(c => c.innerText)")
    assert all("true: " in caption for caption in captions)


def test_most_confused_pairs_have_examples(page: Page) -> None:
    pairs = page.run("[...document.querySelectorAll('#confused-pairs h3')].map(h => h.innerText)")
    assert len(pairs) >= 3
    assert all(re.search(r".+ predicted as .+: \d+ times?, ", pair) for pair in pairs)
    assert any({"Shirt", "T-shirt/top", "Pullover", "Coat"} & set(re.split(" predicted as |:", p)) for p in pairs)
    assert seen(page, "#confused-pairs .pair-examples img") >= 3 * len(pairs)


def test_most_confident_errors_are_named(page: Page) -> None:
    assert seen(page, "#confident-errors .tile.incorrect") >= 10
    captions = page.run("[...document.querySelectorAll('#confident-errors figcaption')].map(c => c.innerText)")
    assert all(re.search(r"\d+.%(.|\n)*true: .+\n.*test/\d+", caption) for caption in captions), captions[:3]


def test_training_details_repeat_the_run(page: Page, sliced_run: FinishedRun) -> None:
    made = text(page, "#training-details")
    record = muslin.Run(sliced_run.folder).record
    assert record["command"] in made
    assert record["data"]["fingerprint"] in made.replace("\n", "")
    assert record["machine"]["processor"] in made
    for word in ("quick", "seed", "batch size", "torch", record["versions"]["torch"], "Training took"):
        assert word in made


def test_every_drawing_is_also_a_file(page: Page, sliced_run: FinishedRun) -> None:
    names = {path.name for path in sliced_run.folder.iterdir()}
    assert names >= {
        "class_counts.svg", "network.svg", "learning_curves.svg", "class_metrics.svg", "confusion_matrix.svg",
        "reliability_diagram.svg", "risk_coverage.svg",
    }  # fmt: skip
    for name in names:
        if name.endswith(".svg"):
            page.open(sliced_run.folder / name)
            assert page.console == [], name
            assert page.run("document.documentElement.getBoundingClientRect().width") > 100, name


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(width: int, page: Page) -> None:
    page.resize(width, 844, phone=width < 700)
    assert page.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    beside = page.run(
        """[...document.querySelectorAll('body *')]
        .filter(e => !e.closest('.scroll-x, .visually-hidden, .skip'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert beside == [], "only scrollable elements may be wider"
    assert page.console == []


CONTRASTS = """
[...document.querySelectorAll('h1, h2, h3, h4, p, li, td, th, dd, dt, figcaption, a, pre, caption, .drawing text')]
  .filter(e => e.checkVisibility() && e.textContent.trim() && !e.closest('.visually-hidden, .skip'))
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
def test_text_has_enough_contrast_in_light_and_dark(scheme: str, page: Page) -> None:
    page.prefer(scheme)
    found = page.run(CONTRASTS)
    assert len(found) > 200
    # WCAG 2.2, 1.4.3; words inside drawings may stand on a bar or a cell, which this does not see
    faint = [entry for entry in found if entry["contrast"] < 4.5 and not entry["inside"]]
    assert faint == []
    assert all(entry["ground"] > 0.7 if scheme == "light" else entry["ground"] < 0.1 for entry in found)


def test_report_prints_on_a_few_pages(page: Page) -> None:
    page.prefer("dark")
    printed = page.pdf()
    assert printed.startswith(b"%PDF-")
    assert printed.rstrip().endswith(b"%%EOF")
    pages = len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))
    assert 4 <= pages <= 14, "neither cut off nor mostly empty"
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.run("document.querySelector('nav').checkVisibility()")
        assert page.run("document.querySelector('#training-details pre').checkVisibility()")
    finally:
        page.call("Emulation.setEmulatedMedia", media="", features=[])


ODD = (
    "<img src=x onerror=\"console.error('run')\">", "</svg><script>console.error('run')</script>", "👗 Kleid, \"weit\"",
    "line\nbreak", "x" * 200,
)  # fmt: skip


def test_class_names_are_escaped(browser: Page, synthetic: SyntheticDataset, tmp_path: Path) -> None:
    dataset: Any = replace(synthetic.dataset, name="<b>&amp;", targets=(Target("<i>kind</i>", ODD),),
                           labels={"<i>kind</i>": synthetic.dataset.labels["label"]})  # fmt: skip
    run = muslin.train(dataset, settings={"epochs": 1, "batch_size": 40}, out=tmp_path / "run")
    browser.console.clear()
    browser.resize(390, 844, phone=True)
    browser.open(run.report)
    assert browser.console == []
    assert browser.run("document.querySelectorAll('[src=\"x\"], script').length") == 0
    assert browser.run("document.documentElement.scrollWidth") == 390
    names = browser.run(
        "[...document.querySelectorAll('#class-metrics tbody:first-of-type th')].map(h => h.textContent)"
    )
    assert names == list(ODD)
    for path in run.folder.glob("*.svg"):
        browser.open(path)
        assert browser.console == [], path.name


def test_threshold_slider_updates_metrics_and_curves(browser: Page, tmp_path: Path) -> None:
    inputs = report_inputs(("flat", "worn"))
    page = write_target_report(tmp_path, inputs, "label")
    browser.console.clear()
    browser.resize(1280, 900)
    browser.open(page)
    assert seen(browser, "#threshold-slider") == 1
    before = text(browser, '[data-metric="recall"]')
    dots = "[...document.querySelectorAll('#threshold .point')].map(p => [p.getAttribute('cx'), p.getAttribute('cy')])"
    stood = browser.run(dots)
    assert len(stood) == 2
    browser.run("document.getElementById('threshold-slider').value = 20")
    browser.run("document.getElementById('threshold-slider').dispatchEvent(new Event('input'))")
    at = operating_point(inputs.test_labels("label"), inputs.probabilities["label"][:, 1], 0.2)
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
    assert browser.console == []

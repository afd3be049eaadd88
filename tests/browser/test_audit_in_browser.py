"""Deciding on the page of an audit in a real browser, offline: by keys, by clicks, and saved as a CSV."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muslin.data.audit.exclusions import read_exclusions
from muslin.data.dataset import PixelImages
from muslin.data.synthetic import make_garments
from muslin.workflows import audit as audit_workflow

ODD = {3: "=1+1.png", 4: 'a "quoted", name.png', 5: "短裙 <b>.png", 6: "'apostrophe.png"}


def world():
    """90 garments with odd names, of which some are blank, some there twice, one in both parts."""
    synthetic = make_garments(90, seed=2).dataset
    pixels = synthetic.images.pixels.copy()
    pixels[[3, 4, 5, 6]] = 77  # identical and blank
    pixels[[21, 22]] = pixels[[20, 20]]
    pixels[80] = pixels[30]
    ids = np.array([ODD.get(i, f"p{i}.png") for i in range(90)], dtype=object)
    parts = np.array(["train"] * 70 + ["test"] * 20, dtype=object)
    return replace(synthetic, images=PixelImages(pixels), ids=ids, parts=parts)


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    found = audit_workflow.audit(world(), out=folder, checks=["blank", "identical", "near_duplicate", "outlier"])
    return folder, found


@pytest.fixture
def page(browser, audit, tmp_path):
    """The page as it is opened for the first time, on a desk; what it saves lands in tmp_path."""
    browser.console.clear()
    browser.requested.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.open(audit[0] / "audit.html")
    browser.run("localStorage.clear()")
    browser.open(audit[0] / "audit.html")
    return browser


def press(page, *keys):
    for key in keys:
        named = {"key": key, "text": key} if len(key) == 1 else {"key": key}
        page.call("Input.dispatchKeyEvent", type="keyDown", **named)
        page.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def at(page):
    return page.run("document.activeElement.id")


def excluded(page):
    """The ids of the images shown as excluded."""
    return set(
        page.run(
            "[...document.querySelectorAll('.choice')].filter(b => b.getAttribute('aria-pressed') === 'true')"
            ".map(b => b.dataset.id)"
        )
    )


def saved(folder: Path):
    deadline = time.monotonic() + 20
    while not (folder / "decisions.csv").exists():
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.05)
    return read_exclusions(folder / "decisions.csv")


def test_the_page_opens_offline_without_errors(page):
    assert page.console == []
    assert page.requested[0].startswith("file://")
    assert all(address.startswith("data:") for address in page.requested[1:] if "audit.html" not in address)
    page.run("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    assert page.run("Promise.all([...document.images].map(i => i.decode())).then(() => true)")


def test_saved_unchanged_the_decisions_are_the_suggestions(page, audit, tmp_path):
    press(page, "w")
    assert sorted(saved(tmp_path)) == sorted(read_exclusions(audit[0] / "exclude.csv"))
    assert set(ODD.values()) <= {id_ for _, id_ in saved(tmp_path)}
    assert "decisions.csv" in page.run("document.getElementById('saved').textContent")


def test_keys_move_decide_and_undo(page):
    press(page, "j")
    assert at(page) == "leak-1"
    assert excluded(page) >= {"p30.png"}
    press(page, "c")
    assert at(page) == "blank-1"  # on to the next
    assert "p30.png" not in excluded(page)
    press(page, "u")
    assert at(page) == "leak-1"
    assert "p30.png" in excluded(page)
    press(page, "x")
    assert {"p30.png", "p80.png"} <= excluded(page)
    press(page, "k", "1")
    assert "p80.png" not in excluded(page)
    press(page, "s", "ArrowUp")
    assert at(page) == "leak-1"
    press(page, "ArrowDown", "ArrowDown")
    assert at(page) == "blank-2"
    press(page, "n")
    assert at(page) == "identical-1"
    press(page, "p", "p", "p")
    assert at(page) == "leak-1"


def test_an_image_in_two_findings_has_one_state(page):
    name = "=1+1.png"
    before = page.run(f"[...document.querySelectorAll('.choice')].filter(b => b.dataset.id === '{name}').length")
    assert before == 2
    page.run(f"[...document.querySelectorAll('.choice')].find(b => b.dataset.id === '{name}').click()")
    states = page.run(
        f"[...document.querySelectorAll('.choice')].filter(b => b.dataset.id === '{name}')"
        ".map(b => b.getAttribute('aria-pressed'))"
    )
    assert states == ["false", "false"]


def test_decisions_survive_closing_and_can_be_reset(page, audit, tmp_path):
    press(page, "j", "c", "x")
    assert page.run("document.getElementById('decided').textContent").startswith("2 of ")
    chosen = excluded(page)
    page.open(audit[0] / "audit.html")
    assert excluded(page) == chosen
    assert page.run("document.getElementById('decided').textContent").startswith("2 of ")
    press(page, "w")
    assert "p30.png" not in {id_ for _, id_ in saved(tmp_path)}
    page.run("document.getElementById('reset').click()")
    suggested = {id_ for _, id_ in read_exclusions(audit[0] / "exclude.csv")}
    assert excluded(page) == suggested
    assert page.run("document.getElementById('decided').textContent").startswith("0 of ")


def test_training_excludes_what_a_person_decided(page, tmp_path):
    press(page, "j", "c")
    press(page, "w")
    names = saved(tmp_path)
    from muslin.data.audit.exclusions import exclude_samples

    kept = exclude_samples(world(), names, "decisions.csv")
    assert {"p30.png", "p80.png"} <= set(kept.ids)
    assert not set(ODD.values()) & set(kept.ids)
    assert len(kept) == 90 - len(names)


def test_the_dialog_of_keys_blocks_other_keys(page):
    press(page, "?")
    assert page.run("document.getElementById('keys').open")
    press(page, "x")
    assert page.run("document.getElementById('decided').textContent").startswith("0 of ")
    press(page, "?")
    assert not page.run("document.getElementById('keys').open")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_with_enough_contrast(page, width, scheme):
    page.resize(width, 800, phone=width < 500)
    page.prefer(scheme)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    contrast = page.run(
        """(() => {
          const light = colour => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(v => v / 255)
              .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const paper = light(getComputedStyle(document.body).backgroundColor);
          return ['.reason', '.rank', '.id', '.choice', '.hints', 'nav a'].map(s => {
            const ink = light(getComputedStyle(document.querySelector(s)).color);
            return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
          });
        })()"""
    )
    assert min(contrast) >= 4.5


def test_the_focused_finding_is_not_under_the_bar(page):
    for _ in range(6):
        press(page, "j")
        below = page.run(
            "document.activeElement.getBoundingClientRect().bottom - document.querySelector('.bar')"
            ".getBoundingClientRect().top"
        )
        assert below <= 0


def test_without_javascript_no_button_is_shown(page, audit):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.call("Page.navigate", url=(audit[0] / "audit.html").absolute().as_uri())
        deadline = time.monotonic() + 20
        while page.run("document.readyState") != "complete":
            assert time.monotonic() < deadline
        look = "document.querySelector('{}').checkVisibility()"
        assert page.run(look.format("#leak-1 .reason"))
        assert page.run(look.format("noscript p"))
        for button in (".choice", ".actions", ".bar", ".start"):
            assert not page.run(look.format(button))
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)

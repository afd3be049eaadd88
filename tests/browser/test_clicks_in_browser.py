"""From an empty folder to a tagged table by clicks alone, counted: the whole work of a shop owner in the studio.

The long form begins with the home page's offer of Fashion-MNIST, all 70,000 images, and opens the cell of shirts that
were predicted as coats.
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from page_actions import until
from test_home_in_browser import drop

from garment_files import write_garment_folders

MAX_CLICKS, MAX_TO_TABLE = 25, 12
WAIT_S, JOB_S = 60, 3600
MISTAKE = ".confusion td:not(.right) button:not(:has(.none))"
SHIRT_AS_COAT = ".confusion button[aria-label^='Label Shirt, predicted Coat']"


class Shop(NamedTuple):
    """A folder to drop, or None for the offer of Fashion-MNIST; how many images are tagged; which cell is opened."""

    dropped: Path | None
    images: int
    cell: str


@pytest.fixture(scope="module", params=["garments", pytest.param("fashion-mnist", marks=pytest.mark.long)])
def shop(request, tmp_path_factory):
    if request.param == "fashion-mnist":
        return Shop(None, 70_000, SHIRT_AS_COAT)
    return Shop(write_garment_folders(tmp_path_factory.mktemp("dropped") / "garments", 120), 120, MISTAKE)


@pytest.fixture(scope="module")
def folder(shop, tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


class Clicks:
    """Clicks, and how many of them were needed for the tagged table alone."""

    def __init__(self, page):
        self.page, self.count, self.to_table = page, 0, 0

    def on(self, words, *, to_table=False, within="main", wait_s=WAIT_S):
        """Click the first link or button that begins with `words`, once it is there."""
        found = f"[...document.querySelectorAll('{within} a, {within} button')]"
        self.on_element(f"{found}.find(e => !e.disabled && e.textContent.trim().startsWith({words!r}))", wait_s)
        self.to_table += to_table

    def on_element(self, script, wait_s=WAIT_S):
        until(self.page, script, wait_s)
        self.page.run(f"({script}).click()")
        self.count += 1


def test_all_of_the_work_takes_few_clicks(browser, address, folder, shop):
    browser.resize(1280, 900)
    browser.visit(f"{address}/")
    until(browser, "document.querySelector('.drop') !== null")
    clicks = Clicks(browser)
    if shop.dropped:
        drop(browser, shop.dropped)
        clicks.count = clicks.to_table = 1
    else:
        clicks.on("Fashion-MNIST", to_table=True)

    clicks.on("Audit")
    clicks.on("Start the audit")
    until(browser, "document.querySelector('.findingside') !== null", JOB_S)
    clicks.on_element("document.querySelector('.labelpanel .classes button[aria-pressed=false]:not(:disabled)')")

    clicks.on("Train", to_table=True)
    clicks.on("Train with", to_table=True)
    clicks.on("See its mistakes", wait_s=JOB_S)
    clicks.on_element(f'document.querySelector("{shop.cell}")', JOB_S)
    clicks.on_element("document.querySelector('.mistakesimages .cell')")
    until(browser, "document.querySelector('.why .overlay') !== null", WAIT_S)

    clicks.on("Training", within="header nav")
    clicks.on("Train again")
    clicks.on("Train with")
    clicks.on("See its mistakes", wait_s=JOB_S)
    clicks.on("Two runs", wait_s=JOB_S)
    until(browser, "document.querySelector('.compared') !== null", JOB_S)

    clicks.on("Tagging", to_table=True, within="header nav")
    clicks.on("Tag", to_table=True)
    until(browser, "document.querySelector('main table') !== null", JOB_S)
    assert clicks.count <= MAX_CLICKS
    assert clicks.to_table <= MAX_TO_TABLE
    (tagged,) = (folder / "tagged").rglob("*.csv")
    with tagged.open() as file:
        assert len(list(csv.DictReader(file))) == shop.images
    first, second = sorted((folder / "runs").iterdir())
    assert json.loads((first / "run.json").read_text())["corrections"]["n"] == 1
    assert second.name in browser.run("document.querySelector('main').textContent")

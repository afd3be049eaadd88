"""From an empty folder to a tagged table by clicks alone, counted: what a shop owner does in the first minutes."""

import csv

import pytest
from page_actions import until
from test_home_in_browser import drop

from garment_files import write_garment_folders

MAX_CLICKS = 12
CONTROLS = "[...document.querySelectorAll('main a, main button')]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_garment_folders(tmp_path_factory.mktemp("dropped") / "garments", 120)


class Clicks:
    """Clicks on links and buttons, found by their words."""

    def __init__(self, page):
        self.page, self.count = page, 0

    def on(self, words, wait_s=60):
        found = f"{CONTROLS}.find(e => !e.disabled && e.textContent.trim().startsWith({words!r}))"
        until(self.page, found, wait_s)
        self.page.run(f"{found}.click()")
        self.count += 1


def test_tagged_table_from_an_empty_folder_in_few_clicks(browser, address, folder, shop):
    browser.resize(1280, 900)
    browser.visit(f"{address}/")
    until(browser, "document.querySelector('.drop') !== null")
    clicks = Clicks(browser)
    drop(browser, shop)
    clicks.count += 1
    clicks.on("Train")
    clicks.on("Train with")
    clicks.on("Tag", wait_s=180)
    until(browser, "location.hash.includes('page=tagging')")
    clicks.on("Tag", wait_s=60)
    until(browser, "document.querySelector('main table') !== null", wait_s=120)
    assert clicks.count <= MAX_CLICKS
    (tagged,) = (folder / "tagged").rglob("*.csv")
    with tagged.open() as file:
        assert len(list(csv.DictReader(file))) == 120

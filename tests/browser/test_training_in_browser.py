"""What a person does to train and to tag, in a real browser."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from chromium import Page
from page_actions import click, drop, job_once, serious_problems, until

from garment_files import write_garment_folders
from muslin.storage.atomic import cache_folder
from muslin.studio.job_process import STOP

WAIT_S = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_garment_folders(folder / "photos", 40)
    write_garment_folders(folder / "many", 600)
    return folder


def until_seen(page: Page, text: str) -> None:
    until(page, f"document.querySelector('main')?.innerText.includes({json.dumps(text)})", WAIT_S)


def test_a_person_trains_watches_and_tags(browser: Page, address: str, folder: Path) -> None:
    browser.resize(1280, 1400)  # all that is clicked is in sight
    browser.visit(f"{address}/#page=training&data=photos&lang=en")
    until_seen(browser, "Recipes for these data")
    until(browser, "document.querySelector('button.main:not(:disabled)')", WAIT_S)
    assert serious_problems(browser) == []
    click(browser, "button.main")
    until(browser, "location.hash.includes('run=')", WAIT_S)
    until_seen(browser, "See its mistakes")
    until(browser, "document.querySelectorAll('.epochimages li').length > 3", WAIT_S)
    assert browser.run("document.querySelector('img.kernelsheet').naturalWidth") > 0
    assert serious_problems(browser) == []
    assert not [line for line in browser.console if "Content Security Policy" in line]
    (run,) = (folder / "runs").iterdir()
    assert (run / "model.muslin").is_file()

    first = "document.querySelector('.epochslider input').value = 0"
    browser.run(f"{first}; document.querySelector('.epochslider input').dispatchEvent(new Event('input'))")
    until_seen(browser, "See inside the network after epoch 1")

    browser.run("[...document.querySelectorAll('a.button')].find((link) => link.href.includes('tagging')).click()")
    until(browser, "location.hash.includes('page=tagging')", WAIT_S)
    until(browser, "document.querySelector('.drop')", WAIT_S)
    drop(browser, folder / "photos" / "bag")
    until(browser, "location.hash.includes('data=imports%2Fbag')", WAIT_S)
    until(browser, "document.querySelector('.toolbar')?.innerText.includes('imports/bag')", WAIT_S)
    browser.run("location.hash = location.hash.replace('imports%2Fbag', 'photos')")
    until(browser, "document.querySelector('button.main:not(:disabled)')", WAIT_S)
    click(browser, "button.main")
    until_seen(browser, "40 tagged")
    assert serious_problems(browser) == []
    assert (folder / "tagged" / "photos.csv").read_text().count("\n") == 41

    click(browser, "section.panel .buttons button")
    until(browser, "location.hash.includes('page=review') && location.hash.includes('store=reviews')", WAIT_S)
    until(browser, "document.querySelector('dialog[open]')", WAIT_S)
    assert (folder / "reviews" / "photos.db").is_file()


def test_trials_end_when_the_tab_is_left(browser: Page, address: str) -> None:
    browser.visit(f"{address}/#page=training&data=many&lang=en")
    until(browser, "document.querySelector('.job')", WAIT_S)
    job = job_once(browser, lambda job: job["pid"], WAIT_S)
    os.kill(job["pid"], signal.SIGSTOP)  # the trials cannot end before the tab is left
    try:
        browser.visit(f"{address}/?left")  # another document: the page of before is gone
        deadline = time.monotonic() + WAIT_S
        while not list((cache_folder() / "jobs").glob(f"*/{job['id']}/{STOP}")):
            assert time.monotonic() < deadline, "nobody told the trials to stop"
            time.sleep(0.05)
    finally:
        os.kill(job["pid"], signal.SIGCONT)
    job = job_once(browser, lambda job: not job["is_running"], WAIT_S)
    assert job["kind"] == "offer"
    assert job["result"] is None
    assert job["error"]["code"] in ("job_stopped", "recipe_timing_stopped")

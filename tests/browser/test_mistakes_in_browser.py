"""The mistakes of a run in a real browser: from the home page to why, in at most four clicks; and back to the cell."""

import json

import pytest
from page_actions import click, press, serious_problems, until

import muslin
from garment_files import write_garment_folders

SETTINGS = {"epochs": 15, "batch_size": 20, "image_size": 28, "widths": (16, 8, 16), "split_seed": 5}
MISTAKEN = "td:not(.right) button:not(:has(.none))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    photos = write_garment_folders(folder / "photos", 160)
    for seed, name in enumerate(("first", "second")):
        muslin.train(photos, recipe="tutorial", settings=SETTINGS, seed=seed, out=folder / "runs" / name)
    return folder


def open_view(page, address, words):
    page.visit(f"{address}/#page=mistakes&run=runs/first{words}")
    until(page, "document.querySelector('.mistakesbody')")


def test_from_home_to_why_in_at_most_four_clicks(page, address):
    page.visit(address)
    until(page, "document.querySelector('header nav a[href*=\"page=mistakes\"]')")
    click(page, 'header nav a[href*="page=mistakes"]')  # the newest run
    until(page, "document.querySelector('.confusion')")  # a job has predicted the test set
    click(page, f".confusion {MISTAKEN}")
    until(page, "document.querySelector('.mistakesimages .thumbnail')?.width > 1")
    words = page.run("document.querySelector('.confusion [aria-pressed=true]').getAttribute('aria-label')")
    total = int(page.run("document.querySelector('.mistakesimages h2 .of').textContent").split()[0])
    assert f": {total} images" in words
    click(page, ".mistakesimages .cell")
    until(page, "document.querySelector('.why .overlay') && document.querySelectorAll('.why .channels li').length > 2")
    until(page, "document.querySelectorAll('.why .near li').length > 4")
    assert page.run("document.activeElement.id") == "why-title"
    assert serious_problems(page) == []
    near = "document.querySelector('.near').querySelectorAll('li > a > span:nth-child(2)')"
    labels = page.run(f"[...{near}].map(e => e.textContent)")
    assert words.split("Label ")[1].split(", predicted")[0] not in labels
    press(page, "Escape")
    assert page.run("document.querySelector('.why')") is None
    assert page.run("document.activeElement.classList.contains('imagegrid')")


def test_a_cell_stays_open_in_another_run(page, address):
    open_view(page, address, "")
    click(page, f".confusion {MISTAKEN}")
    before = json.loads(page.run("JSON.stringify(Object.fromEntries(new URLSearchParams(location.hash.slice(1))))"))
    page.run(
        "(e => { e.value = 'runs/second'; e.dispatchEvent(new Event('change', { bubbles: true })); })"
        "(document.querySelector('.mistakes .toolbar select'))"
    )
    until(page, "document.querySelector('.confusion [aria-pressed=true]')")
    after = json.loads(page.run("JSON.stringify(Object.fromEntries(new URLSearchParams(location.hash.slice(1))))"))
    assert (after["run"], after["label"], after["predicted"]) == ("runs/second", before["label"], before["predicted"])
    open_view(page, address, "")
    until(page, "document.querySelector('.mistakesview a[href*=predicted]')")


def test_keys_move_in_the_matrix_and_open_a_row(page, address):
    open_view(page, address, "")
    page.run("document.querySelector('.confusion [tabindex=\"0\"]').focus()")
    press(page, "ArrowDown")
    press(page, "ArrowRight")
    assert page.run("document.activeElement.dataset.at") == "1,1"
    for _ in range(2):
        press(page, "ArrowLeft")
    assert page.run("document.activeElement.dataset.at") == "1,-1"
    assert page.run("document.querySelectorAll('.confusion [tabindex=\"0\"]').length") == 1
    press(page, "Enter")
    until(page, "document.querySelector('.mistakesimages h2 .of') || document.querySelector('.mistakesimages p')")
    assert page.run("document.activeElement.dataset.at") == "1,-1"


@pytest.mark.parametrize("view", ["errors", "classes", "slices", "compare&other=runs/second&change=fixed"])
def test_each_view_fits_a_phone_in_the_dark_in_chinese(page, address, view):
    page.resize(390, 844, phone=True)
    page.prefer("dark")
    open_view(page, address, f"&lang=zh&mistakes={view}")
    until(page, "document.querySelector('.mistakes table, .mistakesimages .of')")
    assert serious_problems(page) == []
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.body.innerText.match(/mistakes\\.[a-z.]+/)") is None

"""What a newcomer finds in each room: every room in the header, and what to do next where nothing is chosen."""

import os
import signal

import pytest
from page_actions import click, job_once, serious_problems, until

from garment_files import write_garment_folders
from muslin.models.bundle import seal
from small_models import small_bundle

ROOMS = ("home", "data", "training", "mistakes", "model", "tagging", "review", "walk", "camera", "playground")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("newcomer")
    write_garment_folders(folder / "garments", 24)
    seal(small_bundle(), folder / "first.muslin")
    return folder


@pytest.fixture
def page(browser):
    browser.console.clear()
    browser.resize(1280, 800)
    browser.prefer("light")
    yield browser
    assert browser.console == []


@pytest.mark.parametrize(("width", "rows"), [(1280, 1), (390, 2)])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_header_shows_every_room_without_scrolling(page, address, width, rows, language):
    page.resize(width, 800, phone=width < 500)
    page.visit(f"{address}/#lang={language}")
    until(page, "document.querySelector('.offers') !== null")
    links = page.run(
        "[...document.querySelectorAll('header nav a')].map(a => [new URLSearchParams(a.hash.slice(1)).get('page'), "
        "a.getBoundingClientRect().top, a.getBoundingClientRect().right])"
    )
    assert tuple(room or "home" for room, _, _ in links) == ROOMS
    assert len({round(top) for _, top, _ in links}) <= rows  # fewer where the font is narrow
    assert max(right for _, _, right in links) <= width


def test_see_inside_is_one_click_from_other_rooms(page, address):
    for room in ("training", "walk"):
        page.visit(f"{address}/#page={room}")
        until(page, "document.querySelector('main h1') !== null")
        click(page, 'header nav a[href*="page=model"]')
        until(page, "document.querySelector('.models a') !== null")


@pytest.mark.parametrize("room", ["data", "training"])
def test_a_room_without_data_offers_those_of_the_folder(page, address, room):
    page.visit(f"{address}/#page={room}")
    until(page, "document.querySelector('.datalist .card') !== null")
    assert "24" in page.run("document.querySelector('.datalist .card').textContent")
    assert serious_problems(page) == []
    click(page, ".datalist .card")
    until(page, "new URLSearchParams(location.hash.slice(1)).get('data') === 'garments'")
    shown = {"data": "canvas", "training": ".job"}[room]
    until(page, f"document.querySelector('main {shown}') !== null")


def test_trials_of_recipes_end_with_the_training_room(page, address):
    page.visit(f"{address}/#page=training&data=garments")
    until(page, "document.querySelector('main .job') !== null")
    pid = job_once(page, lambda job: job["pid"])["pid"]
    os.kill(pid, signal.SIGSTOP)  # the trials cannot end before the person leaves
    try:
        click(page, 'header nav a[href*="page=mistakes"]')
        until(page, "performance.getEntriesByName(new URL('/api/jobs/stop', location).href).length > 0")
    finally:
        os.kill(pid, signal.SIGCONT)
    job = job_once(page, lambda job: not job["is_running"])
    assert job["kind"] == "offer"
    assert job["result"] is None
    assert job["error"]["code"] in ("job_stopped", "recipe_timing_stopped")

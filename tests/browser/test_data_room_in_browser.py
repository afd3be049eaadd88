"""The data room in a real browser: labels by keys, two tabs, the audit, the map, and a studio that is killed."""

import json
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from page_actions import click, press, serious_problems, until
from PIL import Image

from muslin.data.audit.corrections import read_corrections
from muslin.data.audit.exclusions import read_exclusions
from muslin.workflows.audit import audit

CLASSES = ("bag", "coat", "shoe")
N = 40
"""Photos of each class."""

READY = "document.querySelector('.labelpanel h2')?.textContent.includes('.png') && document.querySelector('.thumbnail')"
SAVED = "document.querySelector('.saving')?.textContent.includes('corrections/')"


def write_photos(folder: Path, count: int = N) -> None:
    """Photos of noise on a colour of their class, and two copies of one."""
    numbers = np.random.default_rng(0)
    for at, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = numbers.integers(0, 60, (24, 24, 3), np.uint8)
            pixels[:, :, at] += 150
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    (folder / "shoe" / "copy.png").write_bytes((folder / "shoe" / "000.png").read_bytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio")
    for name in ("walk", "queue"):
        write_photos(folder / name)
    audit(folder / "queue", out=folder / "audits" / "queue", checks=["identical"])
    return folder


@pytest.fixture
def page(browser, address):
    """A desktop browser with empty storage. Afterwards: all requests went to the studio."""
    browser.console.clear()
    browser.requested.clear()
    browser.resize(1280, 900)
    browser.visit(f"{address}/static/colours.css")
    browser.run("localStorage.clear(); localStorage.setItem('muslin-who', 'Ana')")
    yield browser
    assert [a for a in browser.requested if not a.startswith((f"{address}/", "data:", "about:", "blob:"))] == []


def open_room(page, address, data, more=""):
    page.visit(f"{address}/#page=data&data={data}{more}")
    until(page, READY)


def labels_of(folder, data):
    path = folder / "corrections" / f"{data}.csv"
    return {each.id: each.label for each in read_corrections(path)} if path.exists() else {}


def test_labels_are_corrected_undone_and_excluded_by_keys(page, address, folder):
    open_room(page, address, "walk", "&filters=" + json.dumps({"classes": ["coat"]}))
    page.run("document.querySelector('.imagegrid').focus()")
    press(page, "1")
    until(page, SAVED)
    assert labels_of(folder, "walk") == {"coat/000.png": "bag"}
    press(page, "ArrowRight", shift=True)
    press(page, "ArrowRight", shift=True)
    press(page, "3")
    until(page, "document.querySelector('.saving').textContent.startsWith('shoe: saved')")
    assert labels_of(folder, "walk") == {f"coat/00{i}.png": "shoe" for i in range(3)}
    press(page, "u")
    press(page, "u")
    until(page, "document.querySelector('.saving').textContent.trim() === ''")
    assert labels_of(folder, "walk") == {}
    press(page, "x")
    until(page, SAVED)
    assert len(read_exclusions(folder / "corrections" / "walk.excluded.csv")) == 3
    press(page, "Enter")
    until(page, "document.querySelector('dialog[open] img')?.naturalWidth > 0")
    assert serious_problems(page) == []
    press(page, "Escape")
    until(page, "document.activeElement.matches('.imagegrid')")
    assert page.console == []


DRAWN = """[...document.querySelectorAll('.cell')].map(cell => {
    const canvas = cell.querySelector('canvas'), {width, height} = canvas;
    const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
    const sums = [0, 1, 2].map(at => data.reduce((sum, value, n) => n % 4 === at ? sum + value : sum, 0));
    return [cell.ariaLabel.split('/')[0], width, sums.indexOf(Math.max(...sums))];
})"""


def test_scrolling_gives_the_elements_of_the_grid_other_images(page, address):
    open_room(page, address, "walk")
    page.run("window.cells = new Set(document.querySelectorAll('.cell'))")
    end = "(g => g.scrollTop === g.scrollHeight - g.clientHeight)(document.querySelector('.imagegrid'))"
    while not page.run(end):
        page.run("document.querySelector('.imagegrid').scrollTop += 200")
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    until(page, "document.querySelector(`.cell[aria-posinset='121']`)?.ariaLabel.includes('shoe/copy')")
    until(page, "[...document.querySelectorAll('.cell canvas')].every(canvas => canvas.width > 1)")
    assert page.run("[...document.querySelectorAll('.cell')].every(cell => window.cells.has(cell))")
    drawn = page.run(DRAWN)
    assert drawn == [[name, 24, CLASSES.index(name)] for name, _, _ in drawn]


def test_the_later_of_two_tabs_on_one_image_is_told(page, address, folder):
    with chromium() as other:
        for tab in (page, other):
            tab.resize(1280, 900)
            open_room(tab, address, "walk", "&filters=" + json.dumps({"text": "bag/007"}))
            tab.run("document.querySelector('.imagegrid').focus()")
        press(other, "2")
        until(other, SAVED)
        press(page, "3")
        until(page, "document.querySelector('.saving .warning')?.textContent.includes('coat')")
    assert labels_of(folder, "walk")["bag/007.png"] == "shoe"


def test_findings_of_the_audit_are_decided_by_keys(page, address, folder):
    page.visit(f"{address}/#page=data&data=queue&show=audit")
    until(page, "document.querySelectorAll('.findingimages img').length === 2")
    until(page, "document.activeElement.matches('.findingside')")
    assert serious_problems(page) == []
    press(page, "Enter")
    until(page, SAVED)
    assert len(read_exclusions(folder / "corrections" / "queue.excluded.csv")) == 1


def test_the_map_is_made_and_its_points_are_selected(page, address):
    page.visit(f"{address}/#page=data&data=queue&show=map")
    until(page, "document.querySelector('.empty .main')")
    click(page, ".empty .main")
    until(page, "document.querySelector('canvas.datamap')?.width > 100 && !document.querySelector('.job')", 120)
    page.run("document.querySelector('canvas.datamap').focus()")
    for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown") * 3:
        press(page, key)
    box = page.run("(r => [r.x, r.y, r.width])(document.querySelector('canvas.datamap').getBoundingClientRect())")
    around = [(0.5, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0.5, 0)]  # not from a corner, which is round
    for kind, (x, y) in zip(["Pressed", *["Moved"] * 4, "Released"], around, strict=True):
        where = {"x": box[0] + 1 + x * (box[2] - 2), "y": box[1] + 1 + y * (box[2] - 2)}
        page.call("Input.dispatchMouseEvent", type=f"mouse{kind}", **where, button="left", buttons=1, clickCount=1)
        page.run("new Promise(requestAnimationFrame)")
    until(page, f"document.querySelector('.labelpanel h2').textContent.startsWith('{3 * N + 1} ')")
    assert serious_problems(page) == []


def test_on_a_phone_in_chinese_nothing_is_wider_than_the_screen(page, address):
    page.resize(390, 844)
    open_room(page, address, "walk", "&lang=zh")
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.querySelector('.labelpanel').textContent").count("撤销") == 1


@contextmanager
def studio_at(port: int, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "muslin", "studio", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            yield process
        finally:
            process.kill()
            process.wait()


CONFIRMED = """Object.keys(localStorage).filter(key => key.startsWith('muslin-review/:data:'))
    .map(key => JSON.parse(localStorage.getItem(key))).filter(batch => batch.receipts)
    .flatMap(batch => batch.decisions.map(one => one.index))"""


@pytest.mark.parametrize(("count", "kills"), [(40, 3), pytest.param(1000, 20, marks=pytest.mark.long)])
def test_confirmed_decisions_survive_a_studio_that_is_killed(browser, tmp_path, count, kills):
    write_photos(tmp_path / "shop", -(-count // len(CLASSES)))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    numbers, done = random.Random(0), 0
    stops = [*sorted(numbers.sample(range(1, count), kills)), count]
    for part, stop in enumerate(stops):
        with studio_at(port, tmp_path):
            if part == 0:
                browser.resize(1280, 900)
                open_room(browser, f"http://127.0.0.1:{port}", "shop")
                browser.run("document.querySelector('.imagegrid').focus()")
            while done < stop:
                press(browser, "123"[done % 3])
                press(browser, "ArrowRight")
                done += 1
            if stop == count:
                until(browser, SAVED, 60)
            time.sleep(numbers.random() * 0.05)
        ids = sorted(f"{path.parent.name}/{path.name}" for path in (tmp_path / "shop").rglob("*.png"))
        written = labels_of(tmp_path, "shop")
        assert {ids[index] for index in browser.run(CONFIRMED)} <= set(written)
    assert len(written) == count
    assert written == {ids[i]: CLASSES[i % 3] for i in range(count)}

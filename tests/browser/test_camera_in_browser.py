"""The camera page in a real browser with Chromium's own camera: record classes, train, see the live prediction."""

import csv

import pytest
from chromium import chromium
from page_actions import serious_problems, until

FLAGS = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
BUTTONS = "[...document.querySelectorAll('button')]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("camera")


@pytest.fixture(scope="module")
def page(address):
    with chromium(*FLAGS) as page:
        page.resize(1280, 900)
        page.visit(f"{address}/#page=camera")
        until(page, "document.querySelector('.cameraclass') !== null")
        yield page


def press_button(page, words):
    page.run(f"{BUTTONS}.find(b => (b.ariaLabel || b.textContent).trim() === {words!r}).click()")


def test_classes_are_recorded_trained_and_predicted_live(page, folder):
    press_button(page, "Turn on the camera")
    until(page, "document.querySelector('video').videoWidth > 0")
    assert page.run(f"{BUTTONS}.find(b => b.textContent.trim() === 'Train').disabled")
    for name in ("Class 1", "Class 2"):
        press_button(page, f"Record: {name}")
        count = f"parseInt(document.querySelectorAll('.cameraclass .number')[{int(name[-1]) - 1}].textContent)"
        until(page, f"{count} >= 14")
        press_button(page, f"Stop recording: {name}")
    assert "look alike" in page.run("document.querySelector('.notice').textContent")
    assert serious_problems(page) == []
    page.resize(390, 844, phone=True)
    assert page.run("document.documentElement.scrollWidth") == 390
    page.resize(1280, 900)
    press_button(page, "Train")
    until(page, "document.querySelector('.livebars .verdict') !== null", wait_s=300)
    assert page.run("document.querySelectorAll('.livebar').length") == 2
    assert "Accuracy" in page.run("document.querySelector('.job').textContent")
    with (folder / "imports/camera/images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"Class 1", "Class 2"}
    assert all((folder / "imports/camera" / row["image"]).read_bytes()[:2] == b"\xff\xd8" for row in rows)
    assert page.console == []

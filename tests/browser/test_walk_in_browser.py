"""The walk in a real browser: a learner's seven steps, the lab sheet, and a teacher's link."""

import json
import re

import numpy as np
import pytest
from page_actions import click, press, serious_problems, tab_to, until
from PIL import Image

from muslin.data.synthetic import make_garments
from muslin.workflows import train as train_workflow

WALK = "page=walk&model=run/model.muslin"
SETTINGS = {"epochs": 2, "batch_size": 48, "image_size": 28, "widths": (16, 8, 16)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walk")
    dataset = make_garments(120, seed=1).dataset
    for number, label in enumerate(dataset.labels["label"]):
        photo = folder / "photos" / dataset.targets[0].classes[label].replace("/", " ") / f"{number}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dataset.images[number][:, :, 0]).save(photo)
    train_workflow.train(folder / "photos", settings=SETTINGS, recipe="tutorial", out=folder / "run")
    noise = np.random.default_rng(0).integers(90, 200, (60, 80, 3), np.uint8)
    noise[10:50, 20:60] = 240
    Image.fromarray(noise).save(folder / "mine.png")
    return folder


def choose(page, selector, option=1):
    """Choose an option of every list that matches, as a person does: the page hears of each."""
    page.run(
        f"document.querySelectorAll({selector!r}).forEach(e => {{ e.selectedIndex = {option};"
        "e.dispatchEvent(new Event('change', { bubbles: true })); })"
    )


def tap(page, selector, index=0):
    """Scroll to an element and click it."""
    page.run(f"document.querySelectorAll({selector!r})[{index}].scrollIntoView({{ block: 'center' }})")
    click(page, selector, index)


def fill(page, selector, value):
    page.run(
        f"(e => {{ e.value = {value!r}; for (const kind of ['input', 'change'])"
        f"e.dispatchEvent(new Event(kind, {{ bubbles: true }})); }})(document.querySelector({selector!r}))"
    )


def answers(page):
    return json.loads(page.run("localStorage.getItem('muslin-walk run/model.muslin')") or "{}")


def test_a_learner_walks_all_steps_and_saves_the_lab_sheet(page, address):
    page.visit(f"{address}/#page=walk")
    until(page, "document.querySelector('.card a')")
    tap(page, ".card a")
    until(page, "document.querySelector('.pixelgrid canvas')")
    tab_to(page, "e.matches('.pixelgrid [role=application]')")
    press(page, "ArrowDown")
    assert page.run("document.activeElement.matches('.pixelgrid [role=application]')")
    for _ in range(3):
        until(page, "document.querySelector('.task select').value === ''")  # the next image's
        choose(page, ".task select")
        until(page, "document.querySelector('.task [role=status]')")
        tap(page, ".task .toolbar button")
    fill(page, ".ownwords textarea", "A <b>shirt</b>, perhaps")
    assert len(answers(page)["pixels"]["guesses"]) == 3

    tap(page, ".walkends .main")
    until(page, "document.querySelector('.task .choice')")
    tap(page, ".task .choice label")
    tap(page, ".task .switch input")
    until(page, "document.querySelector('.task [role=status]')")

    tap(page, ".walkends .main")
    for kind in range(4):
        until(page, f"document.querySelectorAll('.walkkinds .switch input').length > {kind}")
        tap(page, ".walkkinds .switch input", kind)
        until(page, f"document.querySelectorAll('.task tbody tr').length === {kind + 1}")

    tap(page, ".walkends .main")
    until(page, "document.querySelector('.chart .line')")
    tap(page, ".task button")
    until(page, "document.querySelector('.task [role=status]')")

    tap(page, ".walkends .main")
    until(page, "document.querySelector('.walksort select')")
    choose(page, ".walksort select")
    tap(page, ".task button.main")
    until(page, "document.querySelectorAll('.walksaid').length >= 6")

    tap(page, ".walkends .main")
    until(page, "document.querySelector('.task input[type=number]')")
    fill(page, ".task input[type=number]", "80")
    until(page, "document.querySelector('.task [role=status]')")

    sheet = saved_sheet(page)
    assert len(re.findall(r"<h2>", sheet)) == 7
    assert sheet.count("data:image/png;base64,") >= 11
    assert "&#60;b&#62;shirt" in sheet
    assert "<script" not in sheet
    assert "http" not in sheet.replace("http-equiv", "")


def saved_sheet(page):
    """The content of the file that the page offers for saving."""
    page.run(
        "window.kept = new Promise(done => { const make = URL.createObjectURL;"
        "URL.createObjectURL = blob => {"
        "if (blob.type === 'text/html') done(blob.text()); return make.call(URL, blob); }; });"
        "HTMLAnchorElement.prototype.click = () => {}; 0"
    )
    tap(page, ".walkfoot button")
    return page.run("window.kept")


def test_my_own_photo_is_compared_and_cut_out(page, address):
    page.visit(f"{address}/#{WALK}&stage=photo")
    until(page, "document.querySelector('.drop + p button')")
    tap(page, ".drop + p button")
    until(page, "document.querySelector('dialog .segments')")
    tap(page, "dialog .segments input[value=folder]")
    until(page, "[...document.querySelectorAll('dialog .tile')].some(e => e.textContent.trim() === 'mine.png')")
    tile = page.run(
        "[...document.querySelectorAll('dialog .tile')].findIndex(e => e.textContent.trim() === 'mine.png')"
    )
    tap(page, "dialog .tile", tile)
    until(page, "document.querySelectorAll('.walkgiven img').length > 2 && document.querySelector('.datatable tbody')")
    assert page.run("[...document.querySelectorAll('.walkgiven img')].every(i => i.complete && i.naturalWidth > 0)")
    fill(page, ".sliders input", "0.25")
    fill(page, ".sliders input[max='100']", "60")
    tap(page, ".sliders button")
    until(page, "decodeURIComponent(location.hash).includes('upload:')")
    until(page, "document.querySelector('.task .walkbars + p .main')")
    tap(page, ".task .walkbars + p .main")
    assert answers(page)["photo"]["rows"][-1][0] == "walk.photo.sheetCut"


def test_a_teachers_link_hides_what_a_lesson_does_not_need(page, address):
    page.visit(f"{address}/#{WALK}")
    until(page, "document.querySelectorAll('.walkfoot button').length === 3")
    until(page, "document.querySelector('.task')")  # what loads moves the buttons
    tap(page, ".walkfoot button", 2)
    until(page, "document.querySelector('dialog .switch input')")
    for name in range(1, 7):
        tap(page, "dialog .switch input", name)
    tap(page, "dialog .switch input", 7)
    link = page.run("document.querySelector('dialog input[readonly]').value")
    page.visit(link)
    until(page, "document.querySelector('.task')")
    assert page.run("document.querySelectorAll('.walksteps li').length") == 1
    assert page.run("document.querySelectorAll('header nav a').length") == 1
    assert page.run("document.querySelectorAll('.walkfoot button').length") == 2


@pytest.mark.parametrize(("stage", "language", "scheme"), [("layers", "zh", "dark"), ("photo", "en", "light")])
def test_each_walk_page_is_accessible_and_fits_a_phone(page, address, stage, language, scheme):
    page.prefer(scheme)
    page.resize(390, 844, phone=True)
    photo = "%7B%22photo%22%3A%22file%3Amine.png%22%7D"
    page.visit(f"{address}/#{WALK}&stage={stage}&lang={language}&walk={photo}")
    until(page, "document.querySelector('.task') && document.querySelector('.walkbars')")
    assert serious_problems(page) == []
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert not page.run("/walk\\.[a-z]+\\./.test(document.body.textContent)")

"""A whole round of the review loop, from an empty folder to a promoted model, in the browser by keys alone."""

import csv
import subprocess
import sys

import pytest
from page_actions import press, tab_to, type_text, until
from PIL import Image

from muslin.data.synthetic import make_garments
from muslin.review.store import Store
from studio_server import running_studio

N_FIRST, N_SHOP = 40, 240
WORK_S = 300
SETTINGS = ("--set", "epochs=2", "--set", "batch_size=20")  # more images are more steps, so the second model is better


def run(folder, *words):
    subprocess.run([sys.executable, "-m", "muslin", *words], cwd=folder, check=True, capture_output=True)


def write_catalogue(folder, name, count, seed, *, labelled):
    """A catalogue of garments with their photos in `folder`; the true classes by photo."""
    garments = make_garments(count, seed=seed)
    classes = garments.dataset.targets[0].classes
    truth = {}
    for number, (pixels, label) in enumerate(zip(garments.dataset.images.pixels, garments.true_labels, strict=True)):
        photo = f"{name}_{number}.png"
        Image.fromarray(pixels[..., 0]).save(folder / photo)
        truth[photo] = classes[label]
    with (folder / f"{name}.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["image", "label"] if labelled else ["image"])
        writer.writerows([photo, label] if labelled else [photo] for photo, label in truth.items())
    return truth


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a store whose model learned from a few garments, and the true classes of its products."""
    folder = tmp_path_factory.mktemp("round")
    write_catalogue(folder, "first", N_FIRST, 3, labelled=True)
    truth = write_catalogue(folder, "shop", N_SHOP, 4, labelled=False)
    run(folder, "train", "first.csv", "--recipe", "quick", *SETTINGS, "--out", "run")
    run(folder, "review", "init", "shop.db", "--model", "run", "--spot-checks", "0.7", "--precision", "0.6")
    run(folder, "review", "add", "shop.db", "shop.csv")
    return folder, truth


def decide_page(page, truth):
    """Give every wrong photo of the page its class by its key, and confirm the page."""
    names = page.run("[...document.querySelectorAll('.photo .name')].map(n => n.textContent)")
    predicted = page.run("document.querySelector('#what').textContent")
    classes = page.run("[...document.querySelectorAll('.decide .list button span')].map(s => s.textContent)")
    for name in names:
        if truth[name] != predicted:
            press(page, "1234567890"[classes.index(truth[name])])
        press(page, "ArrowRight")
    press(page, "Enter")
    until(page, f"document.querySelector('.photo .name')?.textContent !== {names[0]!r}")


def wait_for_work(page, words):
    """Wait until a training or promotion has ended with `words`, or otherwise."""
    log = "document.querySelector('.worklog').textContent"
    until(page, f"[{words!r}, 'Not promoted', 'did not work'].some(words => {log}.includes(words))", WORK_S)
    assert words in page.run(log)


@pytest.mark.slow
def test_a_whole_round_with_the_keyboard_alone(browser, shop):
    folder, truth = shop
    browser.resize(1280, 900)
    with running_studio(folder, "review", "serve", str(folder / "shop.db")) as address:
        browser.visit(f"{address}/#page=review")
        until(browser, "document.querySelector('dialog input') === document.activeElement")
        type_text(browser, "Ana")
        press(browser, "Enter")
        until(browser, "document.activeElement.matches('.face')")
        while browser.run("document.querySelector('.ended') === null"):
            decide_page(browser, truth)
            until(browser, "document.querySelector('.ended') !== null || document.activeElement.matches('.face')")
        tab_to(browser, "e.matches('.ended .main')")
        press(browser, "Enter")
        until(browser, "document.querySelector('.modelrows .stamp') !== null")
        tab_to(browser, "e.matches('.status .buttons .main')")
        press(browser, "Enter")
        wait_for_work(browser, "is trained")
        until(browser, "document.querySelectorAll('.modelrows li').length === 2")
        tab_to(browser, "e.matches('.modelrows button')")
        press(browser, "Enter")
        wait_for_work(browser, "is active")
        until(browser, "document.querySelector('.past li')?.textContent.startsWith('Promoted')")
    with Store.open(folder / "shop.db") as store:
        assert [each.kind for each in store.promotions()] == ["init", "promote"]
        decided = {store.product(each.product).photos[0]: each.value for each in store.decided("label")}
    assert len(decided) > N_SHOP / 2
    assert all(truth[photo] == value for photo, value in decided.items())

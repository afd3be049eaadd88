"""The review page in a real browser: by pointer, by keys alone, without a connection, by two people, on a phone."""

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium
from page_actions import click, point, press, serious_problems, tab_to, type_text, until

from muslin.data.dataset import Target
from muslin.evaluation.learning_curve import Forecast
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct, StoreSettings
from muslin.storage.atomic import cache_folder
from muslin.studio.job_process import first_state, write_state
from muslin.workflows.review_forecast import TargetForecast
from review_shop import make_review_shop
from review_stores import decision_on
from small_models import small_bundle

COUNT = 240
PAGE = 48
LABELS = Target("labels", ("cotton", "red", "striped"), "multilabel")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("review")


@pytest.fixture
def shop(folder, tmp_path):
    """The name of a fresh store below the studio's folder."""
    make_review_shop(folder / tmp_path.name, COUNT)
    return f"{tmp_path.name}/shop.db"


@pytest.fixture
def page(browser, address):
    """A desktop browser with the light theme and empty storage. Afterwards: all requests went to the studio."""
    browser.console.clear()
    browser.requested.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.visit(f"{address}/static/colours.css")
    browser.run("localStorage.clear(); sessionStorage.clear()")
    yield browser
    browser._network(offline=False)
    assert [a for a in browser.requested if not a.startswith((f"{address}/", "data:", "about:"))] == []


def open_room(page, address, shop, more="", who="Ana"):
    """Open the store's room as `who`."""
    page.run(f"localStorage.setItem('muslin-review-who', {who!r})")
    page.visit(f"{address}/#page=review&store={shop}{more}")
    until(page, "document.querySelectorAll('.photo .face').length > 0 && !document.querySelector('.waiting')")


def decided(folder, shop, target="label"):
    """The decisions of a store that count: product → (kind, value, who)."""
    with Store.open(folder / shop) as store:
        return {each.product: (each.kind, each.value, each.who) for each in store.decided(target)}


def queue_size(folder, shop):
    with Store.open(folder / shop) as store:
        return store.counts("label").queue.total


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)
    return found


def products_shown(page):
    """The names of the products on the page."""
    return page.run("[...document.querySelectorAll('.photo .under .name')].map(n => n.textContent)")


def test_a_page_is_decided_with_a_click_per_wrong_photo(page, address, folder, shop):
    open_room(page, address, shop)
    predicted = page.run("document.querySelector('#what').textContent")
    shown = page.run("document.querySelectorAll('.photo').length")
    assert 1 < shown <= PAGE
    click(page, ".photo .face", 1)
    corrected = page.run("document.querySelectorAll('.photo')[1].querySelector('.says').textContent")
    assert corrected in ("Trouser", "Shirt")
    assert corrected != predicted
    click(page, ".confirm .main")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    found = decided(folder, shop)
    assert len(found) == shown
    assert sorted(value for _, value, _ in found.values()) == sorted([predicted] * (shown - 1) + [corrected])
    assert {who for _, _, who in found.values()} == {"Ana"}
    assert page.console == []


def test_a_proposed_class_over_a_photo_is_one_click(page, address, folder, shop):
    open_room(page, address, shop, "&view=search&filters=%7B%22values%22%3A%5B%22Bag%22%5D%7D")
    point(page, ".photo .face", 2)
    until(page, "getComputedStyle(document.querySelectorAll('.photo')[2].querySelector('.chips')).opacity === '1'")
    proposed = page.run(
        "[...document.querySelectorAll('.photo')[2].querySelectorAll('.chips button')].map(b => b.textContent)"
    )
    assert proposed == ["Trouser", "Shirt"]
    click(page, ".photo:nth-child(3) .chips button", 1)
    assert page.run("document.querySelectorAll('.marked').length") == 1
    click(page, ".confirm .main")
    wait_for(lambda: list(decided(folder, shop).values()) == [("value", "Shirt", "Ana")])


def test_undo_brings_the_page_back_with_its_marks(page, address, folder, shop):
    open_room(page, address, shop)
    before = products_shown(page)
    click(page, ".photo .face", 0)
    click(page, ".confirm .main")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    after = products_shown(page)
    assert not set(before) & set(after)
    press(page, "u")
    assert products_shown(page) == before
    assert page.run("document.querySelectorAll('.marked').length") == 1
    wait_for(lambda: decided(folder, shop) == {})
    press(page, "Enter")
    wait_for(lambda: len(decided(folder, shop)) == len(before))
    until(page, f"document.querySelector('.photo .under .name').textContent === {after[0]!r}")
    with Store.open(folder / shop) as store:
        product = next(iter(decided(folder, shop)))
        assert [each.kind for each in store.history(product, "label")].count("undo") == 1


def test_a_lost_connection_loses_no_decision(page, address, folder, shop):
    open_room(page, address, shop)
    until(page, "performance.getEntriesByType('resource').filter(e => e.name.endsWith('/next')).length >= 2")
    page.run("new Promise(done => setTimeout(done, 300))")
    page._network(offline=True)
    first = products_shown(page)
    press(page, "Enter")
    until(page, f"document.querySelector('.photo .under .name').textContent !== {first[0]!r}")
    press(page, " ")
    second = products_shown(page)
    press(page, "Enter")
    until(page, "document.querySelector('.connection') !== null")
    kept = page.run("Object.keys(localStorage).filter(k => k.includes(' /') || k.includes('muslin-review/')).length")
    assert kept == 2
    assert decided(folder, shop) == {}
    page._network(offline=False)
    page.run("dispatchEvent(new Event('online'))")
    until(page, "document.querySelector('.connection') === null")
    wait_for(lambda: len(decided(folder, shop)) == len(first) + len(second))


def test_the_status_says_that_decisions_are_being_saved(page, address, folder, shop):
    open_room(page, address, shop)
    page.call("Network.setBlockedURLs", urls=["*/api/review/decide"])
    first = products_shown(page)
    press(page, "Enter")
    until(page, "document.querySelector('.connection') !== null")
    page.run("location.hash += '&view=status'")
    until(page, "document.querySelector('[aria-labelledby=models] .note') !== null")
    notes = "[...document.querySelectorAll('[aria-labelledby=models] .note')].map(n => n.textContent).join()"
    assert f"{len(first)} decisions are still being saved" in page.run(notes)
    assert decided(folder, shop) == {}
    page.call("Network.setBlockedURLs", urls=[])
    page.run("dispatchEvent(new Event('online'))")
    until(page, f"!{notes}.includes('being saved')")
    assert len(decided(folder, shop)) == len(first)


def forget_classes(path):
    """A store that was put back from a copy without the classes that people have added."""
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute("DELETE FROM classes").rowcount > 0
    connection.close()


def test_a_refused_decision_comes_back_and_the_others_are_saved(page, address, folder, shop):
    open_room(page, address, shop)
    shown = products_shown(page)
    press(page, "f")
    type_text(page, "Scarf")
    press(page, "Enter")  # a new class
    until(page, "document.querySelector('.marked .says')?.textContent === 'Scarf'")
    forget_classes(folder / shop)
    click(page, ".confirm .main")
    returned = "[...document.querySelectorAll('.photo')].find(photo => photo.querySelector('.refusal'))"
    until(page, f"{returned} !== undefined")
    assert products_shown(page)[-1] == shown[0]
    wait_for(lambda: len(decided(folder, shop)) == len(shown) - 1)
    page.run("window.isBefore = true")
    page.reload()
    until(page, f"!window.isBefore && {returned} !== undefined")
    for selector, words in ((".name", shown[0]), (".says", "Scarf"), (".refusal", "Scarf")):
        assert words in page.run(f"{returned}.querySelector({selector!r}).textContent")
    assert shown[0] in page.run("document.querySelector('.connection').textContent")
    assert serious_problems(page) == []
    with Store.open(folder / shop) as store:
        store.add_class("label", "Scarf", "Ben")
    count = len(shown) - 1 + len(products_shown(page))
    click(page, ".confirm .main")
    wait_for(lambda: len(decided(folder, shop)) == count)
    assert [value for _, value, _ in decided(folder, shop).values()].count("Scarf") == 1
    until(page, "document.querySelector('.connection') === null")


def test_undo_after_a_refusal_takes_back_what_was_saved(page, address, folder, shop):
    open_room(page, address, shop)
    shown = products_shown(page)
    press(page, "f")
    type_text(page, "Scarf")
    press(page, "Enter")
    until(page, "document.querySelector('.marked .says')?.textContent === 'Scarf'")
    forget_classes(folder / shop)
    click(page, ".confirm .main")
    until(page, "document.querySelector('.photo .refusal') !== null")
    wait_for(lambda: len(decided(folder, shop)) == len(shown) - 1)
    press(page, "u")
    wait_for(lambda: decided(folder, shop) == {})
    until(page, f"document.querySelectorAll('.photo').length >= {len(shown) - 1}")
    assert set(shown[1:]) <= set(products_shown(page))


def test_a_photo_that_did_not_come_is_asked_for_again(page, address, shop):
    page.call("Network.setBlockedURLs", urls=["*/api/review/photo*"])
    try:
        open_room(page, address, shop)
        until(page, "document.querySelectorAll('.photo .again').length === document.querySelectorAll('.photo').length")
    finally:
        page.call("Network.setBlockedURLs", urls=[])
    click(page, ".photo .again")
    until(page, "document.querySelector('.photo img')?.naturalWidth > 0")
    assert page.run("document.querySelector('.photo .again') !== null"), "the others wait for the person"


@pytest.mark.parametrize(("view", "bands"), [("queue", []), ("search", ["✓ Shirt"])])
def test_a_refused_decision_can_be_discarded(page, address, folder, tmp_path, view, bands):
    make_review_shop(folder / tmp_path.name, 2)
    shop = f"{tmp_path.name}/shop.db"
    with Store.open(folder / shop) as store:
        first, _ = store.items("label", sort="added")
        store.decide([decision_on(first, "Shirt")], "Ben")
    open_room(page, address, shop, f"&view={view}")
    press(page, "f")
    type_text(page, "Scarf")
    press(page, "Enter")
    until(page, "document.querySelector('.marked .says')?.textContent === 'Scarf'")
    forget_classes(folder / shop)
    click(page, ".confirm .main")
    until(page, "document.querySelector('.marked .refusal') !== null")  # in the queue, on a page of its own
    click(page, ".refusal button")
    until(page, "document.querySelector('.refusal, .connection, .marked') === null")
    shown = "[...document.querySelectorAll('.photo .says:not(.asPredicted)')].map(e => e.textContent)"
    assert page.run(shown) == bands
    assert page.run("Object.values(localStorage).some(kept => kept.includes('Scarf'))") is False
    assert list(decided(folder, shop).values()) == [("value", "Shirt", "Ben")]


@contextmanager
def studio_at(folder: Path, port: int) -> Iterator[None]:
    """A studio at a port, until the end of the block, when it is killed."""
    command = [sys.executable, "-m", "muslin", "studio", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            next(line for line in process.stderr if "http://" in line)
            yield
        finally:
            process.kill()


def test_decisions_wait_for_a_studio_that_starts_again(tmp_path):
    make_review_shop(tmp_path / "shop", COUNT)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with chromium() as page:
        with studio_at(tmp_path, port):
            page.visit(f"http://127.0.0.1:{port}/static/colours.css")
            open_room(page, f"http://127.0.0.1:{port}", "shop/shop.db")
            count = len(products_shown(page))
        press(page, "Enter")
        until(page, "document.querySelector('.connection') !== null")
        assert decided(tmp_path, "shop/shop.db") == {}
        with studio_at(tmp_path, port):  # another process with another token
            until(page, "document.querySelector('.connection') === null")
            wait_for(lambda: len(decided(tmp_path, "shop/shop.db")) == count)


def test_a_reload_keeps_marks_and_page(page, address, folder, shop):
    open_room(page, address, shop)
    shown = products_shown(page)
    press(page, "ArrowRight")
    press(page, "n")
    page.run("window.isBefore = true")
    page.reload()
    until(page, "!window.isBefore && document.querySelectorAll('.photo.is-not_sure').length === 1")
    assert products_shown(page) == shown
    while page.run("document.querySelector('.ended') === null"):  # no product is left on a page that was reloaded
        first = products_shown(page)[0]
        press(page, "Enter")
        until(page, f"document.querySelector('.photo .name')?.textContent !== {first!r}")
        until(page, "document.querySelector('.waiting') === null")
    wait_for(lambda: len(decided(folder, shop)) == queue_size(folder, shop))


def test_a_room_works_with_the_keyboard_alone(page, address, folder, shop):
    page.visit(f"{address}/#page=review")
    until(page, "document.querySelector('.card a') !== null")
    tab_to(page, f"e.textContent === 'shop.db' && e.href.includes({shop.split('/')[0]!r})")
    press(page, "Enter")
    until(page, "document.querySelector('dialog[open] input') === document.activeElement")
    type_text(page, "Ana")
    press(page, "Enter")
    until(page, "document.activeElement.matches('.face')")
    names = products_shown(page)
    press(page, "ArrowRight")
    press(page, " ")  # wrong, with a proposed class
    press(page, "ArrowRight")
    press(page, "n")
    press(page, "ArrowRight")
    press(page, "x")
    press(page, "ArrowRight")
    press(page, "z")
    until(page, "document.querySelector('dialog.zoom[open]') !== null")
    press(page, "ArrowRight")
    assert page.run("document.querySelector('dialog h2').textContent") == names[5]
    press(page, "m")
    type_text(page, "label is torn")
    press(page, "Enter")
    press(page, "f")
    type_text(page, "Scarf")
    press(page, "Enter")  # a new class
    until(page, "document.querySelector('dialog .says')?.textContent === 'Scarf'")
    press(page, "Escape")
    until(page, "document.activeElement.matches('.face')")
    press(page, "Enter")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    with Store.open(folder / shop) as store:
        assert "Scarf" in store.classes("label")
        found = {store.item(each.product, "label").name: each for each in store.decided("label")}
    assert [found[name].kind for name in names[1:6]] == ["value", "not_sure", "not_ours", "value", "value"]
    assert found[names[5]].value == "Scarf"
    assert found[names[5]].note == "label is torn"
    while page.run("document.querySelector('.photo .face') !== null"):  # the rest of the queue, one key a page
        first = products_shown(page)[0]
        press(page, "Enter")
        is_next = f"document.querySelector('.photo .under .name')?.textContent !== {first!r}"
        until(page, f"{is_next} && !document.querySelector('.waiting')")
    until(page, "document.querySelector('.ended') !== null")
    with Store.open(folder / shop) as store:
        assert wait_for(lambda: store.counts("label").queue.left == 0)


def test_similar_photos_are_decided_by_their_own_key_alone(page, address, folder, shop):
    open_room(page, address, shop)
    shown = set(products_shown(page))
    for key in ("Enter", "Escape"):
        press(page, "s")
        until(page, "document.querySelector('dialog.similar .photo:not(.out) .face') === document.activeElement")
        press(page, key)
        assert page.run("document.querySelectorAll('dialog.similar .out').length") == 0
        assert page.run("document.querySelector('.last .link')") is None, "nothing is decided"
        if key == "Enter":
            press(page, "Escape")
        until(page, "document.querySelector('dialog') === null")
    press(page, "a")  # without the dialog it does nothing
    press(page, "Enter")
    wait_for(lambda: len(decided(folder, shop)) == len(shown))
    with Store.open(folder / shop) as store:
        assert {store.item(product, "label").name for product in decided(folder, shop)} == shown
    until(page, "document.querySelector('.photo .face') === document.activeElement")
    press(page, "s")
    until(page, "document.querySelector('dialog.similar .photo .face') === document.activeElement")
    similar = page.run("document.querySelectorAll('dialog.similar .photo').length")
    press(page, " ")  # leaves one out
    press(page, "a")
    wait_for(lambda: len(decided(folder, shop)) == len(shown) + similar - 1)


def test_a_key_can_be_changed_and_stays_so(page, address, folder, shop):
    open_room(page, address, shop)
    page.run("[...document.querySelectorAll('.top button')].at(-1).click()")
    tab_to(page, "e.matches('.keybutton') && e.getAttribute('aria-label').includes('not sure')")
    press(page, "Enter")
    press(page, "q")
    press(page, "Escape")
    press(page, "q")
    until(page, "document.querySelectorAll('.is-not_sure').length === 1")
    press(page, "n")
    assert page.run("document.querySelectorAll('.is-not_sure').length") == 1
    page.reload()
    until(page, "document.querySelector('.kinds kbd')?.textContent === 'Q'")


def test_a_key_that_is_held_confirms_one_page(page, address, shop):
    open_room(page, address, shop)
    before = products_shown(page)
    key = {"key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    page.call("Input.dispatchKeyEvent", type="keyDown", **key)
    until(page, f"document.querySelector('.photo .name')?.textContent !== {before[0]!r}")
    until(page, "document.activeElement.matches('.face')")
    after = products_shown(page)
    for _ in range(3):
        page.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=True, **key)
    page.run("new Promise(requestAnimationFrame)")
    assert products_shown(page) == after
    page.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", windowsVirtualKeyCode=13)


def test_several_labels_are_switched_one_by_one(page, address, folder, tmp_path):
    place = folder / tmp_path.name
    make_review_shop(place, 1)
    seal(small_bundle(LABELS), place / "labels.muslin")
    with Store.create(
        place / "labels.db", place / "labels.muslin", who="Ada", settings=StoreSettings(spot_checks=0)
    ) as store:
        catalogue = store.add_catalogue(place / "catalogue.csv", {})
        prediction = NewPrediction('["cotton", "red"]', 0.5, "review", ("cotton",))
        new = [NewProduct(f"P{n}", f"f{n}", ("0.png",), "", {"labels": prediction}) for n in range(3)]
        store.put_products(catalogue, new, store.active.digest)
    shop = f"{tmp_path.name}/labels.db"
    open_room(page, address, shop)
    assert page.run("document.querySelector('#what').textContent") == "cotton + red"
    press(page, "2")
    press(page, "3")
    assert page.run("document.querySelector('.marked .says').textContent") == "cotton + striped"
    press(page, "ArrowRight")
    press(page, " ")
    press(page, "Enter")  # nothing is decided while one photo has no labels
    assert page.run("document.querySelector('.marked.current .says').textContent") == "Which labels?"
    for key in "12":
        press(page, key)
    press(page, "Enter")
    found = wait_for(lambda: decided(folder, shop, "labels"))
    assert [value for _, value, _ in found.values()] == ['["cotton", "striped"]', "[]", '["cotton", "red"]']


@pytest.fixture
def two_targets(folder, tmp_path):
    """The name of a store with two targets, `kind` and `tone`, and three products to review."""
    place = folder / tmp_path.name
    make_review_shop(place, 1)
    targets = Target("kind", ("Trouser", "Shirt", "Bag")), Target("tone", ("dark", "light"))
    seal(small_bundle(*targets), place / "two.muslin")
    vectors = [np.array(pair, np.float16).tobytes() for pair in ((1, 0), (0.9, 0.4), (0, 1))]
    with Store.create(
        place / "two.db", place / "two.muslin", who="Ada", settings=StoreSettings(spot_checks=0)
    ) as store:
        catalogue = store.add_catalogue(place / "catalogue.csv", {})
        found = {
            "kind": NewPrediction("Bag", 0.5, "review", ("Bag",)),
            "tone": NewPrediction("dark", 0.5, "review", ("dark",)),
        }
        new = [NewProduct(f"P{n}", f"f{n}", ("0.png",), "", found, vector) for n, vector in enumerate(vectors)]
        store.put_products(catalogue, new, store.active.digest)
    return f"{tmp_path.name}/two.db"


def test_the_end_of_a_queue_leads_to_the_other_target(page, address, folder, two_targets):
    open_room(page, address, two_targets, "&target=gone")  # as an address of another store has it
    assert page.run("document.querySelector('#what').textContent") == "Bag"
    press(page, "Enter")
    until(page, "document.querySelector('.ended .main')?.textContent.includes('tone')")
    click(page, ".ended .main")
    until(page, "document.querySelector('#what').textContent === 'dark'")
    until(page, "document.activeElement.matches('.face') || document.querySelector('.photo .face') !== null")
    click(page, ".confirm .main")
    until(page, "document.querySelector('.ended') !== null")
    wait_for(lambda: len(decided(folder, two_targets, "tone")) == 3)
    until(page, "document.querySelector('.ended .main')?.textContent === 'Status'")
    assert len(decided(folder, two_targets, "kind")) == 3


def test_undo_brings_back_photos_decided_as_similar(page, address, folder, two_targets):
    with Store.open(folder / two_targets) as store:
        first = store.items("kind", sort="added")[0]
    open_room(page, address, two_targets, "&view=search")
    press(page, "s")
    until(page, "document.querySelector('dialog.similar .photo:not(.out) .face') === document.activeElement")
    press(page, "a")
    wait_for(lambda: len(decided(folder, two_targets, "kind")) == 2)
    until(page, "document.querySelector('dialog') === null")
    press(page, "u")
    wait_for(lambda: decided(folder, two_targets, "kind") == {})
    with Store.open(folder / two_targets) as store:
        assert len(store.similar(first.product, "kind")) == 2


def test_two_people_get_other_photos_and_learn_of_each_other(page, address, folder, shop):
    open_room(page, address, shop)
    mine = set(products_shown(page))
    with Store.open(folder / shop) as store:
        theirs = {item.name for item in store.next_items("label", "Ben", 200)}
        assert not mine & theirs
        item = next(item for item in store.items("label", count=COUNT) if item.name in mine)
        store.decide([decision_on(item, "Bag")], "Ben")
    press(page, "Enter")
    until(page, "document.querySelector('.last').textContent.includes('others')")
    press(page, "h")
    until(page, "document.querySelector('.batches .note')?.textContent.includes('Ben')")
    assert decided(folder, shop)[item.product][2] == "Ana"


def test_the_search_finds_and_changes_a_decision(page, address, folder, shop):
    open_room(page, address, shop)
    press(page, "Enter")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    n = len(decided(folder, shop))
    open_room(page, address, shop, "&view=search&filters=%7B%22state%22%3A%22decided%22%7D")
    assert page.run("document.querySelectorAll('.photo').length") == min(n, PAGE)
    press(page, "x")
    press(page, "Enter")
    wait_for(
        lambda: sorted(kind for kind, _, _ in decided(folder, shop).values()) == ["not_ours"] + ["value"] * (n - 1)
    )
    name = page.run("document.querySelector('.photo .name').textContent")
    assert n > 1
    page.run(
        f"""(() => {{
          const field = document.querySelector('.search .text input');
          field.value = {name!r};
          field.dispatchEvent(new Event('input', {{bubbles: true}}));
        }})()"""
    )
    until(page, f"location.hash.includes({name.replace(' ', '+')!r})")
    names = "[...document.querySelectorAll('.photo .name')].map(each => each.textContent)"
    until(page, f"(names => names.length > 0 && names.every(each => each.includes({name!r})))({names})")


def test_nothing_moves_while_a_person_works(page, address, shop):
    open_room(page, address, shop)
    page.run(
        "window.moved = []; new PerformanceObserver(l => window.moved.push(...l.getEntries().map(e => e.value)))"
        ".observe({type: 'layout-shift'})"
    )
    places = """['.photo', '.confirm .main', '.last>button', '.classes'].map(s => {
      const r = document.querySelector(s).getBoundingClientRect();
      return [r.x, r.y, r.width, r.height];
    })"""
    before = page.run(places)
    for key in (" ", "ArrowRight", "n", "ArrowDown", "1"):
        press(page, key)
        assert page.run(places) == before, key
    press(page, "Enter")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    assert page.run(places) == before
    assert page.run("window.moved.reduce((sum, value) => sum + value, 0)") < 0.01  # texts, in their own places


def test_the_status_shows_a_forecast_with_its_band(page, address, folder, shop):
    found = TargetForecast("label", None, 0.98, (Forecast(500, 100, 0.71, 0.78, (0.76, 0.81), 0.9, 0.91, (0.9, 0.93)),))
    result = {
        "target": "label",
        "forecasts": [vars(each) for each in found.forecasts],
        "messages": list(found.messages),
    }
    with Store.open(folder / shop) as store:
        work = cache_folder() / "review-work" / f"{store.info.id}-forecast"
    work.mkdir(parents=True)
    write_state(work, first_state("forecast", "Ana") | {"is_running": False, "result": result})  # as its process does
    open_view(page, address, shop, "&view=status")
    until(page, "document.querySelectorAll('#more ~ .interval i').length === 1")
    assert "76–81 %" in page.run("document.querySelector('#more ~ .interval p').textContent")
    line, band = (
        f"document.querySelector('#more ~ .interval {name}').getBoundingClientRect()" for name in (".line", "i")
    )
    assert page.run(f"({band}.x - {line}.x) / {line}.width") == pytest.approx(0.76, abs=0.01)
    assert page.run(f"{band}.width / {line}.width") == pytest.approx(0.05, abs=0.01)
    assert serious_problems(page) == []


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_axe_finds_no_serious_problem_in_the_room(page, address, shop, width, scheme, language):
    page.resize(width, 900, phone=width < 500)
    page.prefer(scheme)
    page.visit(f"{address}/#page=review&lang={language}")
    until(page, "document.querySelector('.card a') !== null")
    states = [check(page, "stores", width)]
    page.visit(f"{address}/#page=review&store={shop}&lang={language}")
    until(page, "document.querySelector('dialog[open]') !== null")
    states.append(check(page, "name", width))
    open_room(page, address, shop, f"&lang={language}")
    for key in (" ", "ArrowRight", "n"):
        press(page, key)
    states.append(check(page, "queue", width))
    press(page, "z")
    states.append(check(page, "zoom", width))
    press(page, "Escape")
    press(page, "Enter")
    until(page, "document.querySelector('.last .link') !== null")
    press(page, "h")
    states.append(check(page, "happened", width))
    press(page, "Escape")
    page.run("[...document.querySelectorAll('.top button')].at(-1).click()")
    states.append(check(page, "keys", width))
    press(page, "Escape")
    for view in ("search", "status"):
        open_view(page, address, shop, f"&lang={language}&view={view}")
        page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        states.append(check(page, view, width))
    assert [state for state in states if state[1]] == []


def open_view(page, address, shop, more):
    page.visit(f"{address}/#page=review&store={shop}{more}")
    until(page, "document.querySelector('.status .panel, .photo img') !== null")


def check(page, name, width):
    page.run("new Promise(done => setTimeout(done, 200))")  # after transitions, whose colours are between two
    assert page.run("document.documentElement.scrollWidth") <= width, name
    return name, serious_problems(page)

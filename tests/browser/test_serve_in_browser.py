"""The page of `muslin serve` in a real browser: drop, paste, photograph; what is shown is what the server predicts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, chromium
from page_actions import click, drop, press, serious_problems, tab_to, type_text, until

from muslin.models.bundle import seal
from server_process import Served, gray, running_server
from small_models import small_bundle, with_calibration, with_ood_detector

CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
VERDICTS = "[...document.querySelectorAll('.card .verdict')].map(e => e.textContent.replaceAll('\\u00a0', ' '))"
DONE = "document.querySelectorAll('.card .verdict').length >= {}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("serve")
    bundle = with_ood_detector(with_calibration(small_bundle()), 0.05, 0.95)
    for name in ("shirts", "shoes"):
        seal(bundle, folder / f"{name}.muslin")
    with running_server(str(folder / "shirts.muslin"), str(folder / "shoes.muslin")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium(*CAMERA) as page:
        yield page


@pytest.fixture
def page(browser: Page, served: Served) -> Iterator[Page]:
    """The page, opened anew in English, in the light and on a desk; it has no error when the test ends."""
    browser.console.clear()
    browser.resize(1100, 900)
    browser.prefer("light")
    browser.visit(f"{served.address}/")
    until(browser, "document.querySelector('.drop') !== null")
    yield browser
    assert browser.console == []
    assert [url for url in browser.requested if not url.startswith((served.address, "about:", "blob:", "data:"))] == []


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A dark, a bright and a black image."""
    made = [tmp_path / f"{name}.png" for name in ("dark", "bright", "black")]
    for path, brightness in zip(made, (60, 200, 0), strict=True):
        path.write_bytes(gray(brightness))
    return made


def shown(page: Page) -> list[str]:
    """What the cards say, the newest first: label, probability and decision."""
    return [" ".join(text.split()) for text in page.run(VERDICTS)]


def expected(served: Served, *paths: Path, **query: object) -> list[str]:
    results = served.predict(*(path.read_bytes() for path in paths), model="shirts", **query).json()["results"]
    found = [each["predictions"]["label"] for each in results]
    return [f"{each['label']} {100 * each['probability']:.1f} % {each['decision']}" for each in found]


def choose(page: Page, words: str, value: str) -> None:
    """Choose in the list with this label."""
    page.run(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('change', {{ bubbles: true }})); }})("
        f"[...document.querySelectorAll('label')].find(e => e.textContent.includes({words!r})).querySelector('select'))"
    )


def test_dropped_images_show_what_the_server_predicts(page: Page, served: Served, photos: list[Path]) -> None:
    drop(page, *photos)
    until(page, DONE.format(3))
    assert shown(page) == expected(served, *photos)
    assert any(text.endswith("out of scope") for text in shown(page))
    assert page.run("[...document.querySelectorAll('.card img')].every(e => e.complete && e.naturalWidth === 8)")
    assert page.run("[...document.querySelectorAll('.card .words')].every(e => / ms/.test(e.textContent))")
    choose(page, "Precision", "0.99")
    until(page, "!document.querySelector('.resultshead .soft').textContent")
    assert shown(page) == expected(served, *photos, precision=0.99)


def test_another_model_predicts_all_images_again(page: Page, photos: list[Path]) -> None:
    drop(page, photos[0])
    until(page, DONE.format(1))
    choose(page, "Model", "shoes")
    until(page, "document.querySelector('.card .words').textContent.includes('shoes')")
    assert "model=shoes" in page.run("document.querySelector('.api pre').textContent")


def test_pasted_image_is_predicted(page: Page, served: Served, photos: list[Path]) -> None:
    content = list(photos[1].read_bytes())
    page.run(
        f"(d => {{ d.items.add(new File([new Uint8Array({content})], 'pasted.png', {{ type: 'image/png' }}));"
        "dispatchEvent(new ClipboardEvent('paste', { clipboardData: d, bubbles: true })); })(new DataTransfer()); 0"
    )
    until(page, DONE.format(1))
    assert shown(page) == expected(served, photos[1])


def test_photo_is_taken_with_the_camera(page: Page) -> None:
    click(page, ".drop .buttons button", 1)
    until(page, "document.querySelector('video')?.videoWidth > 0")
    click(page, ".viewfinder .main")
    until(page, DONE.format(1))
    assert page.run("document.querySelector('.card h3').textContent") == "photo"
    assert page.run("document.querySelector('video')") is None


def test_photos_of_a_product_have_one_prediction(page: Page, photos: list[Path]) -> None:
    click(page, ".toolbar .switch")
    drop(page, *photos[:2])
    until(page, DONE.format(1))
    assert page.run("document.querySelectorAll('.card').length") == 1
    assert page.run("document.querySelectorAll('.card img').length") == 2


def test_unreadable_file_is_told_and_the_others_are_predicted(page: Page, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"<html></html>")
    drop(page, tmp_path / "page.png", photos[0])
    until(page, DONE.format(1) + " && document.querySelector('.card .error')")
    assert "page.png" in page.run("document.querySelector('.card .error').textContent")
    page.console[:] = [line for line in page.console if "415" not in line]  # the browser tells of each refusal
    click(page, ".resultshead button")
    assert page.run("document.querySelectorAll('.card').length") == 0


def test_other_language_holds_for_all_that_is_shown(page: Page, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(b"<html></html>")
    drop(page, tmp_path / "page.png")
    error = "document.querySelector('.card .error')?.textContent"
    until(page, f"{error}?.includes('Download the photo')")
    assert page.run("document.querySelector('.card .notice button')") is None  # the same file would be refused again
    choose(page, "Language", "zh")
    until(page, f"/[\u4e00-\u9fff]/.test({error} || '')")
    choose(page, "语言", "en")
    until(page, f"{error}?.includes('Download the photo')")
    page.console[:] = [line for line in page.console if "415" not in line]  # the browser tells of each refusal


def test_more_images_than_the_page_keeps_are_counted(page: Page, photos: list[Path]) -> None:
    page.run(
        "(d => { for (let i = 0; i < 203; i += 1) d.items.add(new File(['GIF89a'], `${i}.gif`, { type: 'image/gif' }));"
        "dispatchEvent(new ClipboardEvent('paste', { clipboardData: d })); })(new DataTransfer()); 0"
    )
    until(page, "document.querySelector('.notice') !== null")
    assert page.run("document.querySelectorAll('.card').length") == 200
    assert "200 of these 203" in page.run("document.querySelector('.notice').textContent")
    click(page, ".resultshead button")
    until(page, "document.querySelectorAll('.card').length === 0")
    page.console[:] = [line for line in page.console if "415" not in line]  # the browser tells of each refusal


def test_keys_alone_are_enough(page: Page, photos: list[Path]) -> None:
    drop(page, *photos[:2])
    until(page, DONE.format(2))
    tab_to(page, "e.matches('.drop button')")
    page.run("document.querySelector('.drop input').onclick = e => { e.target.id = 'x'; return false; }")
    press(page, "Enter")
    assert page.run("document.querySelector('.drop input').id") == "x"
    tab_to(page, "e.matches('.card .cross')")
    press(page, "Enter")
    until(page, "document.querySelectorAll('.card').length === 1")
    assert page.run("document.activeElement.id") == "results"
    tab_to(page, "e.matches('.api summary')")
    page.run("document.querySelector('.resultshead button').focus()")
    press(page, "Enter")
    until(page, "document.activeElement.matches('.drop button')")
    assert "bright.png: " in page.run("document.querySelector('p[role=status]').textContent")


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_page_is_accessible_and_fits_a_phone(page: Page, photos: list[Path], language: str, scheme: str) -> None:
    drop(page, *photos)
    until(page, DONE.format(3))
    page.prefer(scheme)
    page.resize(390, 844, phone=True)
    choose(page, page.run("document.querySelector('.pick span').textContent"), language)
    until(page, f"document.documentElement.lang.startsWith({language!r})")
    page.run("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    until(page, "document.querySelectorAll('.api dt').length > 5")
    assert serious_problems(page) == []
    assert page.run("document.documentElement.scrollWidth") == 390
    assert not page.run("/\\btry\\.[a-z]+/.test(document.body.textContent)")
    choose(page, page.run("document.querySelector('.pick span').textContent"), "en")


def test_server_with_a_token_asks_for_it(browser: Page, photos: list[Path], tmp_path: Path) -> None:
    seal(small_bundle(), tmp_path / "bags.muslin")
    with running_server(
        str(tmp_path / "bags.muslin"), "--root-path", "/shop", environment={"MUSLIN_TOKEN": "a-token"}
    ) as server:
        browser.resize(1100, 900)
        browser.visit(f"{server.address}/shop/")
        for token, wanted in (("wrong", "error"), ("a-token", "drop")):
            until(browser, "document.querySelector('input[type=password]') !== null")
            browser.run("document.querySelector('input[type=password]').select()")
            type_text(browser, token)
            press(browser, "Enter")
            until(browser, f"document.querySelector('.{wanted}') !== null")
        drop(browser, photos[0])
        until(browser, DONE.format(1))
        until(browser, "document.activeElement.matches('.drop button')")
        assert "a-token" not in browser.run("document.documentElement.outerHTML")
        assert "Authorization: Bearer" in browser.run("document.querySelector('.api pre').textContent")
    browser.console[:] = [line for line in browser.console if "401" not in line]  # the browser tells of each refusal
    assert browser.console == []

"""The home page in a real browser: an empty folder offers ways to begin, and dropped files become a data set."""

import struct
import zlib

import numpy as np
import pytest
from page_actions import drop, press, serious_problems, until
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (30, 60, 200)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """12 photos in a folder per class, with what systems and phones leave beside them."""
    shop = tmp_path_factory.mktemp("dropped") / "my shop"
    noise = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (shop / name).mkdir(parents=True)
        for n in range(4):
            pixels = np.clip(np.array(colour) + noise.integers(-30, 30, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(shop / name / f"{n}.jpg")
    (shop / ".DS_Store").write_bytes(b"x")
    return shop


@pytest.fixture
def page(browser, address):
    browser.console.clear()
    browser.resize(1280, 900)
    browser.prefer("light")
    browser.visit(f"{address}/")
    until(browser, "document.querySelector('.drop') !== null")
    return browser


def test_empty_folder_offers_data_a_drop_and_the_camera(page):
    offered = page.run("[...document.querySelectorAll('.offers > *')].map(e => e.textContent.trim().split('\\n')[0])")
    assert len(offered) == 4
    assert page.run("document.querySelectorAll('.drop button').length") == 2
    assert page.run("document.querySelector('.rows')") is None


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh")])
def test_axe_finds_no_serious_problem_on_the_home_page(page, address, width, scheme, language):
    page.resize(width, 900, phone=width < 500)
    page.prefer(scheme)
    page.visit(f"{address}/#lang={language}")
    until(page, "document.querySelector('.drop') !== null")
    assert serious_problems(page) == []
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_dropped_folder_opens_as_a_data_set(page, folder, shop):
    drop(page, shop)
    until(page, "location.hash.includes('page=data')")
    assert page.run("new URLSearchParams(location.hash.slice(1)).get('data')") == "imports/my shop"
    names = {path.relative_to(folder / "imports").as_posix() for path in (folder / "imports").rglob("*.*")}
    assert names == {f"my shop/{name}/{n}.jpg" for name in COLOURS for n in range(4)}
    assert (folder / "imports/my shop/red/0.jpg").read_bytes() == (shop / "red/0.jpg").read_bytes()
    page.run("document.querySelector('header a.brand').click()")  # a dispatched drop keeps the pointer
    until(page, "document.querySelector('.row h3')?.textContent === 'my shop'")
    assert "12 images" in page.run("document.querySelector('.rowfacts').textContent")


def test_files_that_cannot_be_used_are_told_with_what_to_do(page, tmp_path):
    heic, video, huge = tmp_path / "phone.heic", tmp_path / "clip.mp4", tmp_path / "poster.png"
    heic.write_bytes(b"\0\0\0\x18ftypheic")
    video.write_bytes(b"\0\0\0\x18ftypisom")
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    huge.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    drop(page, heic, video)
    until(page, "document.querySelectorAll('.notice p').length > 2")
    told = page.run("document.querySelector('.notice').textContent")
    assert all(word in told for word in ("phone.heic", "heif-convert", "clip.mp4", "ffmpeg"))
    drop(page, heic, huge)
    until(page, "document.querySelector('.notice')?.textContent.includes('10,000×10,000')")
    assert "page=data" not in page.run("location.hash")
    page.run("document.querySelector('.notice .main').click()")
    until(page, "location.hash.includes('page=data')")


def test_second_drop_of_one_name_replaces_nothing(page, folder, shop):
    drop(page, shop)
    until(page, "location.hash.includes('data=imports')")
    assert (folder / "imports/my shop-2/red/0.jpg").exists()
    assert (folder / "imports/my shop/red/0.jpg").exists()


def test_choosing_files_needs_no_pointer(page, shop):
    page.run("document.querySelector('.drop button').focus()")
    press(page, "Tab")
    assert page.run("document.activeElement.textContent") == "Choose a folder"
    page.call("DOM.enable")
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    field = page.call("DOM.querySelector", nodeId=root, selector=".drop input")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=field, files=[str(shop / "red/0.jpg"), str(shop / "red/1.jpg")])
    until(page, "location.hash.includes('data=imports')")
    assert "imports/images" in page.run("new URLSearchParams(location.hash.slice(1)).get('data')")

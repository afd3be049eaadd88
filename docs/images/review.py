"""Make the images of the review page in docs/images, from a model and photos that it was not trained on.

    python docs/images/review.py MODEL.muslin PHOTOS      # PHOTOS: a folder whose innermost folders name the classes

Makes a store of the photos with muslin's own commands, serves it, and lets a scripted person, who knows the classes,
work in a headless Chromium: one page with its marks, a zoomed photo, similar ones, then the whole queue and a training.
"""

import base64
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "tests/browser")]

from chromium import Page, chromium  # noqa: E402
from page_actions import press, until  # noqa: E402

from review_stores import decision_on  # noqa: E402
from studio_server import running_studio  # noqa: E402

DESKTOP_PX, PHONE_PX = (1280, 800), (390, 780)
QUALITY = 82  # of the JPEG: mostly photos


def main(model: Path, photos: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Path(folder) / "shop"
        truth = lay_out(photos, shop)
        store = shop / "shop.db"
        muslin("review", "init", store, "--model", model, "--spot-checks", "0.5")
        muslin("review", "add", store, shop / "catalogue.csv", "--images", shop / "images")
        with running_studio(shop, "review", "serve", str(store)) as address, chromium() as page:
            work(page, address, truth)
            decide_all(store, truth)
            page.visit(f"{address}/#page=review&store=shop.db&view=status")
            until(page, "document.querySelector('.guarantee .interval') !== null")
            save(page, "review-status", DESKTOP_PX)


def lay_out(photos: Path, shop: Path) -> dict[str, str]:
    """A catalogue of the photos without their classes; the classes by product."""
    (shop / "images").mkdir(parents=True)
    truth = {}
    for number, path in enumerate(
        sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    ):
        name = f"{1000 + number}{path.suffix.lower()}"
        shutil.copy(path, shop / "images" / name)
        truth[name] = path.parent.name
    lines = ["image", *truth]
    (shop / "catalogue.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return truth


def muslin(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "muslin", *map(str, words)], check=True)


def work(page: Page, address: str, truth: dict[str, str]) -> None:
    """The states that a person sees, one after the other."""
    page.visit(f"{address}/static/colours.css")
    page.run("localStorage.setItem('muslin-review-who', 'Ana')")
    resize(page, DESKTOP_PX, "light")
    page.visit(f"{address}/#page=review&store=shop.db")
    until(page, "document.querySelectorAll('.photo img').length > 0")
    mark_wrong(page, truth)
    save(page, "review-queue", DESKTOP_PX)
    press(page, "z")
    save(page, "review-zoom", DESKTOP_PX)
    press(page, "Escape")
    press(page, "s")
    until(page, "document.querySelector('dialog .photos, dialog p:not(.soft)') !== null")
    save(page, "review-similar", DESKTOP_PX)
    press(page, "Escape")
    resize(page, PHONE_PX, "dark")
    save(page, "review-phone", PHONE_PX)
    resize(page, DESKTOP_PX, "light")
    press(page, "Enter")
    until(page, "document.querySelector('.last').textContent.includes('Saved')")
    page.visit(f"{address}/#page=review&store=shop.db&view=search")
    until(page, "document.querySelectorAll('.photo img').length > 0")
    save(page, "review-search", DESKTOP_PX)


def mark_wrong(page: Page, truth: dict[str, str]) -> None:
    """Mark the wrong photos of the page with their classes."""
    names = page.run("[...document.querySelectorAll('.photo .name')].map(n => n.textContent)")
    predicted = page.run("document.querySelector('#what').textContent")
    classes = page.run("[...document.querySelectorAll('.decide .list button span')].map(s => s.textContent)")
    for index, name in enumerate(names):
        if truth[name] != predicted:
            press(page, "1234567890"[classes.index(truth[name])])
            last = index
        if index < len(names) - 1:
            press(page, "ArrowRight")
    press(page, "Home")
    for _ in range(last):
        press(page, "ArrowRight")


def decide_all(store: Path, truth: dict[str, str]) -> None:
    """Decide the rest of the queue, as the page would."""
    from muslin.review.store import Store

    with Store.open(store) as opened:
        target = opened.targets[0].name
        opened.release("Ana")
        while items := opened.next_items(target, "Ana"):
            opened.decide([decision_on(item, truth[item.name], seconds=1.4) for item in items], "Ana")


def resize(page: Page, size_px: tuple[int, int], scheme: str) -> None:
    page.resize(*size_px, phone=size_px[0] < 500)
    page.prefer(scheme)


def save(page: Page, name: str, size_px: tuple[int, int]) -> None:
    """The visible part of the page as a JPEG, once all its photos are there."""
    for _ in range(100):
        if page.run("[...document.images].every(i => i.complete)"):
            break
        time.sleep(0.1)
    time.sleep(0.5)
    clip = {"x": 0, "y": 0, "width": size_px[0], "height": size_px[1], "scale": 1}
    shot = base64.b64decode(page.call("Page.captureScreenshot", clip=clip)["data"])
    small = io.BytesIO()
    Image.open(io.BytesIO(shot)).convert("RGB").save(small, "JPEG", quality=QUALITY, optimize=True)
    (HERE / f"{name}.jpg").write_bytes(small.getvalue())
    print(f"wrote docs/images/{name}.jpg ({len(small.getvalue()):,} bytes)", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))

"""How many clicks does the review of 1,000 products take, in the grid and one at a time?

    python benchmarks/review_clicks.py clothing-dataset-small.tar [--seeds 0,1,2] [--precision 0.98] [--note SENTENCE]

The photos are a .tar or a folder whose innermost folders name the classes. Per seed a model learns from a random half
of the photos; the other half are the products of a shop, whose labels only a scripted person knows. muslin's own
commands make the store and add the products. In a headless Chromium the person then works off the whole queue (what the
model does not accept, and the random sample) twice, each time from a fresh copy of the store:

- `grid`: a page of up to 48 photos of one predicted class. Over a wrong photo the person clicks the true class where it
  is proposed, else the photo and then the class in the list; and confirms the page with one click.
- `one_at_a_time`: the same page, through its view of one large photo: a click on the class where it is wrong, and one
  click to the next photo.

Every press of the mouse counts; moving it and scrolling do not. A tool that shows one product at a time and goes on by
itself after a click on a class would take exactly 1,000. At the end all decisions are compared with the labels.
Keeps everything in benchmarks/results/.
"""

import argparse
import csv
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from results_file import start_result, write_result

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests/browser")]

from chromium import Page, chromium  # noqa: E402
from page_actions import click, point, until  # noqa: E402

from studio_server import running_studio  # noqa: E402

PHOTOS = (".jpg", ".jpeg", ".png")


class Person:
    """Somebody who knows the class of every product, at the page of a store."""

    def __init__(self, page: Page, truth: dict[str, str]) -> None:
        self.page, self.truth = page, truth
        self.clicks = self.pages = self.products = self.wrong = 0

    def click(self, selector: str, index: int = 0) -> None:
        element = f"document.querySelectorAll({selector!r})[{index}]"
        self.page.run(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        click(self.page, selector, index)
        self.clicks += 1

    def click_class(self, of: str, name: str) -> None:
        names = self.page.run(f"[...document.querySelectorAll({of!r})].map(b => b.querySelector('span').textContent)")
        self.click(of, names.index(name))

    def work(self, address: str, decide_page: Any) -> None:
        """Decide page after page until the queue is empty."""
        self.page.visit(f"{address}/static/colours.css")
        self.page.run("localStorage.clear(); sessionStorage.clear(); localStorage.setItem('muslin-review-who', 'Ana')")
        self.page.visit(f"{address}/#page=review&store=shop.db")
        while self.is_waiting():
            names = self.page.run("[...document.querySelectorAll('.photo .name')].map(n => n.textContent)")
            predicted = self.page.run("document.querySelector('#what').textContent")
            wrong = [(index, self.truth[name]) for index, name in enumerate(names) if self.truth[name] != predicted]
            decide_page(self, names, wrong)
            self.click(".confirm .main")
            self.pages, self.products, self.wrong = (
                self.pages + 1, self.products + len(names), self.wrong + len(wrong),
            )  # fmt: skip
            until(self.page, f"document.querySelector('.photo .name')?.textContent !== {names[0]!r}")
        until(self.page, "document.querySelector('.last').textContent.includes('Saved')")

    def is_waiting(self) -> bool:
        """Whether there is another page."""
        until(self.page, "document.querySelector('.ended, .photo .face img, .photo .missing') !== null")
        return bool(self.page.run("document.querySelector('.ended') === null"))

    def result(self) -> dict[str, float]:
        return {
            "products": self.products, "pages": self.pages, "wrong": self.wrong, "clicks": self.clicks,
            "clicks_per_1000": 1000 * self.clicks / self.products,
        }  # fmt: skip


def in_grid(person: Person, names: list[str], wrong: list[tuple[int, str]]) -> None:
    """Correct a page with the proposals over the photos, or with the list of classes."""
    for index, label in wrong:
        photo = f"document.querySelectorAll('.photo')[{index}]"
        person.page.run(f"{photo}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        point(person.page, ".photo .face", index)
        proposed = person.page.run(f"[...{photo}.querySelectorAll('.chips button')].map(b => b.textContent)")
        if label in proposed:
            person.click(f".photo:nth-child({index + 1}) .chips button", proposed.index(label))
        else:
            person.click(".photo .face", index)
            person.click_class(".decide .list button", label)


def one_at_a_time(person: Person, names: list[str], wrong: list[tuple[int, str]]) -> None:
    """Go through a page's photos one by one, each of them large."""
    labels = dict(wrong)
    person.click(".decide .view")
    for index in range(len(names)):
        if index in labels:
            person.click_class("dialog .list button", labels[index])
        if index < len(names) - 1:
            person.click("dialog .steps button", 1)
    person.click("dialog .cross")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas (default 0,1,2)")
    parser.add_argument("--precision", default="0.98", help="wanted of the accepted predictions (default 0.98)")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result(__doc__.split("\n")[0], arguments.note)
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.photos
        if photos.is_file():
            with tarfile.open(photos) as archive:
                archive.extractall(folder, filter="data")
            photos = Path(folder)
        found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in PHOTOS)
        runs = [one_seed(found, int(seed), arguments.precision) for seed in arguments.seeds.split(",")]
    for way in ("grid", "one_at_a_time"):
        clicks = sorted(run[way]["clicks_per_1000"] for run in runs)
        print(f"{way}: {clicks[0]:.0f} to {clicks[-1]:.0f} clicks per 1,000 products")
    write_result(head, {"photos": len(found), "precision": float(arguments.precision), "runs": runs})


def one_seed(photos: list[Path], seed: int, precision: str) -> dict[str, Any]:
    """Train on a random half, and review the other one in both ways."""
    with tempfile.TemporaryDirectory() as made:
        shop = Path(made) / "shop"
        truth = lay_out(photos, seed, Path(made) / "train", shop)
        muslin("train", Path(made) / "train", "--out", Path(made) / "run", "--seed", seed)
        muslin("review", "init", shop / "new.db", "--model", Path(made) / "run", "--precision", precision)
        muslin("review", "add", shop / "new.db", shop / "catalogue.csv", "--images", shop / "images")
        ways = {"grid": in_grid, "one_at_a_time": one_at_a_time}
        return {"seed": seed, "shop": len(truth)} | {name: review(shop, truth, way) for name, way in ways.items()}


def lay_out(photos: list[Path], seed: int, train: Path, shop: Path) -> dict[str, str]:
    """Half of the photos as training data, the others as a catalogue without labels; their labels by product."""
    shuffled = random.Random(seed).sample(photos, len(photos))
    half, truth = len(shuffled) // 2, {}
    (shop / "images").mkdir(parents=True)
    for path in shuffled[:half]:
        (train / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, train / path.parent.name / path.name)
    for number, path in enumerate(shuffled[half:]):
        name = f"{number}{path.suffix.lower()}"
        shutil.copy(path, shop / "images" / name)
        truth[name] = path.parent.name
    with open(shop / "catalogue.csv", "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([["image"], *([name] for name in truth)])
    return truth


def muslin(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "muslin", *map(str, words)], check=True)


def review(shop: Path, truth: dict[str, str], decide_page: Any) -> dict[str, Any]:
    """Work off the queue of a copy of the store."""
    from muslin.review.store import Store

    place = shop / "shop.db"
    place.unlink(missing_ok=True)
    shutil.copy(shop / "new.db", place)
    with running_studio(shop) as address, chromium() as page:
        page.resize(1440, 900)
        person = Person(page, truth)
        person.work(address, decide_page)
    with Store.open(place) as store:
        target = store.targets[0].name
        decided = {store.item(each.product, target).name: each.value for each in store.decided(target)}
    incorrect = sum(truth[name] != value for name, value in decided.items())
    assert len(decided) == person.products
    return person.result() | {"incorrect_decisions": incorrect}


if __name__ == "__main__":
    main()

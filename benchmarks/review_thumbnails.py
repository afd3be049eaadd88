"""How quick are the 48 photos of a review page, as small as its grid shows them, from small photos and from large ones?

    python benchmarks/review_thumbnails.py

Photos of 0.2 and of 12 megapixels, JPEG of quality 90 with the detail of a garment's cloth, are products of a store
that `muslin review serve` serves. Their thumbnails are fetched over 6 connections, as a browser does:

- `cold`: right after the server started and has given the page's products;
- `ahead`: of the second page, which was asked for while a person would look at the first, `LOOK_S` seconds before;
- `again`: the first page once more, from memory.

Goal of a page: 300 ms. The median and the slowest of several servers are printed and kept in benchmarks/results/.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from results_file import start_result, write_result
from review_label_studio import PAGE, TARGET, Muslin

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct
from small_models import small_bundle
from studio_server import running_studio

SIZES = {"0.2 MP": (400, 533), "12 MP": (3000, 4000)}
"""Width and height."""

LOOK_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="servers that are started for each size")
    parser.add_argument("--note", default="", help="what else a reader of the result should know")
    arguments = parser.parse_args()
    head = start_result(__doc__.splitlines()[0], arguments.note)
    measured = {}
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_photos(Path(folder), size)
            rounds = [one_server(Path(folder)) for _ in range(arguments.rounds)]
        steps = {step: [each[step] for each in rounds] for step in rounds[0]}
        measured[name] = {
            step: {"median_s": float(np.median(s)), "max_s": max(s), "n": len(s)} for step, s in steps.items()
        }
        print(name, {step: f"{1000 * row['median_s']:.0f} ms" for step, row in measured[name].items()}, flush=True)
    write_result(head, {"sizes": measured})


def write_photos(folder: Path, size: tuple[int, int]) -> None:
    """A model and two pages of photos, all different, in a table."""
    seal(small_bundle(), folder / "model.muslin")
    draw = np.random.default_rng(0)
    cloth = draw.normal(0, 12, (size[1], size[0], 1))
    for number in range(2 * PAGE):
        shade = np.linspace(40, 215, size[0])[None, :, None] * draw.uniform(0.5, 1, 3)
        pixels = np.roll(cloth, 37 * number, axis=1) + shade
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)
    names = [f"{number}.jpg" for number in range(2 * PAGE)]
    (folder / "catalogue.csv").write_text("\n".join(["image", *names]) + "\n")


def make_store(folder: Path) -> None:
    """A new store of the photos of a folder, so that nobody holds a page of it."""
    (folder / "shop.db").unlink(missing_ok=True)
    names = [f"{number}.jpg" for number in range(2 * PAGE)]
    with Store.create(folder / "shop.db", folder / "model.muslin", who="benchmark") as store:
        catalogue = store.add_catalogue(folder / "catalogue.csv", {})
        prediction = {TARGET: NewPrediction("Bag", 0.5, "review", ("Bag",))}
        products = (NewProduct(name, name, (name,), name, prediction) for name in names)
        store.put_products(catalogue, products, store.active.digest)


def one_server(folder: Path) -> dict[str, float]:
    """Seconds of each step, from a server that starts without any thumbnail."""
    make_store(folder)
    with running_studio(folder, "review", "serve", str(folder / "shop.db")) as address:
        server = Muslin(address)
        first = server.page()
        seconds = {"cold": timed(server, first)}
        second = server.page()
        assert len(first) == len(second) == PAGE
        time.sleep(LOOK_S)
        return seconds | {"ahead": timed(server, second), "again": timed(server, first)}


def timed(server: Muslin, items: list[Any]) -> float:
    """Seconds until all photos of the items are there."""
    begin = time.perf_counter()
    server.page_photos(items)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()

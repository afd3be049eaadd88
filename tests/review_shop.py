"""A review store of a small shop: photos in gray, whose predictions can be computed by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import NewPrediction, NewProduct, StoreSettings
from small_models import LABEL, small_bundle

SIDE = 40


def make_review_shop(folder: Path, count: int, place: str | None = None, photos: int = 8) -> str:
    """A store of `count` products in `folder`, or at `place`, with the photos that they share; where it is.

    A third is predicted as each class, with confidences from 0.4 on; every second product is for review.
    """
    folder.mkdir(exist_ok=True)
    seal(small_bundle(), folder / "model.muslin")
    (folder / "images").mkdir()
    for number in range(photos):
        shade = np.full((SIDE, SIDE * 2), 255 * number // photos, np.uint8)
        Image.fromarray(shade).save(folder / f"images/{number}.png")
    rows = [f"{number % photos}.png,Product {number}" for number in range(count)]
    (folder / "catalogue.csv").write_text("\n".join(["image,title", *rows]) + "\n")
    place = place or str(folder / "shop.db")
    with Store.create(place, folder / "model.muslin", who="Ada", settings=StoreSettings(spot_checks=0.2)) as store:
        catalogue = store.add_catalogue(folder / "catalogue.csv", {})
        store.put_products(catalogue, products(count, photos), store.active.digest)
    return place


def products(count: int, photos: int) -> Sequence[NewProduct]:
    decisions = ("accept", "review")
    return [
        NewProduct(
            f"Product {number}",
            f"fingerprint {number}",
            (f"{number % photos}.png",),
            f"{number % photos}.png Product {number}",
            {
                LABEL.name: NewPrediction(
                    LABEL.classes[number % 3], 0.4 + 0.6 * number / count, decisions[number % 2], LABEL.classes[:2]
                )
            },
            np.eye(photos, dtype="<f2")[number % photos].tobytes(),
        )
        for number in range(count)
    ]

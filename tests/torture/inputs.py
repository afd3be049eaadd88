"""Small files of every kind that the commands take."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from muslin.data.convert import write_csv
from muslin.data.dataset import Target
from muslin.data.synthetic import make_garments
from muslin.data.writers.csv import write_images
from muslin.models.bundle import seal
from small_models import LABEL, SIDE, convolving_bundle, small_bundle

PRODUCTS = 300

PAIR = (Target("kind", ("Shirt", "Bag")), Target("colour", ("red", "green", "blue")))

SGD = ["--recipe", "quick", "--set", "batch_size=64", "--set", "widths=8,8", "--set", "min_steps=0"]
BACKBONE = ["--set", "network=efficientnet-lite0", "--set", "weights=random", "--set", "image_size=32"]
LINEAR_PROBE = ["--recipe", "photo", *BACKBONE]
FINE_TUNE = ["--recipe", "photo-tuned", *BACKBONE, "--set", "batch_size=8", "--set", "frozen_blocks=12"]

TRAINING_CONSTANTS = {
    "muslin.storage.row_cache:FILE_ROWS": 4,
    "muslin.storage.row_cache:MIN_FREE_BYTES": 0,
    "muslin.learn.training_loop:CHECKPOINT_EVERY_S": 0.05,
    "muslin.learn.torch_setup:_faster_precision": "float32",
}
"""Work is kept more often than usual, so that little data are enough to be killed while they are written; and no
training measures the machine, which takes a second and can end differently on a busy one."""

TAGGING_CONSTANTS = {
    "muslin.workflows.tag_rows:CHUNK": 16,
    "muslin.models.photo_shards:SHARD_PHOTOS": 8,
    "muslin.storage.row_cache:FILE_ROWS": 4,
    "muslin.storage.row_cache:MIN_FREE_BYTES": 0,
}

ADDING_CONSTANTS = {**TAGGING_CONSTANTS, "muslin.review.products:CHUNK": 8}


@dataclass(frozen=True)
class Inputs:
    """Files in a folder.

    Attributes:
        garments: CSV of 120 drawn images of 28×28 pixels.
        photos: 24 photos of three classes in folders.
        model, other_model: for images of 8×8 pixels, by hand; they never agree.
        labelled: CSV of such images with their labels.
        pair: two models of the targets of PAIR for such images; they never agree.
        labelled_pair: CSV of photos with their labels of both targets.
        catalogues: per suffix a table of PRODUCTS products, whose photos lie in `images` beside it.
    """

    folder: Path

    garments = property(lambda self: self.folder / "garments.csv")
    photos = property(lambda self: self.folder / "photos")
    model = property(lambda self: self.folder / "model.muslin")
    other_model = property(lambda self: self.folder / "other.muslin")
    labelled = property(lambda self: self.folder / "labelled.csv")
    pair = property(lambda self: (self.folder / "pair.muslin", self.folder / "other_pair.muslin"))
    labelled_pair = property(lambda self: self.folder / "labelled_pair.csv")

    def catalogue(self, suffix: str) -> Path:
        return self.folder / f"catalogue.{suffix}"

    def environment(self, cache: Path) -> Mapping[str, str]:
        """Variables with which a command keeps all its own files in `cache`."""
        cache.mkdir(parents=True, exist_ok=True)
        return {"XDG_CACHE_HOME": str(cache), "HOME": str(cache), "TMPDIR": str(cache)}


def make_inputs(folder: Path) -> Inputs:
    """Write them all into `folder`."""
    inputs = Inputs(folder)
    write_csv(replace(make_garments(120, seed=3).dataset, name="garments"), folder)
    colour = make_garments(24, seed=4, size_px=32, colour=True)
    for number, (pixels, label) in enumerate(zip(colour.dataset.images.pixels, colour.true_labels, strict=True)):
        path = inputs.photos / ("train" if number < 18 else "test") / f"{label % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    _write_models(inputs)
    _write_catalogues(inputs)
    _write_pair(inputs)
    return inputs


def _write_models(inputs: Inputs) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (60, SIDE, SIDE, 1)).astype(np.uint8)
    seal(small_bundle(), inputs.model)
    kernels = random.random((4, 1, 3, 3), np.float32)
    seal(convolving_bundle(kernels, pixels[:3], activation="Neg"), inputs.other_model)
    write_images(pixels, [LABEL.classes[i % 3] for i in range(len(pixels))], inputs.labelled)


def _write_pair(inputs: Inputs) -> None:
    reversed_classes = [replace(target, classes=target.classes[::-1]) for target in PAIR]
    for targets, path in zip((PAIR, reversed_classes), inputs.pair, strict=True):
        seal(small_bundle(*targets), path)
    rows = [(f"images/{i}.png", *(target.classes[i % 2] for target in PAIR)) for i in range(7)]
    with inputs.labelled_pair.open("w", newline="") as file:
        csv.writer(file).writerows([("image", *(target.name for target in PAIR)), *rows])


def _write_catalogues(inputs: Inputs) -> None:
    (inputs.folder / "images").mkdir()
    for i in range(10):
        pixels = np.random.default_rng(i).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
        Image.fromarray(pixels).save(inputs.folder / f"images/{i}.png")
    (inputs.folder / "images/7.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    rows = [(f"{i:05}", f'a "quoted" name {i}', f"{i % 11}.png") for i in range(PRODUCTS)]  # the last is missing
    columns = ("sku", "name", "image")
    with inputs.catalogue("csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    book = openpyxl.Workbook()
    for row in (columns, *rows):
        book.active.append(row)
    book.save(inputs.catalogue("xlsx"))
    pq.write_table(pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True))), inputs.catalogue("parquet"))
    with inputs.catalogue("jsonl").open("w") as file:
        file.writelines(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)

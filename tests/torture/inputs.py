"""Small files of every kind that the commands take."""

import csv
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from fork_server import ForkServer, Job
from PIL import Image

from muslin.data.convert import write_csv
from muslin.data.synthetic import make_garments
from muslin.models.bundle import seal
from small_models import SIDE, small_bundle

PRODUCTS = 300

SGD = ["--recipe", "quick", "--set", "batch_size=64", "--set", "widths=8,8", "--set", "min_steps=0"]
BACKBONE = ["--set", "network=efficientnet-lite0", "--set", "weights=random", "--set", "image_size=32"]
LINEAR_PROBE = ["--recipe", "photo", *BACKBONE]
FINE_TUNE = ["--recipe", "photo-tuned", *BACKBONE, "--set", "batch_size=8", "--set", "frozen_blocks=12"]

SMALL_BLOCKS = {
    "muslin.learn.features:CACHE_FILE_ROWS": 4,
    "muslin.learn.training_loop:CHECKPOINT_EVERY_S": 0.05,
    "muslin.workflows.tag:CHUNK": 16,
}
"""Work is kept more often than usual, so that little data are enough to be killed while they are written."""


@dataclass(frozen=True)
class Inputs:
    """Files in a folder.

    Attributes:
        garments: CSV of 120 drawn images of 28×28 pixels.
        photos: 24 photos of three classes in folders.
        model: of the photos' pixels, by hand.
        run, other_run: finished runs on the garments.
        catalogues: per suffix a table of PRODUCTS products, whose photos lie in `images` beside it.
        cache: muslin's cache with the settings that were measured on this machine.
    """

    folder: Path

    garments = property(lambda self: self.folder / "garments.csv")
    photos = property(lambda self: self.folder / "photos")
    model = property(lambda self: self.folder / "model.muslin")
    run = property(lambda self: self.folder / "run")
    other_run = property(lambda self: self.folder / "other run")
    cache = property(lambda self: self.folder / "cache")

    def catalogue(self, suffix: str) -> Path:
        return self.folder / f"catalogue.{suffix}"

    def environment(self, cache: Path) -> Mapping[str, str]:
        """The environment with its own cache folder, in which only the measured settings are."""
        (cache / "muslin").mkdir(parents=True, exist_ok=True)
        if not (cache / "muslin/compute.json").exists() and (self.cache / "muslin/compute.json").exists():
            shutil.copy(self.cache / "muslin/compute.json", cache / "muslin")
        return {"XDG_CACHE_HOME": str(cache), "HOME": str(cache), "TMPDIR": str(cache)}


def make_inputs(server: ForkServer, folder: Path) -> Inputs:
    """Write them all into `folder`."""
    inputs = Inputs(folder)
    write_csv(replace(make_garments(120, seed=3).dataset, name="garments"), folder)
    colour = make_garments(24, seed=4, size_px=32, colour=True)
    for number, (pixels, label) in enumerate(zip(colour.dataset.images.pixels, colour.true_labels, strict=True)):
        path = inputs.photos / ("train" if number < 18 else "test") / f"{label % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    seal(small_bundle(), inputs.model)
    _write_catalogues(inputs)
    for run, epochs in ((inputs.run, 2), (inputs.other_run, 1)):
        words = ["train", inputs.garments, *SGD, "--epochs", epochs, "--out", run]
        trained = server.run(Job(words, folder, inputs.environment(inputs.cache)))
        assert trained.code == 0, trained
    return inputs


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

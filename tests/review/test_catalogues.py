"""A catalogue goes into a store and comes out again, in SQLite as in PostgreSQL."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from muslin.data.tables import open_table
from muslin.review.store import Store
from muslin.review.values import Filters
from muslin.storage.outputs import Output
from muslin.workflows.review_add import AddOptions, add_catalogue
from muslin.workflows.review_export import export_catalogue
from muslin.workflows.review_status import store_status
from review_stores import confirm
from small_models import SIDE


def paint(path: Path, brightness: int) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((SIDE, SIDE), brightness, np.uint8)).save(path)


def test_a_catalogue_comes_out_as_it_went_in(store: Store, tmp_path: Path) -> None:
    paint(tmp_path / "images/black.png", 0)
    paint(tmp_path / "images/кофта🧥.png", 255)
    catalogue, out = tmp_path / "shop.csv", tmp_path / "out.csv"
    catalogue.write_text('image,title\nblack.png,Hose\nкофта🧥.png,"Кофта, 🧥"\n')
    assert add_catalogue(store, catalogue).added == 2
    assert add_catalogue(store, catalogue).unchanged == 2
    confirm(store, store.items("label", Filters(text="Кофта")), "Zoë")
    export_catalogue(store, Output(out))
    table = open_table(out)
    assert [row.cells for row in table.rows(["image", "decision", "decided_by"])] == [
        ("black.png", "review", ""),
        ("кофта🧥.png", "confirmed", "Zoë"),
    ]
    catalogue.rename(tmp_path / "june.csv")
    moved = add_catalogue(store, tmp_path / "june.csv", options=AddOptions(instead_of=catalogue))
    assert (moved.unchanged, moved.added) == (2, 0)
    assert store_status(store).targets["label"].counts.decisions["review"].decided == 1


def test_names_that_are_no_utf8_are_read(store: Store, tmp_path: Path) -> None:
    paint(tmp_path / "photos/plain.png", 0)
    os.rename(tmp_path / "photos/plain.png", os.fsencode(tmp_path) + b"/photos/caf\xe9.png")
    assert add_catalogue(store, tmp_path / "photos").added == 1
    [item] = store.items("label")
    assert item.name == "café.png"


def test_characters_that_no_database_takes_are_left_out(store: Store, tmp_path: Path) -> None:
    paint(tmp_path / "black.png", 0)
    row = {"image": "black.png", "title": "Ho\0se \ud800"}
    (tmp_path / "shop.jsonl").write_text(json.dumps(row) + "\n")
    assert add_catalogue(store, tmp_path / "shop.jsonl").added == 1
    [item] = store.items("label", Filters(text="Hose"))
    assert item.name == "black.png"

"""The shop's own table comes out of a review store again, with what people decided."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from muslin.data.dataset import Target
from muslin.data.tables import open_table
from muslin.models.bundle import seal
from muslin.review.store import Store
from muslin.review.values import Filters, NewPrediction
from muslin.storage.outputs import Output
from muslin.workflows.review_add import AddOptions, add_catalogue
from muslin.workflows.review_export import ExportedCatalogue, export_catalogue
from muslin.workflows.review_init import InitOptions, init
from muslin.workflows.review_status import store_status
from refusals import refuses
from review_stores import confirm, decision_on
from small_models import LABEL, small_bundle
from small_shop import calibration_data, small_shop

COLUMNS = ["sku", "image", "price"]
ROWS = [["007", "black.png", "9,90"], ["008", "gray.png", "=1+1"], ["009", "white.png", ""], ["010", "gone.jpg", "5"]]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = small_shop(tmp_path)
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), folder / "model.muslin")
    return folder


@pytest.fixture
def store(shop: Path) -> Iterator[Store]:
    init(str(shop / "shop.db"), shop / "model.muslin", InitOptions(precision=0.9), who="Ada")
    with Store.open(shop / "shop.db") as opened:
        yield opened


def write(path: Path, rows: list[list[str]] = ROWS) -> Path:
    """The rows as a table of the kind that the suffix names."""
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for values in (COLUMNS, *rows):
            book.active.append(values)
        book.save(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))), path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ";").writerows([COLUMNS, *rows])
    return path


def read(path: Path) -> list[dict[str, Any]]:
    table = open_table(path)
    return [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows(table.columns)]


def export(store: Store, out: Path, catalogue: Path | None = None) -> tuple[ExportedCatalogue, list[dict[str, Any]]]:
    exported = export_catalogue(store, Output(out), catalogue)
    return exported, read(out)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx", "parquet", "jsonl"])
def test_decisions_stand_in_the_shops_own_table(suffix: str, store: Store, shop: Path) -> None:
    catalogue = write(shop / f"shop.{suffix}")
    add_catalogue(store, catalogue)
    [black] = store.items("label", Filters(text="black"))
    [gray] = store.items("label", Filters(text="gray"))
    store.decide([decision_on(black), decision_on(gray, "Shirt", note="folded")], "Ada")
    exported, rows = export(store, shop / f"out.{suffix}")
    assert [{name: row[name] for name in COLUMNS} for row in rows] == read(catalogue)
    assert [row["tag"] for row in rows] == ["Trouser", "Shirt", "Bag", ""]
    assert [row["decision"] for row in rows] == ["confirmed", "corrected", "accept", ""]
    assert [row["decided_by"] for row in rows] == ["Ada", "Ada", "", ""]
    assert rows[1]["decided_at"] == store.history(gray.product, "label")[0].at
    assert rows[1]["note"] == "folded"
    assert rows[1]["predicted"] == "Bag"
    assert float(rows[1]["probability"].replace(",", ".")) == pytest.approx(gray.probability, abs=1e-3)
    assert "gone.jpg" in rows[3]["error"]
    assert exported.decisions == {"label": {"confirmed": 1, "corrected": 1, "accept": 1}}


def test_only_what_is_accepted_or_decided_is_a_tag(store: Store, shop: Path) -> None:
    add_catalogue(store, write(shop / "shop.csv"))
    _, rows = export(store, shop / "out.csv")
    assert (rows[0]["tag"], rows[0]["decision"], rows[0]["predicted"]) == ("", "review", "Trouser")


def test_not_sure_and_not_ours_have_no_tag(store: Store, shop: Path) -> None:
    add_catalogue(store, write(shop / "shop.csv"))
    kinds = {"black": "not_sure", "white": "not_ours"}
    for text, kind in kinds.items():
        [item] = store.items("label", Filters(text=text))
        store.decide([decision_on(item, kind=kind)], "Ada")
    _, rows = export(store, shop / "out.csv")
    assert [(row["tag"], row["decision"]) for row in rows][::2] == [("", "not sure"), ("", "not ours")]


def test_undone_and_outdated_decisions_are_not_written(store: Store, shop: Path) -> None:
    add_catalogue(store, write(shop / "shop.csv"))
    [black] = store.items("label", Filters(text="black"))
    [white] = store.items("label", Filters(text="white"))
    [of_black, _] = store.decide([decision_on(black), decision_on(white, "Shirt")], "Ada")
    store.undo(of_black.id, "Ada", "undo")
    (shop / "images/white.png").write_bytes((shop / "images/gray.png").read_bytes())
    add_catalogue(store, shop / "shop.csv")
    exported, rows = export(store, shop / "out.csv")
    assert [row["decision"] for row in rows] == ["review", "accept", "accept", ""]
    [outdated] = [note for note in exported.notes if note.code == "review_decisions_outdated"]  # type: ignore[attr-defined]
    assert outdated.params["names"] == ["009"]  # type: ignore[attr-defined]


def test_rows_of_a_product_have_the_same_decision(store: Store, shop: Path) -> None:
    (shop / "shop.csv").write_text("sku,image\n1,black.png\n2,white.png\n1,gray.png\n")
    add_catalogue(store, shop / "shop.csv")
    confirm(store, store.items("label", Filters(text="1")))
    exported, rows = export(store, shop / "out.csv")
    assert (exported.products, exported.rows) == (2, 3)
    assert [row["decided_by"] for row in rows] == ["Ada", "", "Ada"]


def test_rows_that_the_store_does_not_have_are_told(store: Store, shop: Path) -> None:
    add_catalogue(store, write(shop / "shop.csv", ROWS[1:]))
    write(shop / "shop.csv")
    exported, rows = export(store, shop / "out.csv")
    assert exported.not_in_store == 1
    assert not any(rows[0][name] for name in exported.columns)
    assert "review_products_not_in_store" in [note.code for note in exported.notes]  # type: ignore[attr-defined]


def test_several_targets_have_columns_of_their_own(shop: Path) -> None:
    targets = Target("kind", LABEL.classes), Target("labels", ("a", "b"), "multilabel")
    seal(small_bundle(*targets), shop / "two.muslin")
    (shop / "shop.csv").write_text("image,tag\nblack.png,old\n")
    init(str(shop / "two.db"), shop / "two.muslin", who="Ada")
    with Store.open(shop / "two.db") as store:
        add_catalogue(store, shop / "shop.csv")
        [item] = store.items("labels")
        store.decide([decision_on(item, json.dumps(["b"]))], "Ada")
        exported, [row] = export(store, shop / "out.csv")
        status = store_status(store)
    assert (row["tag"], row["labels_tag"], row["labels_predicted"]) == ("old", "b", "a|b")
    assert row["labels_decision"] == "corrected"
    assert len(exported.columns) == 15
    assert status.targets["labels"].counts.queue.total == 1


def test_the_same_labels_in_another_order_are_confirmed(shop: Path) -> None:
    labels = Target("labels", ("a", "b"), "multilabel")
    for name, target in (("first", labels), ("next", replace(labels, classes=("b", "a")))):
        seal(small_bundle(target), shop / f"{name}.muslin")
    (shop / "shop.csv").write_text("image\nblack.png\n")
    init(str(shop / "two.db"), shop / "first.muslin", who="Ada")
    with Store.open(shop / "two.db") as store:
        add_catalogue(store, shop / "shop.csv")
        [item] = store.items("labels")
        store.decide([decision_on(item, '["a", "b"]')], "Ada")
        digest = store.add_model(shop / "next.muslin", {})
        store.put_predictions(digest, [(item.product, {"labels": NewPrediction('["b", "a"]', 0.9, "accept", ())})])
        store.promote(digest, "Ada", {})
        _, [row] = export(store, shop / "out.csv")
    assert row["decision"] == "confirmed"


def test_a_taken_name_gets_another_one(store: Store, shop: Path) -> None:
    (shop / "shop.csv").write_text("image,tag\nwhite.png,old\n")
    add_catalogue(store, shop / "shop.csv")
    _, [row] = export(store, shop / "out.csv")
    assert (row["tag"], row["muslin_tag"]) == ("old", "Bag")


def test_what_an_encoding_lacks_is_told(store: Store, shop: Path) -> None:
    (shop / "shop.csv").write_bytes("image;größe\nwhite.png;groß\n".encode("latin-1"))
    add_catalogue(store, shop / "shop.csv")
    confirm(store, store.items("label"), "木村")
    exported, [row] = export(store, shop / "out.csv")
    assert row["decided_by"] == "??"
    [note] = [note for note in exported.notes if note.code == "review_texts_replaced"]  # type: ignore[attr-defined]
    assert note.params["names"] == ["木村"]  # type: ignore[attr-defined]
    store.add_class("label", "帽子", "Ada")
    with refuses("tag_not_encodable", name="帽子"):
        export(store, shop / "more.csv")
    assert not (shop / "more.csv").exists()


def test_one_of_several_catalogues_is_named(store: Store, shop: Path) -> None:
    with refuses("review_no_catalogue"):
        export(store, shop / "out.csv")
    for name in ("a.csv", "b.csv"):
        add_catalogue(store, write(shop / name), options=AddOptions(is_new=True))
    with refuses("review_catalogue_needed", names=[str(shop / "a.csv"), str(shop / "b.csv")]):
        export(store, shop / "out.csv")
    with refuses("review_catalogue_unknown", nearest=str(shop / "a.csv")):
        export(store, shop / "out.csv", shop / "aa.csv")
    exported, _ = export(store, shop / "out.csv", shop / "b.csv")
    assert exported.catalogue == str(shop / "b.csv")


def test_folders_of_photos_become_a_new_table(store: Store, shop: Path) -> None:
    add_catalogue(store, shop / "images")
    confirm(store, store.items("label", Filters(text="black")))
    _, rows = export(store, shop / "out.jsonl")
    decisions = {row["image"]: row["decision"] for row in rows}
    assert decisions["black.png"] == "confirmed"


def test_people_who_differ_are_told(store: Store, shop: Path) -> None:
    add_catalogue(store, write(shop / "shop.csv"))
    [item] = store.items("label", Filters(text="black"))
    store.decide([decision_on(item)], "Ada")
    store.decide([decision_on(item, "Bag")], "Grace")
    assert store_status(store).conflicts == {"label": ("007",)}
    _, [row, *_] = export(store, shop / "out.csv")
    assert (row["tag"], row["decided_by"]) == ("Bag", "Grace")

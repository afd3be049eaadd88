"""Products in tables: exports of shops, columns, rows of several photos; and what is said of bad ones."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_files import garment

from command_line import invoke
from muslin.data import read
from muslin.data.dataset import UNKNOWN, Dataset
from muslin.data.photo_roles import role_in_name
from muslin.data.photos import exclude_unreadable
from muslin.data.product_notes import MANY_PHOTOS
from muslin.data.reader import read_and_log
from muslin.errors import ImageError
from muslin.messages import Message
from refusals import refuses


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """p0_front.jpg, p0_back.jpg, p0_detail.jpg, p1_front.jpg, … of five products."""
    folder = tmp_path_factory.mktemp("shop") / "photos"
    folder.mkdir()
    for product in range(5):
        for number, role in enumerate(("front", "back", "detail")):
            garment(("hat", "dress")[product % 2], 3 * product + number).save(folder / f"p{product}_{role}.jpg")
    return folder


def notes(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {fix.code: dict(fix.params) for fix in dataset.fixes}  # type: ignore[attr-defined]


ROLES = ("front", "back", "detail")


def test_shopify_rows_of_a_handle_are_one_product(photos: Path, tmp_path: Path) -> None:
    rows = [
        [
            f"item-{p}",
            ("hat", "dress")[p % 2] if n == 0 else "",
            f"https://cdn.shopify.com/s/p{p}_{role}.jpg?v=1",
            n + 1,
        ]
        for p in range(5)
        for n, role in enumerate(ROLES)
    ]
    table = write(tmp_path / "shop.csv", ["Handle", "Type", "Image Src", "Image Position"], rows)
    data = read(table, images=photos, target="Type")
    assert data.products is not None
    assert data.products.tolist() == [f"item-{p}" for p in range(5) for _ in range(3)]
    assert (data.labels["Type"] != UNKNOWN).all()
    assert data.roles is not None
    assert data.roles.tolist() == list(ROLES) * 5
    said = notes(data)
    assert (said["shopify_export"]["products"], said["labels_of_product"]["n"]) == (5, 10)
    alone = read(table, images=photos, target="Type", product="none")
    assert (alone.products, alone.roles) == (None, None)
    assert (alone.labels["Type"] == UNKNOWN).sum() == 10


def test_woocommerce_cells_list_the_photos_of_a_product(photos: Path, tmp_path: Path) -> None:
    urls = [", ".join(f"https://shop.example/up/p{p}_{role}.jpg" for role in ROLES) for p in range(5)]
    rows = [[p + 1, "simple", f"S{p}", ("hat", "dress")[p % 2], urls[p], ""] for p in range(5)]
    data = read(
        write(tmp_path / "a.csv", ["ID", "Type", "SKU", "Categories", "Images", "Parent"], rows),
        images=photos,
        target="Categories",
    )
    assert data.products is not None
    assert data.products.tolist() == [f"S{p}" for p in range(5) for _ in range(3)]
    assert len(set(data.ids)) == 15
    assert notes(data)["rows_are_products"]["photos"] == 15
    assert not {"group_column_chosen", "group_column_proposed"} & notes(data).keys()


@pytest.mark.parametrize("parent", ["S0", "id:1"])
def test_woocommerce_variations_belong_to_their_parent(photos: Path, tmp_path: Path, parent: str) -> None:
    rows = [
        [1, "variable", "S0", "hat", "p0_front.jpg", ""],
        [2, "variation", "S0-red", "", "p0_back.jpg", parent],
        [3, "simple", "S1", "dress", "p1_front.jpg", ""],
    ]
    data = read(
        write(tmp_path / "a.csv", ["ID", "Type", "SKU", "Categories", "Images", "Parent"], rows),
        images=photos,
        target="Categories",
    )
    assert data.products is not None
    assert data.products.tolist() == ["S0", "S0", "S1"]
    assert data.labels["Categories"].tolist() == [1, 1, 0]
    assert tuple(notes(data)["woocommerce_export"]["columns"]) == ("SKU", "Parent")


@pytest.mark.parametrize("name", ["product_id", "item_id", "sku", "style_id", "Style_ID"])
def test_column_whose_cells_recur_is_the_product(photos: Path, tmp_path: Path, name: str) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    table = write(tmp_path / "a.csv", ["file", "kind", name], rows)
    data = read(table, images=photos)
    assert data.products is not None
    assert len(set(data.products)) == 5
    assert data.targets[0].name == "kind"
    assert data.groups is None
    assert notes(data)["product_column_chosen"]["column"] == name
    grouped = read(table, images=photos, group=name)
    assert grouped.groups is not None
    assert grouped.products is None


def test_named_column_is_the_product_and_needs_no_note(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}", f"s{p // 2}"] for p in range(5) for role in ROLES]
    table = write(tmp_path / "a.csv", ["file", "kind", "garment", "sender_id"], rows)
    data = read(table, images=photos, product="garment", target="kind")
    assert data.products is not None
    assert data.groups is not None
    assert (len(set(data.products)), len(set(data.groups))) == (5, 3)
    assert list(notes(data)) == ["group_column_chosen"]
    with refuses("column_unknown"):
        read(table, images=photos, product="dress", target="kind")
    with refuses("product_is_target"):
        read(table, images=photos, product="kind", target="kind")
    same = read(table, images=photos, product="garment", group="garment", target="kind")
    assert same.groups is None
    assert notes(same)["product_is_group"]["column"] == "garment"


def test_constant_and_unique_columns_are_no_products(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], "ACME", f"{p}{role}"] for p in range(5) for role in ROLES]
    table = write(tmp_path / "a.csv", ["file", "kind", "brand", "code"], rows)
    with refuses("product_column_constant"):
        read(table, images=photos, product="brand", target="kind")
    data = read(table, images=photos, product="code", target="kind")
    assert data.products is None
    assert notes(data)["product_column_unique"]["column"] == "code"


def test_rows_that_name_no_product_are_said(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}" if p else " "] for p in range(5) for role in ROLES]
    data = read(write(tmp_path / "a.csv", ["file", "kind", "sku"], rows), images=photos)
    assert notes(data)["products_unnamed"] == {"column": "sku", "count": 3, "names": ["2", "3", "4"], "more": None}
    assert data.products is not None
    assert len(set(data.products)) == 7
    with refuses("product_column_constant"):
        empty = write(tmp_path / "b.csv", ["file", "kind", "code"], [[*row[:2], ""] for row in rows])
        read(empty, images=photos, product="code", target="kind")


def test_unnamed_rows_of_two_tables_are_not_one_product(photos: Path, tmp_path: Path) -> None:
    for part, products in {"train": (0, 1, 2), "test": (3, 4)}.items():
        rows = [[f"p{p}_front.jpg|p{p}_back.jpg", "hb"[p % 2]] for p in products]
        write(tmp_path / f"{part}.csv", ["image", "kind"], rows)
    data = read(tmp_path, images=photos)
    assert data.products is not None
    assert sorted(Counter(data.products).values()) == [2] * 5
    assert "products_in_two_parts" not in notes(data)


def test_products_with_two_labels_are_named_and_kept(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    rows[0][1] = "b"
    data = read(write(tmp_path / "a.csv", ["file", "kind", "sku"], rows), images=photos)
    assert len(data) == 15
    assert notes(data)["products_with_several_labels"]["names"] == ["A0 (kind: b / h)"]


def test_product_of_very_many_photos_is_named(tmp_path: Path) -> None:
    for number in range(62):
        garment("hat", number).save(tmp_path / f"{number}.png")
    rows = [[f"{n}.png", "ab"[n % 2], "X" if n < 60 else "Y"] for n in range(62)]
    data = read(write(tmp_path / "a.csv", ["file", "kind", "article"], rows), product="article", target="kind")
    said = notes(data)["products_of_many_photos"]
    assert (said["names"], said["maximum"]) == (["X (60)"], MANY_PHOTOS)


def test_products_of_very_many_photos_each_are_groups(tmp_path: Path) -> None:
    for number in range(44):
        garment("hat", number).save(tmp_path / f"{number}.png")
    rows = [[f"{n}.png", "ab"[n % 2], f"P{n // 22}"] for n in range(44)]
    data = read(write(tmp_path / "a.csv", ["file", "kind", "product_id"], rows))
    assert data.products is None
    assert data.groups is not None
    assert notes(data)["group_column_chosen"]["column"] == "product_id"


def test_product_without_a_photo_is_named(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    rows += [["gone.jpg", "h", "A9"]]
    data = read(write(tmp_path / "a.csv", ["file", "kind", "sku"], rows), images=photos)
    assert notes(data)["products_without_photo"]["names"] == ["A9"]
    broken = {i: ImageError("no_such_photo", path="x").message for i in range(3)}
    said: list[str] = []
    left = exclude_unreadable(data, broken, 1, said.append)
    assert left.fixes[-1] == Message("products_without_photo", count=1, names=["A0"])
    assert left.fixes[-1] in said


def test_role_column_and_names_of_files_give_roles(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}", "Packaging"] for p in range(5) for role in ROLES]
    data = read(write(tmp_path / "a.csv", ["file", "kind", "sku", "view"], rows), images=photos)
    assert data.targets[0].name == "kind"
    assert data.roles is not None
    assert set(data.roles) == {"packaging"}


def test_the_name_of_the_photo_column_can_be_the_role(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    data = read(write(tmp_path / "a.csv", ["packaging_image", "kind", "sku"], rows), images=photos)
    assert data.roles is not None
    assert set(data.roles) == {"packaging"}


def test_look_counts_products_and_roles(photos: Path, tmp_path: Path, capfd: Any) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    table = write(tmp_path / "a.csv", ["file", "kind", "sku"], rows[:-1])
    shown = invoke(capfd, "look", table, "--images", photos)
    assert "5 products with 2 to 3 photos (front 5, back 5, detail 4)" in shown.out
    shown = invoke(capfd, "look", table, "--images", photos, "--json")
    assert json.loads(shown.out)["products"]["most"] == 3


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("WOMEN/Dresses/id_00000002/02_1_front.jpg", "front"),
        ("shirt-back2.jpg", "back"),
        ("123 Detail.PNG", "detail"),
        ("sidebag.jpg", ""),
        ("front/1.jpg", ""),
        ("a_backpack.jpg", ""),
        ("", ""),
    ],
)
def test_the_end_of_a_name_can_be_a_role(name: str, role: str) -> None:
    assert role_in_name(name) == role


def test_notes_are_logged_where_data_are_read(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{role}.jpg", "hb"[p % 2], f"A{p}"] for p in range(5) for role in ROLES]
    said: list[Any] = []
    read_and_log(write(tmp_path / "a.csv", ["file", "kind", "sku"], rows), images=photos, log=said.append)
    assert "product_column_chosen" in [message.code for message in said]


def test_photos_of_one_cell_are_one_product_also_with_missing_ones(photos: Path, tmp_path: Path) -> None:
    rows = [["p0_front.jpg|gone.jpg|p0_back.jpg", "h"], ["p1_front.jpg", "b"], ["p2_front.jpg;p2_back.jpg", "h"]]
    data = read(write(tmp_path / "a.csv", ["file", "kind"], rows), images=photos, target="kind")
    assert data.ids.tolist() == ["p0_front.jpg", "p0_back.jpg", "p1_front.jpg", "p2_front.jpg", "p2_back.jpg"]
    assert data.products is not None
    assert np.unique(data.products, return_inverse=True)[1].tolist() == [0, 0, 1, 2, 2]
    assert notes(data)["photos_missing"]["names"] == ["gone.jpg"]

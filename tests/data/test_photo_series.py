"""Products whose photos stand in several columns of one row."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from photo_files import garment

from command_line import invoke
from muslin.data import read
from muslin.data.dataset import Dataset
from muslin.data.photo_roles import role_in_column, shows_product
from refusals import refuses

N_PRODUCTS = 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """p0_a.jpg, p0_b.jpg, p0_c.jpg, p1_a.jpg, … of six products."""
    folder = tmp_path_factory.mktemp("shop") / "photos"
    folder.mkdir()
    for product in range(N_PRODUCTS):
        for number, view in enumerate("abc"):
            garment(("hat", "dress")[product % 2], 3 * product + number).save(folder / f"p{product}_{view}.jpg")
    return folder


def shop(folder: Path, columns: Sequence[str], cells: Sequence[Sequence[str]] = ()) -> Path:
    """A table with a row for each product; `cells` are those of the columns of photos."""
    cells = cells or [[f"p{p}_{view}.jpg" for view, _ in zip("abc", columns, strict=False)] for p in range(N_PRODUCTS)]
    rows = [[str(p), *each, "hb"[p % 2]] for p, each in enumerate(cells)]
    with (folder / "shop.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["nr", *columns, "kind"], *rows])
    return folder / "shop.csv"


def notes(dataset: Dataset) -> dict[str, dict[str, Any]]:
    return {fix.code: dict(fix.params) for fix in dataset.fixes}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (["front_image", "back_image", "detail_image"], ["front", "back", "detail"]),
        (["image_1", "image_2", "image_3"], None),
        (["Image", "Additional Image Link", "packagingPhoto"], ["", "additional", "packaging"]),
        (["Hauptbild", "Rückansicht", "Verpackungsfoto"], ["", "back", "packaging"]),
        (["photo_face", "photo_dos", "photo_côté"], ["front", "back", "side"]),
        (["main_image_url", "other_image_url1", "other_image_url2"], ["", "additional", "additional"]),
        (["主图", "细节图", "背面图片"], ["", "detail", "back"]),
    ],
)
def test_photos_of_several_columns_are_one_product(
    photos: Path, tmp_path: Path, columns: list[str], roles: list[str] | None
) -> None:
    data = read(shop(tmp_path, columns), images=photos)
    assert len(data) == 3 * N_PRODUCTS
    assert data.products is not None
    assert data.products.tolist() == [f"(row {p + 2})" for p in range(N_PRODUCTS) for _ in range(3)]
    assert (data.roles is None) == (roles is None)
    if data.roles is not None:
        assert data.roles.tolist() == (roles or []) * N_PRODUCTS
    assert notes(data)["photo_columns_joined"]["columns"] == columns
    assert notes(data)["rows_are_products"] == {"products": N_PRODUCTS, "photos": 3 * N_PRODUCTS}
    assert [target.name for target in data.targets] == ["kind"]


@pytest.mark.parametrize("column", ["mask_image", "swatch_image_link", "image_a", "label_photo", "other_product"])
def test_columns_of_other_photos_are_named_and_not_read(photos: Path, tmp_path: Path, column: str) -> None:
    data = read(shop(tmp_path, ["image", column]), images=photos, target="kind")
    assert (len(data), data.products) == (N_PRODUCTS, None)
    assert notes(data)["photo_columns_unused"] == {"columns": ["image"], "others": [column]}


def test_columns_that_the_user_names_are_joined(photos: Path, tmp_path: Path) -> None:
    table = shop(tmp_path, ["image", "swatch", "image_2"])
    data = read(table, images=photos, image_column=["image", "swatch"])
    assert len(data) == 2 * N_PRODUCTS
    assert "photo_columns_joined" not in notes(data)
    assert len(read(table, images=photos, image_column="image_2")) == N_PRODUCTS
    with refuses("column_unknown"):
        read(table, images=photos, image_column=["image", "back"])
    with refuses("option_repeated"):
        read(table, images=photos, image_column=["image", "image"])
    with refuses("image_columns_of_no_product"):
        read(table, images=photos, image_column=["image", "swatch"], product="none")
    alone = read(table, images=photos, product="none")
    assert (len(alone), alone.products) == (N_PRODUCTS, None)
    assert notes(alone)["photo_columns_unused"]["others"] == ["swatch", "image_2"]


def test_empty_and_missing_photos_of_some_columns(photos: Path, tmp_path: Path) -> None:
    cells = [[f"p{p}_a.jpg", "", ""] for p in range(N_PRODUCTS)]
    cells[1] = ["", "p1_b.jpg", ""]
    cells[2] = ["", "", ""]
    cells[3] = ["gone.jpg", "gone too.jpg", ""]
    cells[4] = ["p4_a.jpg", "p4_a.jpg", "p4_c.jpg"]
    data = read(shop(tmp_path, ["image_1", "image_2", "image_3"], cells), images=photos)
    assert data.ids.tolist() == ["p0_a.jpg", "p1_b.jpg", "p4_a.jpg", "p4_c.jpg", "p5_a.jpg"]
    said = notes(data)
    assert said["photos_not_named"]["names"] == ["4"]
    assert said["photos_missing"]["names"] == ["gone.jpg", "gone too.jpg"]
    assert said["products_without_photo"]["names"] == ["(row 4)", "(row 5)"]


def test_a_column_of_which_no_photo_exists_is_named(photos: Path, tmp_path: Path) -> None:
    cells = [[f"p{p}_a.jpg", f"lost/{p}.jpg"] for p in range(N_PRODUCTS)]
    data = read(shop(tmp_path, ["front", "back"], cells), images=photos)
    assert len(data) == N_PRODUCTS
    assert notes(data)["photo_columns_unused"]["others"] == ["back"]


def test_a_product_column_joins_rows_and_columns(photos: Path, tmp_path: Path) -> None:
    rows = [[f"p{p}_{view}.jpg", f"p{p}_c.jpg", f"S{p}", "hb"[p % 2]] for p in range(N_PRODUCTS) for view in "ab"]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "detail_image", "sku", "kind"], *rows])
    data = read(tmp_path / "t.csv", images=photos)
    assert data.products is not None
    assert sorted(set(data.products)) == [f"S{p}" for p in range(N_PRODUCTS)]
    assert len(data) == 3 * N_PRODUCTS
    assert data.roles is not None
    assert data.roles.tolist().count("detail") == N_PRODUCTS


def test_json_lines_with_columns_of_photos(photos: Path, tmp_path: Path) -> None:
    rows = [{"front": f"p{p}_a.jpg", "back": [f"p{p}_b.jpg", f"p{p}_c.jpg"], "kind": "hb"[p % 2]} for p in range(6)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = read(tmp_path / "t.jsonl", images=photos)
    assert len(data) == 3 * N_PRODUCTS
    assert data.roles is not None
    assert data.roles.tolist() == ["front", "back", "back"] * N_PRODUCTS


def test_parquet_with_photos_in_several_columns(photos: Path, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def column(view: str, missing: int = -1) -> list[Any]:
        content = [(photos / f"p{p}_{view}.jpg").read_bytes() for p in range(N_PRODUCTS)]
        return [None if p == missing else {"bytes": each, "path": None} for p, each in enumerate(content)]

    kinds = ["hb"[p % 2] for p in range(N_PRODUCTS)]
    table = pa.table({"front_image": column("a"), "back_image": column("b", missing=2), "kind": kinds})
    pq.write_table(table, tmp_path / "t.parquet")
    data = read(tmp_path / "t.parquet", target="kind")
    assert len(data) == 2 * N_PRODUCTS - 1
    assert data.roles is not None
    assert data.roles.tolist().count("back") == N_PRODUCTS - 1
    assert all(data.images[index].shape[2] == 3 for index in range(len(data)))


def test_look_says_which_columns_are_joined(photos: Path, tmp_path: Path, capfd: Any) -> None:
    table = shop(tmp_path, ["front", "back"])
    shown = invoke(capfd, "look", table, "--images", photos)
    assert "6 products with 2 photos (front 6, back 6)" in shown.out
    again = invoke(capfd, "look", table, "--images", photos, "--image-column", "front", "--image-column", "back")
    assert "6 products with 2 photos (front 6, back 6)" in again.out


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("image", True), ("img_02", True), ("Bild 3", True), ("photoUrl", True), ("front", True), ("image_id", True),
     ("sku", False), ("id", False), ("name", False), ("brand_image", False), ("thumbnail", False), ("", False)],
)  # fmt: skip
def test_names_of_columns_that_show_a_product(name: str, is_one: bool) -> None:
    assert shows_product(name) == is_one


@pytest.mark.parametrize(
    ("name", "role"),
    [("Detailbild", "detail"), ("backImage", "back"), ("image_side_2", "side"), ("backpack", ""), ("image", "")],
)
def test_names_of_columns_can_hold_a_role(name: str, role: str) -> None:
    assert role_in_column(name) == role

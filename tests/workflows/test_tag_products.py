"""`muslin tag` gives a product one tag from all its photos, in all its rows or on its first row alone."""

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from command_line import invoke
from muslin.data.convert import convert
from muslin.errors import DataError, StoppedError
from muslin.models.bundle import seal
from muslin.models.predictor import CHUNK
from muslin.reporting.terminal.tagging import tagging_summary
from muslin.workflows.tag import TagOptions, tag
from small_models import SIDE, small_bundle
from small_shop import calibration_data, small_shop, table_rows

SHOPIFY = """Handle,Title,Image Src,Image Position
shirt,Shirt,black.png,1
shirt,,https://cdn.shop.example/files/gray.png?v=17,2
shirt,,,
hat,Hat,white.png,1
hat,,gone.jpg,2
bag,Bag,page.jpg,1
bag,,gone.jpg,2
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return small_shop(tmp_path)


def tagged(shop: Path, content: str, **options: Any) -> tuple[Any, list[dict[str, str]], dict[str, Any]]:
    """The result, the rows, and the parameters of each note by its code."""
    (shop / "shop.csv").write_text(content)
    result = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(**options))
    return result, table_rows(shop / "out.csv"), {note.code: note.params for note in result.notes}  # type: ignore[attr-defined]


def test_products_of_shopify_have_tags_on_their_first_rows(shop: Path) -> None:
    result, written, notes = tagged(shop, SHOPIFY)
    assert [row["tag"] for row in written] == ["Bag", "", "", "Bag", "", "", ""]
    assert notes["shopify_export"]["column"] == "Handle"
    assert notes["tags_on_first_rows"]["column"] == "Title"
    assert (result.products, result.rows, result.unreadable) == (3, 7, 1)
    assert result.decisions == {"label": {"review": 2}}
    assert tagging_summary(result).startswith("3 products in 7 rows: 0 accepted, 2 to review")


def test_products_that_lack_photos_are_named(shop: Path) -> None:
    _, written, notes = tagged(shop, SHOPIFY)
    assert (notes["products_not_tagged"]["count"], notes["products_not_tagged"]["names"]) == (1, ["bag"])
    assert notes["products_partly_unreadable"]["names"] == ["hat"]
    assert "photos_not_named" not in notes, "a variant's row needs no photo"
    hat, bag = written[3], written[5]
    assert "gone.jpg" in hat["reason"]
    assert not hat["error"]
    assert "page.jpg" in bag["error"]
    assert "gone.jpg" in bag["error"]
    assert not bag["tag"]


def test_one_product_has_one_prediction_from_all_its_photos(shop: Path) -> None:
    _, written, _ = tagged(shop, "sku,image\n1,black.png|gray.png\n2,gray.png\n")
    _, alone, _ = tagged_again(shop, "sku,image\n1,black.png\n2,gray.png\n")
    means = np.sqrt(np.full(3, 1 / 3) * softmax(128 / 255 * np.array([0, 5, 10])))
    assert float(written[0]["probability"]) == pytest.approx(means[2] / means.sum(), abs=1e-3)
    assert written[1]["probability"] == alone[1]["probability"]


def softmax(scores: Sequence[float]) -> Any:
    return np.exp(scores) / np.exp(scores).sum()


def tagged_again(shop: Path, content: str, **options: Any) -> Any:
    (shop / "out.csv").unlink()
    return tagged(shop, content, **options)


def test_rows_apart_have_the_tags_of_their_product(shop: Path) -> None:
    content = "product_id,image\na,black.png\nb,white.png\na,white.png\nc,black.png\nb,gray.png\n"
    result, written, notes = tagged(shop, content)
    assert [row["tag"] for row in written] == ["Bag", "Bag", "Bag", "Trouser", "Bag"]
    assert written[0]["probability"] == written[2]["probability"] != written[1]["probability"]
    assert "tags_on_first_rows" not in notes
    assert result.products == 3
    _, each, notes = tagged_again(shop, content, read_options={"product": "none"})
    assert [row["tag"] for row in each] == ["Trouser", "Bag", "Bag", "Trouser", "Bag"]
    assert not notes.keys() & {"product_column_chosen", "shopify_export"}


WOOCOMMERCE = """ID,Type,SKU,Name,Images,Parent
1,variable,S,Shirt,"https://shop.example/black.png, https://shop.example/gray.png",
2,variation,S-red,Shirt red,https://shop.example/white.png,S
3,simple,H,Hat,https://shop.example/white.png,
4,variation,S-blue,Shirt blue,,id:1
"""


def test_variations_of_woocommerce_belong_to_their_parent(shop: Path) -> None:
    result, (parent, red, hat, blue), notes = tagged(shop, WOOCOMMERCE)
    assert "woocommerce_export" in notes
    assert (result.products, result.rows) == (2, 4)
    assert parent["probability"] == red["probability"] == blue["probability"] != hat["probability"]
    result, (_, red, *_, blue), _ = tagged_again(shop, WOOCOMMERCE, read_options={"product": "SKU"})
    assert (result.products, red["tag"], blue["tag"]) == (4, "Bag", "")


def test_photos_in_several_columns_are_one_product(shop: Path) -> None:
    content = "front_image,back_image,nr\nblack.png,gray.png,1\nwhite.png,,2\n,gone.jpg,3\n"
    result, written, notes = tagged(shop, content)
    _, as_cell, _ = tagged_again(shop, "image,nr\nblack.png|gray.png,1\nwhite.png,2\ngone.jpg,3\n")
    assert [row["probability"] for row in written] == [row["probability"] for row in as_cell]
    assert notes["photo_columns_joined"]["columns"] == ["front_image", "back_image"]
    assert "photo_columns_chosen" not in notes
    assert (result.products, result.unreadable) == (3, 1)
    assert "gone.jpg" in written[2]["error"]
    _, first, notes = tagged_again(shop, content, read_options={"product": "none"})
    assert [row["tag"] for row in first] == ["Trouser", "Bag", ""]
    assert notes["photo_columns_unused"]["others"] == ["back_image"]


def test_product_shown_only_by_its_packaging_goes_to_review(shop: Path) -> None:
    content = "front_image,packaging_image,nr\nwhite.png,black.png,1\n,gray.png,2\n"
    _, written, _ = tagged(shop, content)
    assert "only the packaging is shown" not in written[0]["reason"]
    assert written[1]["reason"] == "only the packaging is shown (gray.png)"


@pytest.mark.parametrize("column", ["role", "View"])
def test_a_column_says_the_roles_of_photos_when_tagging(shop: Path, column: str) -> None:
    content = (
        f"sku,image,{column}\na,white.png,front\na,black.png,packaging\nb,gray.png,Verpackung\nb,white.png,package\n"
    )
    _, written, _ = tagged(shop, content)
    assert "only the packaging is shown" not in written[0]["reason"]
    assert "only the packaging is shown" in written[2]["reason"]


def test_a_view_that_names_no_role_is_no_column_of_roles(shop: Path) -> None:
    content = "sku,image,view\na,white.png,packaging\na,black.png,packaging\nb,gray.png,sea view\n"
    _, written, _ = tagged(shop, content)
    assert not any("packaging" in row["reason"] for row in written)


def test_columns_of_photos_that_the_user_names(shop: Path) -> None:
    content = "image,swatch,nr\nblack.png,gray.png,1\nwhite.png,gray.png,2\n"
    _, one, _ = tagged(shop, content)
    result, both, notes = tagged_again(shop, content, read_options={"image_column": ["image", "swatch"]})
    assert notes["photo_columns_chosen"]["columns"] == ["image", "swatch"]
    assert "reason" in result.columns
    assert [row["probability"] for row in one] != [row["probability"] for row in both]


def test_constant_column_of_products_is_refused(shop: Path) -> None:
    with pytest.raises(DataError) as error:
        tagged(shop, "shop,image\na,white.png\na,black.png\n", read_options={"product": "shop"})
    assert error.value.code == "product_column_constant"


def test_empty_column_of_products_is_refused(shop: Path) -> None:
    with pytest.raises(DataError) as error:
        tagged(shop, "shop,image\n,white.png\n ,black.png\n", read_options={"product": "shop"})
    assert error.value.code == "product_column_constant"


def test_rows_that_name_no_product_are_said_when_tagging(shop: Path) -> None:
    content = "Handle,Title,Image Src,Image Position\na,A,black.png,1\na,,gray.png,2\n,B,white.png,1\n"
    result, _, notes = tagged(shop, content)
    assert (notes["products_unnamed"]["names"], result.products) == (["4"], 2)


def test_products_of_one_row_each_have_no_first_rows(shop: Path) -> None:
    result, _, notes = tagged(shop, "sku,image\n1,white.png\n2,black.png\n", read_options={"product": "sku"})
    assert result.products == 2
    assert "tags_on_first_rows" not in notes


def test_column_of_products_that_does_not_exist_is_refused(shop: Path) -> None:
    with pytest.raises(DataError) as error:
        tagged(shop, SHOPIFY, read_options={"product": "Handel"})
    assert error.value.code == "column_unknown"


def test_model_that_knows_no_products_says_what_holds(shop: Path) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), shop / "model.muslin")
    content = "sku,image\n1,white.png|white2.png\n2,white.png|black.png\n"
    Image.fromarray(np.full((SIDE, SIDE), 250, np.uint8)).save(shop / "images/white2.png")
    result, (alike, differ), notes = tagged(shop, content, precision=0.9)
    assert notes["guarantee_per_photo"]["targets"] == ["label"]
    assert result.guarantees["label"].unit == "photo"
    assert (alike["decision"], alike["reason"]) == ("accept", "")
    assert differ["decision"] == "review"
    assert "white.png: Bag" in differ["reason"]
    assert "black.png: Trouser" in differ["reason"]


def test_model_of_products_guarantees_products(shop: Path, capfd: Any) -> None:
    of_products = {"label": calibration_data(temperature=0.5)}
    bundle = replace(small_bundle(), calibration_data={"label": calibration_data()}, product_calibration=of_products)
    seal(bundle, shop / "model.muslin")
    content = "sku,image\n1,white.png|gray.png\n2,black.png\n"
    result, (bag, black), notes = tagged(shop, content, precision=0.9)
    assert "guarantee_per_photo" not in notes
    assert result.guarantees["label"].unit == "product"
    assert "on calibration products" in tagging_summary(result)
    assert (bag["decision"], black["decision"]) == ("accept", "review")
    printed = invoke(capfd, "tag", shop / "model.muslin", shop / "shop.csv", "-o", shop / "b.csv")
    assert "predictions that can be accepted of 1,000 calibration products" in printed.out
    assert "calibration image" not in printed.out + printed.err


def test_predict_says_what_holds_where_no_products_are_known(shop: Path, capfd: Any) -> None:
    seal(replace(small_bundle(), calibration_data={"label": calibration_data()}), shop / "model.muslin")
    said = "the model does not know products"
    assert said in invoke(capfd, "predict", shop / "model.muslin", shop / "images", "--product", "folder").err
    assert said not in invoke(capfd, "predict", shop / "model.muslin", shop / "images").err


def test_products_too_few_for_a_guarantee_are_counted_as_products(shop: Path) -> None:
    few = {"label": calibration_data()}
    few["label"] = replace(few["label"], **{name: values[:20] for name, values in vars(few["label"]).items()
                                            if name not in ("temperature", "label_thresholds")})  # fmt: skip
    bundle = replace(small_bundle(), calibration_data={"label": calibration_data()}, product_calibration=few)
    seal(bundle, shop / "model.muslin")
    _, _, notes = tagged(shop, "sku,image\n1,white.png|gray.png\n", precision=0.98)
    assert notes["too_few_for_precision"]["products"] == 20


def test_product_of_60_photos_in_one_cell_or_in_rows(shop: Path) -> None:
    for i in range(60):
        Image.fromarray(np.full((SIDE, SIDE), 255 - i, np.uint8)).save(shop / "images" / f"{i}.png")
    names = [f"{i}.png" for i in range(60)]
    _, (one,), notes = tagged(shop, "sku,image\n1," + "|".join(names) + "\n")
    assert notes["products_of_many_photos"]["count"] == 1
    content = "sku,image\n2,black.png\n" + "".join(f"1,{name}\n" for name in names)
    _, many, notes = tagged_again(shop, content, read_options={"product": "sku"})
    assert notes["products_of_many_photos"]["names"] == ["1 (60)"]
    assert {row["probability"] for row in many[1:]} == {one["probability"]}


def test_photo_named_twice_counts_once(shop: Path) -> None:
    _, (product, *_), _ = tagged(shop, "sku,image\n1,white.png|black.png\n")
    _, written, _ = tagged_again(
        shop, "product_id,image\n1,white.png\n1,black.png\n1,white.png\n2,gray.png\n"
    )  # fmt: skip
    assert written[0]["probability"] == product["probability"]


def test_interrupted_products_are_resumed_to_the_same_bytes(shop: Path) -> None:
    for i in range(CHUNK * 2):
        Image.fromarray(np.full((SIDE, SIDE), i, np.uint8)).save(shop / "images" / f"{i}.png")
    order = np.random.default_rng(0).permutation(CHUNK * 2).tolist()
    content = "product_id,image\n" + "".join(f"{i // 3},{i}.png\n" for i in order)
    result, _, _ = tagged(shop, content)
    whole = (shop / "out.csv").read_bytes()
    (shop / "out.csv").unlink()
    with pytest.raises(StoppedError):
        tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", should_stop=lambda: True)
    again = tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", TagOptions(resume=True))
    assert 0 < again.resumed < again.products
    assert (shop / "out.csv").read_bytes() == whole
    assert again.decisions == result.decisions


def test_resume_refuses_products_that_are_calibrated_anew(shop: Path) -> None:
    (shop / "shop.csv").write_text("sku,image\n" + "".join(f"{i},white.png|gray.png\n" for i in range(CHUNK)))
    bundle = replace(small_bundle(), calibration_data={"label": calibration_data()})
    for temperature, options in ((1.0, TagOptions()), (2.0, TagOptions(resume=True))):
        of_products = {"label": calibration_data(temperature=temperature)}
        seal(replace(bundle, product_calibration=of_products), shop / "model.muslin")
        with pytest.raises((StoppedError, DataError)) as error:
            tag(shop / "model.muslin", shop / "shop.csv", shop / "out.csv", options, should_stop=lambda: True)
    assert (error.value.code, error.value.params["names"]) == ("job_inputs_changed", ["model"])


@pytest.mark.parametrize("suffix", [".jsonl", ".xlsx"])
def test_products_in_other_kinds_of_tables(suffix: str, shop: Path) -> None:
    import openpyxl

    table = list(csv.reader(SHOPIFY.splitlines()))
    path = shop / f"shop{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(table[0], row, strict=True))) + "\n" for row in table[1:]))
    else:
        book = openpyxl.Workbook()
        for row in table:
            book.active.append(row)
        book.save(path)
    result = tag(shop / "model.muslin", path, shop / f"out{suffix}")
    assert (result.products, result.rows, result.unreadable) == (3, 7, 1)


def test_list_of_photos_in_json_lines_is_one_product(shop: Path) -> None:
    (shop / "shop.jsonl").write_text(json.dumps({"sku": "1", "image": ["white.png", "gone.png"]}) + "\n")
    tag(shop / "model.muslin", shop / "shop.jsonl", shop / "out.jsonl")
    written = json.loads((shop / "out.jsonl").read_text())
    assert written["tag"] == "Bag"
    assert "gone.png" in written["reason"]


def test_products_of_data_that_are_no_table_have_a_column(shop: Path) -> None:
    (shop / "shop.csv").write_text("product_id,image,label\na,black.png,x\nb,white.png,y\na,white.png,x\n")
    convert(shop / "shop.csv", "parquet", shop / "shop.parquet")
    result = tag(shop / "model.muslin", shop / "shop.parquet", shop / "out.csv")
    written = table_rows(shop / "out.csv")
    assert [row["product"] for row in written] == ["a", "b", "a"]
    assert (result.products, result.rows) == (2, 3)
    assert written[0]["probability"] == written[2]["probability"] != written[1]["probability"]
    (shop / "out.csv").unlink()
    options = TagOptions(read_options={"product": "none"})
    assert tag(shop / "model.muslin", shop / "shop.parquet", shop / "out.csv", options).products == 3


def test_update_notices_another_photo_inside_a_parquet_file(shop: Path) -> None:
    def write(name: str) -> None:
        photo = {"bytes": (shop / f"images/{name}.png").read_bytes(), "path": "1.png"}
        pq.write_table(pa.table({"sku": ["1"], "image": [photo]}), shop / "shop.parquet")

    for name in ("black", "white"):
        write(name)
        tag(shop / "model.muslin", shop / "shop.parquet", shop / "out.parquet", TagOptions(update=True))
    assert pq.read_table(shop / "out.parquet").column("tag").to_pylist() == ["Bag"]

from pathlib import Path

import pytest

from muslin.data.tables.product_column import choose_product_column, product_numbers
from muslin.errors import DataError

SHOPIFY = {
    "Handle": ["shirt", "shirt", "hat", "shirt"],
    "Title": ["Shirt", "", "Hat", ""],
    "Image Src": ["1.jpg", "2.jpg", "3.jpg", ""],
}


def choose(table: dict[str, list[str]], **options: object) -> object:
    return choose_product_column(Path("shop.csv"), list(table), lambda name: table[name], **options)  # type: ignore[arg-type]


def test_handle_of_shopify_is_the_product():
    name, note = choose(SHOPIFY)
    assert name == "Handle"
    assert (note.code, note.params["products"], note.params["rows"]) == ("product_column_chosen", 2, 4)


def test_column_that_the_user_names_needs_no_note():
    assert choose(SHOPIFY, asked="Title") == ("Title", None)


def test_none_switches_the_guess_off():
    assert choose(SHOPIFY, asked="none") == (None, None)
    assert choose(SHOPIFY | {"None": SHOPIFY["Handle"]}, asked="None") == (None, None)


@pytest.mark.parametrize("name", ["product_id", "Product ID", "ProductID", "product-id", "SKU"])
def test_product_columns_are_known_in_any_spelling(name: str):
    assert choose({name: ["1", "1", "2"]})[0] == name  # type: ignore[index]


def test_column_of_the_photos_is_not_the_product():
    assert choose(SHOPIFY, excluded=["Handle"]) == (None, None)


def test_unique_ids_join_no_rows():
    assert choose({"product_id": ["1", "2", "3"]}) == (None, None)


def test_a_constant_column_or_a_class_is_no_product():
    assert choose({"product_id": ["shirt"] * 60 + ["hat"] * 60}) == (None, None)


def test_unknown_column_is_refused():
    with pytest.raises(DataError) as error:
        choose(SHOPIFY, asked="Handel")
    assert error.value.code == "column_unknown"


def test_products_are_numbered_in_the_order_of_first_rows():
    assert product_numbers(["b", "a", "b", ("a", "b"), "a"]).tolist() == [0, 1, 0, 2, 1]


def test_each_empty_cell_is_a_product_of_its_own():
    assert product_numbers(["", "a", "", "a"]).tolist() == [0, 1, 2, 1]
    assert product_numbers([]).tolist() == []

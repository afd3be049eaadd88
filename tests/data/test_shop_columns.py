"""Exports of shop systems: their own bookkeeping is no label, and each name of a column has one role."""

import csv
from itertools import combinations
from pathlib import Path

import pytest
from photo_files import garment

from muslin.data import read
from muslin.data.formats.label_columns import LABEL_NAMES
from muslin.data.part_names import SPLIT_NAMES
from muslin.data.photo_roles import ROLE_COLUMNS
from muslin.data.tables.identifier_names import GROUP_COLUMNS, PRODUCT_COLUMNS, joined_words
from muslin.data.tables.shop_columns import is_shop_export, shopify_handle, woocommerce_columns
from muslin.errors import DataError
from refusals import refuses

SHOPIFY = {
    "Handle": "item-{n}", "Title": "Item {n}", "Type": "{kind}", "Tags": "{tag}", "Published": "{yes}",
    "Option1 Name": "Size", "Option1 Value": "{size}", "Variant Inventory Policy": "{policy}", "Status": "{status}",
    "Image Src": "{n}.png", "Image Position": "{place}", "Variant Tax Code": "{size}",
}  # fmt: skip

WOOCOMMERCE_GERMAN = {
    "ID": "{n}", "Typ": "{entry}", "Artikelnummer": "S{n}", "Name": "Item {n}", "Veröffentlicht": "{yes}",
    "Sichtbarkeit im Katalog": "{policy}", "Steuerstatus": "{status}", "Lagerbestand": "{place}",
    "Kategorien": "{kind}", "Bilder": "{n}.png", "Übergeordnetes Produkt": "", "Attribut 1 sichtbar": "{yes}",
}  # fmt: skip

MAGENTO = {
    "sku": "S{n}", "product_type": "{magento}", "visibility": "{policy}", "tax_class_name": "{status}",
    "qty": "{place}", "base_image": "{n}.png", "colour": "{kind}",
}  # fmt: skip


def export(folder: Path, columns: dict[str, str]) -> Path:
    """A table of 24 photos, of which the cells of most columns recur."""
    rows = []
    for n in range(24):
        garment(("hat", "dress")[n % 2], n).save(folder / f"{n}.png")
        values = {
            "n": n, "kind": ("hat", "dress")[n % 2], "tag": ("sale", "new", "")[n % 3], "yes": str(n % 3 > 0).upper(),
            "size": "SML"[n % 3], "policy": ("deny", "continue")[n % 2], "place": n % 4,
            "status": ("active", "draft")[n % 2], "entry": ("simple", "variable")[n % 2],
            "magento": ("simple", "configurable")[n % 2],
        }  # fmt: skip
        rows.append([text.format(**values) for text in columns.values()])
    with (folder / "shop.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(columns), *rows])
    return folder / "shop.csv"


def test_shopify_bookkeeping_is_no_target(tmp_path: Path) -> None:
    with refuses("label_column_ambiguous", columns=["Type", "Tags"]):
        read(export(tmp_path, SHOPIFY))
    every = read(tmp_path / "shop.csv", all_targets=True)
    assert [target.name for target in every.targets] == ["Type", "Tags"]
    assert read(tmp_path / "shop.csv", target="Option1 Value").targets[0].classes == ("L", "M", "S")


@pytest.mark.parametrize(("columns", "label"), [(WOOCOMMERCE_GERMAN, "Kategorien"), (MAGENTO, "colour")])
def test_bookkeeping_of_other_shops_is_no_target(tmp_path: Path, columns: dict[str, str], label: str) -> None:
    data = read(export(tmp_path, columns))
    assert [target.name for target in data.targets] == [label]


def test_bookkeeping_is_named_where_no_column_is_the_label(tmp_path: Path) -> None:
    columns = {name: cell for name, cell in SHOPIFY.items() if name not in ("Type", "Tags")}
    with pytest.raises(DataError) as error:
        read(export(tmp_path, columns))
    assert error.value.code == "label_column_not_found"
    assert {"Published", "Option1 Value", "Status", "Image Position"} <= set(error.value.params["bookkeeping"])


@pytest.mark.parametrize("name", ["sample_id", "sku", "style_id", "Style ID", "SKU", "product_id"])
def test_identifiers_are_never_offered(tmp_path: Path, name: str) -> None:
    table = export(tmp_path, {"image": "{n}.png", name: "{size}", "kind": "{kind}"})
    assert [target.name for target in read(table, all_targets=True).targets] == ["kind"]


def test_a_constant_column_called_label_is_not_chosen(tmp_path: Path) -> None:
    table = export(tmp_path, {"image": "{n}.png", "label": "photo", "kind": "{kind}"})
    assert [target.name for target in read(table).targets] == ["kind"]


def test_each_name_of_a_column_has_one_role() -> None:
    tables = [PRODUCT_COLUMNS, GROUP_COLUMNS, LABEL_NAMES, SPLIT_NAMES, ROLE_COLUMNS]
    for names, others in combinations([set(map(joined_words, each)) for each in tables], 2):
        assert not names & others


def test_exports_are_known_in_several_languages() -> None:
    assert shopify_handle(["URL handle", "Title", "Product image URL", "Image position"]) == "URL handle"
    assert woocommerce_columns(["ID", "UGS", "Images", "Parent"]) == ("UGS", "Parent", "ID")
    assert woocommerce_columns(WOOCOMMERCE_GERMAN) == ("Artikelnummer", "Übergeordnetes Produkt", "ID")
    assert not is_shop_export(MAGENTO)

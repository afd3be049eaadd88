"""Exports of shop systems: the columns that say the product, and those that are the system's own bookkeeping."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from muslin.data.tables.cells import Cell
from muslin.data.tables.columns import Column
from muslin.data.tables.identifier_names import joined_words, words_of

_SHOPIFY = (("handle", "image src", "image position"), ("url handle", "product image url", "image position"))
"""In lower case, of Shopify's export, before and since 2025: the product's column, and two others.

A row is a photo or a variant, of which only a product's first one has its labels."""

_WOOCOMMERCE = (
    frozenset(["sku", "artikelnummer", "ugs", "referencia", "cod", "código"]),
    frozenset({"parent", "übergeordnet", "übergeordnetes produkt", "superior", "genitore", "hoofd"}),
    frozenset(["images", "bilder", "imágenes", "immagini", "immagine", "afbeeldingen"]),
)
"""In lower case and several languages, of WooCommerce's export: `SKU`, `Parent`, `Images`. A variation's row names its
product in `Parent`, and often has no labels."""

_WORDS = """
published veröffentlicht publié publicado pubblicato featured hervorgehoben visibility sichtbarkeit visibilité
visibilidad visibilità tax taxable steuerstatus steuerklasse taxe tva impuesto stock lagerbestand bestand inventory
backorders backorder lieferrückstände shipping versandklasse livraison fulfillment reviews kundenrezensionen download
downloads position currency währung devise price preis prix precio prezzo msrp qty quantity menge quantité availability
verfügbarkeit seo upsells
"""

_BOOKKEEPING_WORDS = frozenset(_WORDS.split())
"""Words in names of columns that a shop system keeps for itself: no photo shows them."""

_BOOKKEEPING_NAMES = re.compile(
    r"option\d+(name|value|linkedto)|attribut[eo]?\d+(name|nom|nome|visible|sichtbar|global|default)"
)
"""Joined words of such names: `Option1 Value`, `Attribute 2 visible`."""

_OF_SHOPIFY = ("variant ", "option", "included / ", "price / ", "google shopping / c", "gift card", "cost per item")
"""How such names begin in Shopify's export, in lower case."""

_KINDS = "simple variable variation grouped external downloadable virtual configurable bundle"
_STATUSES = "active draft archived publish published private pending inactive enabled disabled"
_STATES = (frozenset(_KINDS.split()), frozenset(_STATUSES.split()))
"""Cells of such columns, whatever they are called: kinds of entries, and their states."""


class WooCommerceColumns(NamedTuple):
    """The columns of WooCommerce's export that say the product of a row."""

    sku: str
    parent: str
    id: str | None


def shopify_handle(columns: Iterable[str]) -> str | None:
    """The column of the product in Shopify's export; None for another table."""
    lower = _lower(columns)
    return next((lower[names[0]] for names in _SHOPIFY if lower.keys() >= set(names)), None)


def woocommerce_columns(columns: Iterable[str]) -> WooCommerceColumns | None:
    """The columns of WooCommerce's export; None for another table."""
    lower = _lower(columns)
    found = [next((lower[name] for name in lower if name in names), None) for names in _WOOCOMMERCE]
    sku, parent, images = found
    return WooCommerceColumns(sku, parent, lower.get("id")) if sku and parent and images else None


def is_shop_export(columns: Iterable[str]) -> bool:
    """Whether a table is an export of Shopify or WooCommerce."""
    names = list(columns)
    return shopify_handle(names) is not None or woocommerce_columns(names) is not None


def is_shop_column(name: str) -> bool:
    """Whether a column of this name can be one of those by which such an export is known, or its `ID`."""
    known = {"id", *(name for names in (*_SHOPIFY, *_WOOCOMMERCE) for name in names)}
    return name.strip().lower() in known


def bookkeeping_columns(columns: dict[str, Column]) -> list[str]:
    """The columns that a shop system keeps for itself, such as `Published`, and are no labels of photos."""
    is_shopify = shopify_handle(columns) is not None
    return [name for name, column in columns.items() if _is_bookkeeping(name, column, is_shopify)]


def _is_bookkeeping(name: str, column: Column, is_shopify: bool) -> bool:
    if not _BOOKKEEPING_WORDS.isdisjoint(words_of(name)) or _BOOKKEEPING_NAMES.fullmatch(joined_words(name)):
        return True
    if is_shopify and name.strip().lower().startswith(_OF_SHOPIFY):
        return True
    cells = [cell for cell in column.categories if cell]
    return bool(cells) and any(all(_words_of_cell(cell) <= states for cell in cells) for states in _STATES)


def _words_of_cell(cell: Cell) -> set[str]:
    """What a cell lists, in lower case."""
    return {word.strip().lower() for word in (cell.split(",") if isinstance(cell, str) else cell)}


def _lower(columns: Iterable[str]) -> dict[str, str]:
    """The columns by their names in lower case; of equal ones the first."""
    return {name.strip().lower(): name for name in reversed(list(columns))}

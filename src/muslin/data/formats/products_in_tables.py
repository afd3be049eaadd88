"""Which product each row of a table shows: a column, the exports of Shopify and WooCommerce, rows of several photos."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.photo_roles import ROLE_COLUMNS, role_of
from muslin.data.row_names import row_names
from muslin.data.tables.columns import Column, Table
from muslin.data.tables.identifier_names import PRODUCT_COLUMNS, is_identifier, joined_words
from muslin.data.tables.product_column import choose_product_column
from muslin.data.tables.shop_columns import WooCommerceColumns, is_shop_column, shopify_handle, woocommerce_columns
from muslin.errors import DataError
from muslin.messages import Message, examples


@dataclass(frozen=True)
class RowProducts:
    """The product of each row.

    Attributes:
        names: one per row.
        columns: where they are from; the first one names the product. Empty where each row is a product.
        notes: what was guessed.
        fills_labels: whether rows without a label have that of another row of their product.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    notes: tuple[Message, ...] = ()
    fills_labels: bool = False

    def take(self, rows: NDArray[np.integer[Any]]) -> "RowProducts":
        """The products of these rows."""
        return replace(self, names=tuple(self.names[row] for row in rows.tolist()))


def columns_of_products(columns: Iterable[str], asked: str | None) -> list[str]:
    """Of a table's columns, those that `products_in_columns` and `products_by_column` read."""
    names = list(columns)
    read = {name for name in names if is_shop_column(name) or joined_words(name) in PRODUCT_COLUMNS}
    return [name for name in names if name == asked or (asked is None and name in read)]


def products_in_columns(table: Table, asked: str | None, excluded: Iterable[str | None]) -> RowProducts | None:
    """The product of each row by a column; None where no column says it, or the user wants none.

    Args:
        asked: the column that the user named, or NO_COLUMN; None to guess.
        excluded: columns that are not guessed.

    Raises:
        DataError: the column does not exist, or has the same cell in every row.
    """
    if asked is None and (woocommerce := woocommerce_columns(table.columns)):
        return _woocommerce_products(table, woocommerce)
    columns = list(table.columns)
    name, note = choose_product_column(table.path, columns, lambda c: table.columns[c].cells, asked, excluded)
    return None if name is None else products_by_column(table, name, note)


def products_by_column(table: Table, name: str, note: Message | None) -> RowProducts | None:
    """The product of each row by the column that `choose_product_column` gave; None where a guessed one is constant.

    Raises:
        DataError: the user named the column, and it has the same cell in every row.
    """
    table.check_column(name)
    if len(set(table.columns[name].cells)) == 1 < len(table):
        if note:
            return None
        raise DataError("product_column_constant", path=str(table.path), column=name, n=len(table))
    names, unnamed = _names(table, name), _unnamed_rows(table, name)
    if note and name == shopify_handle(table.columns):
        note = Message("shopify_export", column=name, products=len(set(names)), rows=len(table))
        return RowProducts(names, (name,), (note, *unnamed), fills_labels=True)
    return RowProducts(names, (name,), (note, *unnamed) if note else unnamed)


def rows_as_products(table: Table, n_photos: int) -> RowProducts:
    """Each row as a product, which has several photos."""
    names = _names(table, _key_column(table))
    return RowProducts(names, (), (Message("rows_are_products", products=len(table), photos=n_photos),))


def _woocommerce_products(table: Table, columns: WooCommerceColumns) -> RowProducts | None:
    """A row's parent, or else the row itself, by its SKU, ID or number; None where no row has a parent."""
    skus, parents = _texts(table, columns.sku), _texts(table, columns.parent)
    if not any(parents):
        return None
    ids = _texts(table, columns.id) if columns.id else [""] * len(table)
    own = [sku or id_ or row for sku, id_, row in zip(skus, ids, row_names(table.row_numbers.tolist()), strict=True)]
    of_id = {f"id:{id_}": name for id_, name in zip(ids, own, strict=True) if id_}
    names = tuple(of_id.get(parent, parent) or name for parent, name in zip(parents, own, strict=True))
    said = columns.sku, columns.parent
    note = Message("woocommerce_export", columns=said, products=len(set(names)), rows=len(table))
    return RowProducts(names, said, (note,), fills_labels=True)


def _texts(table: Table, name: str) -> list[str]:
    return [str(cell).strip() for cell in table.columns[name].cells]


def _key_column(table: Table) -> str | None:
    """The column whose cells name the rows: one of identifiers without an empty or a repeated cell."""
    joined = {joined_words(name): name for name in reversed(table.columns)}
    named = [joined[each] for each in (*PRODUCT_COLUMNS, "id") if each in joined]
    for name in (*named, *filter(is_identifier, table.columns)):
        cells = table.columns[name].categories
        if len(cells) == len(table) and all(cells):
            return name
    return None


def _names(table: Table, column: str | None) -> tuple[str, ...]:
    """Per row the product; a row with an empty cell is one of its own."""
    cells = [""] * len(table) if column is None else table.columns[column].cells
    return tuple(str(cell) or row for cell, row in zip(cells, row_names(table.row_numbers.tolist()), strict=True))


def _unnamed_rows(table: Table, column: str) -> tuple[Message, ...]:
    """A note on the rows that name no product."""
    numbers = table.row_numbers.tolist()
    rows = [str(number) for number, cell in zip(numbers, table.columns[column].cells, strict=True) if not cell]
    return (Message("products_unnamed", column=column, **examples(rows)),) if rows else ()


def fill_labels(table: Table, products: RowProducts, targets: Sequence[str]) -> tuple[Table, int]:
    """`table` with the first label of its product in each row that has none, and the number of such rows."""
    columns, filled = dict(table.columns), np.zeros(len(table), dtype=bool)
    for name in set(targets) & columns.keys():
        column = columns[name]
        codes = column.codes.astype(np.int64)
        has_label = np.array([bool(cell) for cell in column.categories])[codes]
        first: dict[str, int] = {}
        for row in np.flatnonzero(has_label).tolist():
            first.setdefault(products.names[row], int(codes[row]))
        for row in np.flatnonzero(~has_label).tolist():
            if (code := first.get(products.names[row])) is not None:
                codes[row], filled[row] = code, True
        columns[name] = Column(column.categories, codes.astype(column.codes.dtype))
    return replace(table, columns=columns), int(filled.sum())


def role_column(table: Table) -> str | None:
    """The column of ROLE_COLUMNS of which all cells, if not empty, name roles."""
    for name, column in table.columns.items():
        cells = [str(cell) for cell in column.categories if cell]
        if name.strip().lower() in ROLE_COLUMNS and cells and all(map(role_of, cells)):
            return name
    return None

"""The rows of a catalogue that show one product: their photos together, and the product's cells back in its rows."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.formats.products_in_tables import (
    RowProducts,
    columns_of_products,
    products_by_column,
    products_in_columns,
    role_column,
)
from muslin.data.photo_lookup import cell_name
from muslin.data.photo_roles import ROLE_COLUMNS, ProductPhoto, role_of
from muslin.data.tables import Cell, Row, TableFile, read_table
from muslin.data.tables.columns import wants_no_column
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.identifier_names import PRODUCT_COLUMNS, joined_words
from muslin.data.tables.photo_column import TablePhotos
from muslin.data.tables.product_column import choose_product_column, product_numbers
from muslin.data.tables.shop_columns import woocommerce_columns
from muslin.errors import ImageError
from muslin.messages import Message, no_log

IDENTIFYING_COLUMNS = (
    *PRODUCT_COLUMNS,
    "articlenumber",
    "artnr",
    "artikelnummer",
    "ean",
    "gtin",
    "upc",
    "asin",
    "货号",
)
"""Names, their words joined, of columns whose cells name one product each."""


class RowsOfProduct(NamedTuple):
    """The rows of one product.

    Attributes:
        name: the product's, or the first cell with its photos.
        rows: per row its number and the cells with its photos.
    """

    name: str
    rows: list[tuple[int, tuple[Cell, ...]]]

    @property
    def shown_name(self) -> str:
        """The name; of a product without one the number of its first row."""
        return self.name or Message("row_named", row=self.rows[0][0])


@dataclass(frozen=True, eq=False)
class ProductRows:
    """The products of a table, numbered in the order of their first rows.

    Attributes:
        photos: finds the photos of a row.
        columns: what says the product of a row; empty where each row is a product.
        numbers: int64 (rows,): the number of each row's product; None where each row is one.
        names: of the products; empty where each row is one.
        all_of_row: whether a row's photos are all used, or only the first.
        on_first_row: whether what the table says of a product stands on its first row alone, as in Shopify's exports.
        roles: by the number of a row the role of its photos; None where no column says it, but their names can.
    """

    table: TableFile
    photos: TablePhotos | DatasetTable
    columns: tuple[str, ...] = ()
    numbers: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()
    all_of_row: bool = True
    on_first_row: bool = False
    roles: Mapping[int, str] | None = None

    def __iter__(self) -> Iterator[RowsOfProduct]:
        """The rows of each product. In memory are those of products of which not all rows have come."""
        rows = self.table.rows(self.photos.photo_columns)
        if self.numbers is None:
            for number, cells in rows:
                yield RowsOfProduct(next(filter(None, map(cell_name, cells)), ""), [(number, cells)])
            return
        last_row = np.zeros(len(self.names), dtype=np.int64)
        last_row[self.numbers] = np.arange(len(self.numbers))
        waiting: dict[int, list[tuple[int, tuple[Cell, ...]]]] = {}
        first = 0
        for index, (number, cells) in enumerate(rows):
            waiting.setdefault(int(self.numbers[index]), []).append((number, cells))
            while first < len(last_row) and last_row[first] <= index:
                yield RowsOfProduct(self.names[first], waiting.pop(first))
                first += 1

    def find(self, product: RowsOfProduct) -> list[ProductPhoto]:
        """The name of each photo of a product, once, with the photo or the reason why there is none; at least one.

        A row without a photo counts only where no row has one.
        """
        held = self.photos.rows if isinstance(self.photos, TablePhotos) and product.rows[1:] else None
        columns = self.photos.photo_columns
        rows = [
            (number, cells)
            for number, cells in product.rows
            if any(cells) or (held and any(held.holds_photo(column, number) for column in columns))
        ]
        places = rows or product.rows[:1]
        found = [(number, photo) for number, cells in places for photo in self._photos_of_row(number, cells)]
        if held:
            found = _named_apart(found, columns[0])
        return list({photo.name: photo for _, photo in found}.values())

    def _photos_of_row(self, number: int, cells: tuple[Cell, ...]) -> list[ProductPhoto]:
        photos = self.photos.find_all(number, cells) if self.all_of_row else [self.photos.find(number, cells)]
        return photos if self.roles is None else [photo._replace(role=self.roles[number]) for photo in photos]

    def spread(self, cells: Iterable[Row]) -> Iterator[Row]:
        """The cells of each row of the table, from those of each product: on all its rows, or on the first alone."""
        if self.numbers is None:
            yield from cells
            return
        of_product, left = iter(cells), np.bincount(self.numbers)
        waiting: dict[int, Row] = {}
        seen = 0
        for number in self.numbers.tolist():
            if is_first := number == seen:
                waiting[number] = next(of_product)
                seen += 1
            row = waiting[number]
            left[number] -= 1
            if not left[number]:
                del waiting[number]
            yield row if is_first or not self.on_first_row else [None] * len(row)


def _named_apart(found: Sequence[tuple[int, ProductPhoto]], column: str) -> list[tuple[int, ProductPhoto]]:
    """Photos that a table's rows hold: a name can stand for several of them, and a photo can be without one.

    Where a name comes again with another content, the number of the row stands behind it.
    """
    counts, contents = Counter(photo.name for _, photo in found), dict[str, set[bytes]]()
    apart = []
    for number, photo in found:
        if counts[photo.name] > 1:
            known, digest = contents.setdefault(photo.name, set()), _digest(photo, number)
            if digest in known:
                continue
            name = photo.name if photo.name and not known else f"{photo.name or column} {number}"
            known.add(digest)
            photo = photo._replace(name=name)
        apart.append((number, photo))
    return apart


def _digest(photo: ProductPhoto, row_number: int) -> bytes:
    """Of what a photo that a table holds shows; one that cannot be read is no copy of another."""
    try:
        return hashlib.sha256(photo.image.content()).digest()
    except ImageError:
        return str(row_number).encode()


def with_own_names(products: Iterable[RowsOfProduct]) -> Iterator[RowsOfProduct]:
    """The same products, each with a name that no other one has, which can be written to any database.

    Where a name comes again, as that of a photo in two rows, a number stands behind it.
    """
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    for product in products:
        name = plain = product.name.replace("\0", "").encode(errors="backslashreplace").decode()
        while not name or name in taken:
            counts[plain] += 1
            name = f"{plain} ({counts[plain] + bool(plain)})".strip()
        taken.add(name)
        yield product._replace(name=name)


def with_identifiers(rows: ProductRows) -> Iterator[RowsOfProduct]:
    """The products of a table, each called by its cell in the column of identifiers, where there is one.

    So a product keeps its name when it gets more photos, or others.
    """
    column = identifying_column(rows) if rows.numbers is None else None
    if column is None:
        yield from rows
        return
    for product, (_, (cell,)) in zip(rows, rows.table.rows([column]), strict=True):
        yield product._replace(name=cell_name(cell))


def find_products(
    table: TableFile, photos: TablePhotos | DatasetTable, asked: str | None = None
) -> tuple[ProductRows, list[Message]]:
    """The products of a table, and notes on what was guessed.

    Args:
        asked: the column that names them, NO_COLUMN, or None to guess it.

    Raises:
        DataError: not exactly one column is called as `asked`, or all its cells are equal.
    """
    if isinstance(photos, DatasetTable):  # which was read with `asked`
        found = None if photos.products is None else RowProducts(photos.products, (photos.product_column,))
    else:
        found = _products_of_rows(table, photos.photo_columns, asked)
    if found is None:
        return ProductRows(table, photos, all_of_row=not wants_no_column(asked)), []
    numbers, notes = product_numbers(found.names), list(found.notes)
    names = tuple(dict.fromkeys(found.names))
    has_several = len(names) < len(numbers)
    title = _column_of_first_rows(table, numbers, {*found.columns, *photos.photo_columns}) if has_several else None
    if title is not None:
        notes.append(Message("tags_on_first_rows", column=title))
    found_rows = ProductRows(
        table,
        photos,
        found.columns,
        numbers,
        names,
        on_first_row=title is not None,
        roles=None if isinstance(table, DatasetTable) else _roles_of_rows(table),
    )
    return found_rows, notes


def identifying_column(rows: ProductRows) -> str | None:
    """The column that tells one product from another, in this table and in later ones: the one by which rows of a
    product were found, or else one of identifiers that is filled in every row, without repetition."""
    if len(rows.columns) <= 1 and rows.numbers is not None:
        return next(iter(rows.columns), None)
    if rows.numbers is not None or isinstance(rows.table, DatasetTable):
        return None
    names = {joined_words(name): name for name in reversed(rows.table.columns) if name not in rows.photos.photo_columns}
    for name in (names[each] for each in IDENTIFYING_COLUMNS if each in names):
        cells = [cell for _, (cell,) in rows.table.rows([name])]
        if all(cells) and len(set(cells)) == len(cells):
            return name
    return None


def _products_of_rows(table: TableFile, photo_columns: Sequence[str], asked: str | None) -> RowProducts | None:
    """The product of each row. The columns that say it are in memory only where rows of one product are found."""

    def cells(name: str) -> Iterator[Cell]:
        return (row.cells[0] for row in table.rows([name]))

    read = columns_of_products(table.columns, asked)
    if asked is None and woocommerce_columns(table.columns):
        return products_in_columns(read_table(table, no_log, read), None, photo_columns)
    name, note = choose_product_column(table.path, table.columns, cells, asked, photo_columns)
    return None if name is None else products_by_column(read_table(table, no_log, read), name, note)


def _roles_of_rows(table: TableFile) -> dict[int, str] | None:
    """By the number of a row the role that a column says of its photos, as training reads it; None without one."""
    names = [name for name in table.columns if name.strip().lower() in ROLE_COLUMNS]
    read = read_table(table, no_log, names) if names else None
    column = role_column(read) if read else None
    if read is None or column is None:
        return None
    roles = [role_of(str(cell)) for cell in read.columns[column].cells]
    return dict(zip(read.row_numbers.tolist(), roles, strict=True))


def _column_of_first_rows(table: TableFile, numbers: NDArray[np.int64], excluded: set[str]) -> str | None:
    """A column that is empty on all but the first rows of products, and filled on at least half of these."""
    names = [name for name in dict.fromkeys(table.columns) if name and name not in excluded]
    filled = dict.fromkeys(names, 0)
    seen = 0
    for number, (_, cells) in zip(numbers.tolist(), table.rows(names), strict=True):
        is_first = number == seen
        seen += is_first
        for name, cell in zip(names, cells, strict=True):
            if cell and name in filled:
                if is_first:
                    filled[name] += 1
                else:
                    del filled[name]
        if not filled:
            return None
    return next((name for name, count in filled.items() if 2 * count >= seen), None)

"""The column of a table that says which product a row shows, and the rows of each product."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from muslin.data.tables.cells import Cell
from muslin.data.tables.columns import check_column, wants_no_column
from muslin.data.tables.identifier_names import PRODUCT_COLUMNS, joined_words
from muslin.messages import Message

MAX_MEAN_ROWS = 20
"""Rows per product on average up to which a column is taken for products: the cells of a class recur more often."""


def choose_product_column(
    path: Path,
    columns: Sequence[str],
    cells: Callable[[str], Iterable[Cell]],
    asked: str | None = None,
    excluded: Iterable[str | None] = (),
) -> tuple[str | None, Message | None]:
    """The column that names the product of each row, or None; and a note where it was guessed.

    Args:
        path: of the table, for errors.
        cells: gives the cells of a column, row by row.
        asked: the column that the user named, or NO_COLUMN.
        excluded: columns that are not guessed, such as that of the photos.

    Raises:
        DataError: not exactly one column is called as `asked`.
    """
    if wants_no_column(asked):
        return None, None
    if asked is not None:
        check_column(path, asked, columns)
        return asked, None
    names = {joined_words(name): name for name in reversed(columns) if name not in set(excluded)}
    for name in (names[each] for each in PRODUCT_COLUMNS if each in names):
        numbers = product_numbers(cells(name))
        products = int(numbers.max(initial=-1)) + 1
        if products < len(numbers) <= MAX_MEAN_ROWS * products:
            return name, Message("product_column_chosen", column=name, products=products, rows=len(numbers))
    return None, None


def product_numbers(cells: Iterable[Cell]) -> NDArray[np.int64]:
    """int64 (rows,): the number of each row's product, from 0 in the order of their first rows.

    An empty cell is a product of its own.
    """
    keys = array("q", (hash(cell or (row,)) for row, cell in enumerate(cells)))
    _, first, places = np.unique(np.frombuffer(keys, dtype=np.int64), return_index=True, return_inverse=True)
    numbers = np.empty(len(first), dtype=np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    return numbers[places]

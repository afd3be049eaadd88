"""A table in memory: columns of distinct cells and, per row, the index of its cell.

Labels recur, so a table of 300,000 rows and 1,000 columns of yes and no takes one byte per cell, where a list of
strings would take eight or more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.tables.cells import Cell
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message

BLOCK_ROWS = 1024
LOG_EVERY_ROWS = 50_000


@dataclass(frozen=True, eq=False)
class Column:
    """A column as in pandas' Categorical: row i has the cell `categories[codes[i]]`.

    Attributes:
        categories: the distinct cells, in the order in which they first occur.
        codes: (rows,) of the smallest sufficient unsigned integer type.
    """

    categories: list[Cell]
    codes: NDArray[np.unsignedinteger[Any]]

    @property
    def cells(self) -> list[Cell]:
        """The cell of each row."""
        return [self.categories[code] for code in self.codes.tolist()]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, all of the same length.

    Attributes:
        row_numbers: (rows,) int64, what a person sees; see `muslin.data.tables.TableRow`.
        fixes: what was guessed, repaired or skipped while reading.
        names_twice: names that several columns have, of which `columns` holds the first.
    """

    path: Path
    columns: dict[str, Column]
    row_numbers: NDArray[np.int64]
    fixes: tuple[Message, ...] = ()
    names_twice: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.row_numbers)

    def check_column(self, name: str) -> str:
        """`name`; DataError where no column or several are called so."""
        if name not in self.columns or name in self.names_twice:
            check_column(self.path, name, [*self.columns, *self.names_twice])
        return name


NO_COLUMN = "none"
"""As the name of a column that a user gives, in any case: there is to be none."""


def wants_no_column(asked: str | None) -> bool:
    """Whether a user said NO_COLUMN. A column that is called so cannot be chosen."""
    return asked is not None and asked.lower() == NO_COLUMN


def column_names(given: str | Sequence[str] | None, option: str) -> tuple[str, ...]:
    """The names of columns that a user gave with `option`: one, several or none; DataError where one recurs."""
    names = (given,) if isinstance(given, str) else tuple(given or ())
    if repeated := [name for name in names if names.count(name) > 1]:
        raise DataError("option_repeated", option=f"{option} {repeated[0]}")
    return names


def check_column(path: Path, name: str, columns: Iterable[str]) -> None:
    """Raises DataError where not exactly one of the `columns` is called `name`."""
    columns = list(columns)
    if name not in columns:
        raise DataError("column_unknown", path=str(path), **unknown(name, dict.fromkeys(columns)))
    if columns.count(name) > 1:
        raise DataError("column_twice", path=str(path), name=name)


def build_columns(names: Sequence[str], rows: Iterable[Sequence[Cell]], log: Log) -> dict[str, Column]:
    """Columns from rows that all have as many cells as there are names."""
    codes_by_cell: list[dict[Cell, int]] = [{} for _ in names]
    blocks: list[list[NDArray[np.unsignedinteger[Any]]]] = [[] for _ in names]
    count, remaining = 0, iter(rows)
    while block := list(islice(remaining, BLOCK_ROWS)):
        for arrays, codes, cells in zip(blocks, codes_by_cell, zip(*block, strict=True), strict=True):
            block_codes = [codes.setdefault(cell, len(codes)) for cell in cells]
            arrays.append(np.array(block_codes, dtype=np.min_scalar_type(len(codes))))
        if (count + len(block)) // LOG_EVERY_ROWS > count // LOG_EVERY_ROWS:
            log(Message("rows_read", n=count + len(block)))
        count += len(block)
    return {
        name: Column(list(codes), np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint8))
        for name, codes, arrays in zip(names, codes_by_cell, blocks, strict=True)
    }

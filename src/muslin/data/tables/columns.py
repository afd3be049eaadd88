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

from muslin.errors import DataError, unknown
from muslin.messages import Log

BLOCK_ROWS = 1024
LOG_EVERY_ROWS = 50_000

Cell = str | tuple[str, ...]
"""Text; a tuple where the cell holds a list; an empty string where it is empty."""


@dataclass(frozen=True, eq=False)
class Column:
    """A column as in pandas' Categorical: row i has the cell `categories[codes[i]]`.

    Attributes:
        categories: the distinct cells, in the order in which they first occur.
        codes: (rows,) of the smallest sufficient unsigned integer type.
    """

    categories: list[Cell]
    codes: NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name, all of the same length.

    Attributes:
        fixes: what was repaired or skipped while reading, one sentence each.
    """

    path: Path
    columns: dict[str, Column]
    fixes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).codes) if self.columns else 0

    def check_column(self, name: str) -> str:
        """`name`; DataError where no column is called so."""
        check_column(self.path, name, self.columns)
        return name


def check_column(path: Path, name: str, columns: Iterable[str]) -> None:
    """Raises DataError where `name` is not one of the names in `columns`."""
    columns = list(columns)
    if name not in columns:
        raise DataError("column_unknown", path=str(path), **unknown(name, columns))


def check_distinct(path: Path, names: Sequence[str]) -> None:
    """Raises DataError where two of the column names are the same."""
    if len(set(names)) < len(names):
        raise DataError(
            "column_twice", path=str(path), name=next(name for name in names if list(names).count(name) > 1)
        )


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
            log(f"{count + len(block):,} rows read")
        count += len(block)
    return {
        name: Column(list(codes), np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint8))
        for name, codes, arrays in zip(names, codes_by_cell, blocks, strict=True)
    }


def cell_text(value: Any) -> str:
    """A value of JSON, Parquet or a workbook as text: empty for None and NaN; a whole float is written without `.0`.

    pandas writes whole numbers as floats in columns with empty cells.
    """
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def to_cell(value: Any) -> Cell:
    """`cell_text`, but a list becomes the tuple of the texts of its items, without empty ones."""
    if isinstance(value, list | tuple):
        return tuple(text for item in value if (text := cell_text(item)))
    return cell_text(value)

"""The cells of a table: those that are read, and those of columns that are added."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from muslin.data.audit.exclusions import escape_formula
from muslin.text import ORDINARY_CHARACTERS, escape_controls

DECIMAL = re.compile(r"[-+]?(?:\d+|\d{1,3}(?:[.' ]\d{3})+)(,)(\d+)|[-+]?(?:\d+|\d{1,3}(?:[,' ]\d{3})+)(\.)(\d+)")
"""A number with decimals, perhaps with marks between thousands."""

Cell = str | tuple[str, ...]
"""What is read: text; a tuple where the cell holds a list; an empty text where it is empty."""

CellValue = str | float | Sequence[str] | None
"""What is written; None for an empty cell."""

Row = Sequence[CellValue]


@dataclass(frozen=True)
class AddedColumn:
    """A column to be added: `text`, a `number`, or a `list` of texts; `numbers` is a list of texts with decimals."""

    name: str
    kind: Literal["text", "number", "list", "numbers"] = "text"


def format_cell(value: CellValue) -> str:
    """A cell in a table of text: four decimals, `|` between the texts of a list.

    >>> format_cell(["Shirt", "Coat"]), format_cell(0.98765), format_cell(None)
    ('Shirt|Coat', '0.9877', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4f}"
    return "|".join(value)


def spreadsheet_text(value: CellValue) -> str:
    """`format_cell`, but no text that a spreadsheet would evaluate as a formula, and control characters as text."""
    text = format_cell(value)
    return text if isinstance(value, float) else escape_formula(escape_controls(text, keep=ORDINARY_CHARACTERS))


def has_decimal_commas(cells: Iterable[str]) -> bool:
    """Whether numbers among these cells are written as `1,50`, and none as `1.50`.

    Three digits after a comma or a point can be thousands: alone they say nothing.
    """
    found = filter(None, map(DECIMAL.fullmatch, cells))
    marks = {match[1] or match[3] for match in found if len(match[2] or match[4]) != 3}
    return marks == {","}


def typed_value(value: CellValue) -> Any:
    """A cell for JSON or Parquet: four decimals; None for an empty text or list."""
    return round(value, 4) if isinstance(value, float) else value or None


def cell_text(value: Any) -> str:
    """A value of JSON, Parquet or a workbook as text: empty for None and NaN, `true` and `false` for booleans.

    A whole float is written without `.0`, because pandas writes whole numbers as floats in columns with empty cells.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def to_cell(value: Any) -> Cell:
    """`cell_text` without spaces around it; a list becomes the tuple of its items' texts, without empty ones."""
    if isinstance(value, list | tuple):
        return tuple(text for item in value if (text := cell_text(item).strip()))
    return cell_text(value).strip()

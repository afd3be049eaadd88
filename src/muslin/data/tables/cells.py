"""The cells of columns that are added to a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from muslin.data.audit.exclusions import escape_formula

CellValue = str | float | Sequence[str] | None
"""Content of a cell; None for an empty one."""

Row = Sequence[CellValue]


@dataclass(frozen=True)
class AddedColumn:
    """A column to be added: `text`, a `number`, or a `list` of texts."""

    name: str
    kind: Literal["text", "number", "list"] = "text"


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
    """`format_cell`, but no text that a spreadsheet would evaluate as a formula."""
    return format_cell(value) if isinstance(value, float) else escape_formula(format_cell(value))


def typed_value(value: CellValue) -> Any:
    """A cell for JSON or Parquet: four decimals; None for an empty text or list."""
    return round(value, 4) if isinstance(value, float) else value or None

"""The cells that are added to a catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from muslin.data.audit.exclusions import guarded

Value = str | float | Sequence[str] | None
"""What a cell holds; None is an empty one."""

Row = Sequence[Value]


@dataclass(frozen=True)
class Column:
    """A column to be added: `text`, a `number`, or a `list` of texts."""

    name: str
    kind: Literal["text", "number", "list"] = "text"


def text_of(value: Value) -> str:
    """A cell as a table of text has it: four decimals, `|` between the texts of a list.

    >>> text_of(["Shirt", "Coat"]), text_of(0.98765), text_of(None)
    ('Shirt|Coat', '0.9877', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.4f}"
    return "|".join(value)


def spreadsheet_text(value: Value) -> str:
    """`text_of`, but nothing that a spreadsheet would reckon or run."""
    return text_of(value) if isinstance(value, float) else guarded(text_of(value))

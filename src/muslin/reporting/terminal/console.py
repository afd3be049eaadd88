"""The console and the table style of all terminal output: colour on a terminal, plain text in a pipe."""

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def printable(text: str) -> str:
    """`text` without control characters, which could steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def console_for(file: TextIO | None = None) -> "Console":
    """A rich console without markup, on standard output or on `file`."""
    from rich.console import Console

    return Console(file=file or sys.stdout, markup=False, emoji=False, highlight=False)


def plain_table() -> "Table":
    """An empty table with a line under its headings and without a frame."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)

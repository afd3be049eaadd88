"""The console and the table style of all terminal output: colour on a terminal, plain text in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def printable(text: str) -> str:
    """`text` without control characters, which could steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def console_for(file: TextIO | None = None) -> "Console":
    """A rich console without markup, on standard output or on `file`."""
    from rich.console import Console

    return Console(file=file or sys.stdout, markup=False, emoji=False, highlight=False)


def print_lines(console: "Console", *lines: str) -> None:
    """Print each line without control characters; in a pipe it is not broken."""
    for line in lines:
        console.print(printable(line), soft_wrap=True)


def print_table(
    console: "Console", alignment: str, headings: Sequence[str], rows: Iterable[Sequence[str | list[str]] | None]
) -> None:
    """Print a table with a line under its headings and without a frame.

    Args:
        alignment: a letter per column: `f` left, long cells are folded; `l` left and `r` right, cells stay whole.
        rows: the cells, printed without control characters; a list is a cell of several lines, None a line between
            two rows.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for letter, heading in zip(alignment, headings, strict=True):
        table.add_column(
            printable(heading), justify="right" if letter == "r" else "left", overflow="fold", no_wrap=letter != "f"
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            lines = ([cell] if isinstance(cell, str) else cell for cell in row)
            table.add_row(*("\n".join(map(printable, cell)) for cell in lines))
    console.print(table)

"""The console and the table style of all terminal output: colour on a terminal, plain text in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from muslin.printing import stream_behind
from muslin.text import visible

if TYPE_CHECKING:
    from muslin.reporting.terminal.visible_console import VisibleConsole


def console_for(file: TextIO | None = None) -> "VisibleConsole":
    """A rich console without markup, on standard output or on `file`. It shows control characters of names as text."""
    from muslin.reporting.terminal.visible_console import VisibleConsole

    stream = stream_behind(file or sys.stdout)
    return VisibleConsole(file=stream, markup=False, emoji=False, highlight=False)


def print_lines(console: "VisibleConsole", *lines: str) -> None:
    """Print each line; in a pipe it is not broken."""
    for line in lines:
        console.print(visible(line), soft_wrap=True)


def print_table(
    console: "VisibleConsole", alignment: str, headings: Sequence[str], rows: Iterable[Sequence[str | list[str]] | None]
) -> None:
    """Print a table with a line under its headings and without a frame.

    Args:
        alignment: a letter per column: `f` left, long cells are folded; `l` left and `r` right, cells stay whole.
        rows: the cells; a list is a cell of several lines, None a line between
            two rows.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for letter, heading in zip(alignment, headings, strict=True):
        table.add_column(
            visible(heading), justify="right" if letter == "r" else "left", overflow="fold", no_wrap=letter != "f"
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            lines = ([cell] if isinstance(cell, str) else cell for cell in row)
            table.add_row(*("\n".join(map(visible, cell)) for cell in lines))
    console.print(table)

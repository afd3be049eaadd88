"""The console and the table style of all terminal output: colour on a terminal, plain text in a pipe."""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from muslin.printing import unwrap_stream
from muslin.text import escape_controls

if TYPE_CHECKING:
    from rich.segment import Segment

    from muslin.reporting.terminal.escaping_console import EscapingConsole

WIDEST = 10_000  # columns of a terminal


def console_for(file: TextIO | None = None) -> "EscapingConsole":
    """A rich console without markup, on standard output or on `file`. It escapes control characters."""
    from muslin.reporting.terminal.escaping_console import EscapingConsole

    stream = unwrap_stream(file or sys.stdout)
    return EscapingConsole(file=stream, markup=False, emoji=False, highlight=False)


def print_lines(console: "EscapingConsole", *lines: str) -> None:
    """Print each line; in a pipe it is not broken."""
    for line in lines:
        console.print(escape_controls(line), soft_wrap=True)


def print_table(
    console: "EscapingConsole",
    alignment: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str | list[str]] | None],
) -> None:
    """Print a table with a line under its headings and without a frame.

    Args:
        alignment: a letter per column: `f` left, long cells are folded; `l` left and `r` right, cells stay whole.
        rows: the cells; a list is a cell of several lines, None a line between
            two rows.

    Three blanks part the columns; two where the table is too wide for the terminal.
    """
    from rich import box
    from rich.segment import Segments
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for letter, heading in zip(alignment, headings, strict=True):
        table.add_column(
            escape_controls(heading),
            justify="right" if letter == "r" else "left",
            overflow="fold",
            no_wrap=letter != "f",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            lines = ([cell] if isinstance(cell, str) else cell for cell in row)
            table.add_row(*("\n".join(map(escape_controls, cell)) for cell in lines))
    unbroken = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    if unbroken > console.width:
        table.padding = (0, 1, 0, 0)
    trimmed = map(_without_blanks_at_end, console.render_lines(table, pad=False))
    console.print(Segments(chain.from_iterable(trimmed)), end="")


def _without_blanks_at_end(line: Sequence["Segment"]) -> list["Segment"]:
    """A line of a table without the blanks that fill its last cells, with its end."""
    from rich.segment import Segment

    kept = list(line)
    while kept and not kept[-1].text.strip():
        del kept[-1]
    last = [Segment(kept[-1].text.rstrip(), kept[-1].style)] if kept else []
    return [*kept[:-1], *last, Segment.line()]

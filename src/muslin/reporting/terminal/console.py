"""What all tables of the terminal share: colour on a terminal, plain text in a pipe, no markup in names."""

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def printable(words: str) -> str:
    """`words` without the characters that would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in words)


def console_for(file: TextIO | None = None) -> "Console":
    """A rich console that takes nothing for markup, on standard output or on `file`."""
    from rich.console import Console

    return Console(file=file or sys.stdout, markup=False, emoji=False, highlight=False)


def plain_table() -> "Table":
    """An empty table with a line under its headings and no frame."""
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)

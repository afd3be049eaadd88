"""A shop's catalogue, and the same once more with columns added: nothing else in it changes.

One file a format, each with a class that reads cells as text and writes the catalogue again; `open_catalogue`
tells them apart by content.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from muslin.data.tables.cells import Column, Row
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.folder import Folder
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError

__all__ = ["Catalogue", "Column", "Row", "open_catalogue"]


class Catalogue(Protocol):
    """Products in order. Read anew for every pass, so that memory does not grow with their number.

    Attributes:
        path: the file or folder.
        columns: the columns' names, in order; the first of equals is meant by a name.
        notes: what was guessed while opening, one sentence each.
        digest: SHA-256 of the content, in hexadecimal.
        suffixes: what the name of a file of this format ends with.
    """

    path: Path
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str
    suffixes: tuple[str, ...]

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Per product the cells of these columns as text; an empty one is an empty string.

        Raises:
            DataError: the file is damaged; the message names the row.
        """
        ...

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        """The whole catalogue once more, with the columns `added`; `rows` gives their cells, product by product."""
        ...


REFUSED = {
    b"\x1f\x8b": "is gzipped. Unpack it first.",
    b"\xd0\xcf\x11\xe0": "is an old Excel file (.xls). Save it as .xlsx or CSV.",
    b"%PDF": "is a PDF, which is no table. Export the catalogue as CSV.",
    b"<": "is HTML or XML, which is not read. Export the catalogue as CSV.",
    b"[": "is one JSON list. Write JSON Lines: one object a line.",
}


def open_catalogue(path: Path, out: Path) -> Catalogue:
    """The catalogue at `path`, to be written to `out`.

    Raises:
        DataError: it cannot be read, is of no kind that is, or is of another than the name of `out` says.
    """
    if path.is_dir():
        return Folder(path, out)
    try:
        with path.open("rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    for begins, why in REFUSED.items():
        if start.startswith(begins):
            raise DataError(f"{path}: {why}")
    found: Catalogue
    if start.startswith(b"PAR1"):
        found = Parquet(path)
    elif start.startswith(b"PK\x03\x04"):
        found = Workbook(path)
    elif start.lstrip().startswith(b"{"):
        found = JsonLines(path)
    elif b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is no table that is read. Export the catalogue as CSV.")
    else:
        found = Delimited(path)
    kinds: tuple[type[Catalogue], ...] = (Delimited, Workbook, Parquet, JsonLines)
    others = {suffix for kind in kinds for suffix in kind.suffixes} - set(found.suffixes)
    if out.suffix.lower() in others:
        raise DataError(
            f"{out}: the catalogue is written as it came, so its name ends with {' or '.join(found.suffixes)}."
        )
    return found

"""Tables in files. A `TableFile` streams rows and can be written again with columns added, all else unchanged;
`read` gives it as a `muslin.data.tables.columns.Table` in memory.

One module for each kind of file; `open_table` detects the kind by content.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from muslin.data.gzip_files import is_gzipped, read_head
from muslin.data.tables.cells import AddedColumn, Row
from muslin.data.tables.columns import Table
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.folder_table import Folder
from muslin.data.tables.json_lines import JsonLines
from muslin.data.tables.parquet import Parquet
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError
from muslin.messages import Log

__all__ = ["AddedColumn", "Row", "TableFile", "open_table", "read_table"]


class TableFile(Protocol):
    """Rows in order, read anew on each pass, so that memory does not grow with their number.

    Attributes:
        path: the file or folder.
        columns: the columns' names, in order; a name means the first of equal ones.
        notes: what was guessed while opening, one sentence each.
        digest: SHA-256 of the content, in hexadecimal.
        suffixes: of file names of this kind.
    """

    path: Path
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    digest: str
    suffixes: tuple[str, ...]

    def rows(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Per row the cells of these columns as text; an empty cell is an empty string.

        Raises:
            DataError: the file is damaged; its parameters name the row.
        """
        ...

    def read(self, log: Log) -> Table:
        """The whole table in memory; `log` is called with the progress.

        Raises:
            DataError: the file is damaged, its encoding is unknown, or a row has too few cells.
        """
        ...

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        """Write the whole table with the columns `added`, whose cells `rows` gives row by row."""
        ...


NOT_TABLES = {
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
    b"%PDF": "a PDF",
    b"<": "HTML or XML",
    b"[": "one JSON list, not one object per line",
}


def open_table(path: Path, out: Path | None = None) -> TableFile:
    """The table at `path`; with `out`, to be written there, where a folder of photos is a table too, but no gzip file.

    Raises:
        DataError: it cannot be read, is not a table, or is of another kind than the suffix of `out`.
    """
    if out and path.is_dir():
        return Folder(path, out)
    try:
        if is_gzipped(path) and out:
            raise DataError("not_a_table", path=str(path), found="a gzip file")
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=str(error.strerror or error)) from error
    start = read_head(path, 4096).removeprefix(b"\xef\xbb\xbf")
    for magic, kind in NOT_TABLES.items():
        if start.startswith(magic):
            raise DataError("not_a_table", path=str(path), found=kind)
    table: TableFile
    if start.startswith(b"PAR1"):
        table = Parquet(path)
    elif start.startswith(b"PK\x03\x04"):
        table = Workbook(path)
    elif start.lstrip().startswith(b"{"):
        table = JsonLines(path)
    elif b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("not_a_table", path=str(path), found="a binary file")
    else:
        table = Delimited(path)
    kinds: tuple[type[TableFile], ...] = (Delimited, Workbook, Parquet, JsonLines)
    other_suffixes = {suffix for kind in kinds for suffix in kind.suffixes} - set(table.suffixes)
    if out and out.suffix.lower() in other_suffixes:
        raise DataError("output_kind_differs", path=str(out), suffixes=list(table.suffixes))
    return table


def read_table(path: Path, log: Log) -> Table:
    """The table at `path`, gzipped or not, in memory; see `TableFile.read`."""
    return open_table(path).read(log)

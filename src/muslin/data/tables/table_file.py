"""What all kinds of tables share: rows with the numbers that a person sees, and the counts of what was repaired."""

import csv
import hashlib
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

from muslin.data import expansion
from muslin.data.expansion import MAX_COLUMNS, max_cells
from muslin.data.tables.cells import AddedColumn, Cell, Row
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.messages import MAX_EXAMPLES, Message

BLANK = "\0\x1a\ufeff" + "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
"""Characters around a cell that are not its text; NUL and Ctrl-Z end the files of old programs."""

FOREIGN_ERRORS = (csv.Error, zlib.error, zipfile.BadZipFile, ExpatError, ParseError, RuntimeError, LookupError,
                  ValueError, ArithmeticError, EOFError, OSError, MemoryError)  # fmt: skip
"""What libraries raise for a damaged file; pyarrow's own errors are among them."""


class TableRow(NamedTuple):
    """A row of a table.

    Attributes:
        number: what a person sees: the line of a text file in which the row begins, the row of a sheet, from 1.
        cells: stripped texts, or a tuple of texts for a list; an empty cell is an empty text.
    """

    number: int
    cells: tuple[Cell, ...]


@contextmanager
def damage_as_data_error(path: Path, code: str) -> Iterator[None]:
    """Raises DataError `code`, which names the reason, where a library cannot read the file at `path`."""
    try:
        yield
    except FOREIGN_ERRORS as error:
        raise DataError(code, path=str(path), reason=reason_of(error)) from error


class Repairs:
    """What a pass over the rows repaired or skipped: per code of a message the count, and the first few places."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._places: dict[str, list[str | int]] = defaultdict(list)

    def add(self, code: str, place: str | int, count: int = 1) -> None:
        """Count `count` of them at `place`, the number of a row or the name of a cell.

        Raises:
            DataError: there are too many empty rows.
        """
        self._counts[code] += count
        if code == "empty_rows_skipped" and self._counts[code] > expansion.MAX_EMPTY_ROWS:
            raise DataError("too_many_empty_rows", max_rows=expansion.MAX_EMPTY_ROWS)
        if len(self._places[code]) < MAX_EXAMPLES:
            self._places[code].append(place)

    def messages(self) -> tuple[Message, ...]:
        """A message for each code, with the parameters of `muslin.messages.examples`."""
        return tuple(
            Message(code, count=n, names=self._places[code], more=max(n - len(self._places[code]), 0) or None)
            for code, n in self._counts.items()
        )


class TableFile(ABC):
    """Rows in order, read anew on each pass, so that memory does not grow with their number.

    Attributes:
        path: the file or folder.
        columns: the columns' names, in order; a name means the first of equal ones.
        suffixes: of file names of this kind.
        damaged: code of the error of a damaged file.
        keep_alive: what must live as long as the table, such as the folder to which it was unpacked.
    """

    suffixes: tuple[str, ...] = ()
    damaged = "file_unreadable"
    keep_alive: Any = None
    columns: tuple[str, ...]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: tuple[Message, ...] = ()
        self._repairs: tuple[Message, ...] = ()
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        if self._digest is None:
            with self.path.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digest

    @property
    def fixes(self) -> tuple[Message, ...]:
        """What was guessed while opening, and what the last complete pass of `rows` repaired or skipped."""
        return (*self._notes, *self._repairs)

    def rows(self, names: Sequence[str]) -> Iterator[TableRow]:
        """The cells of these columns, row by row; rows without any cell are skipped.

        Raises:
            DataError: the file is damaged; its parameters name the row.
        """
        repairs = Repairs()
        max_rows = self._max_rows(len(names))
        with damage_as_data_error(self.path, self.damaged):
            try:
                for count, row in enumerate(self._read_rows(names, repairs)):
                    if count >= max_rows:
                        raise DataError("too_many_cells", max_rows=max_rows, columns=len(names))
                    yield row
            except DataError as error:
                raise error.with_params(path=str(self.path)) from error
        self._repairs = repairs.messages()

    def _max_rows(self, columns: int) -> int:
        """The number of rows that the file may have, at its number of columns."""
        return max_cells(self.path.stat().st_size if self.path.is_file() else 0) // max(columns, 1)

    def check_copy(self) -> None:  # noqa: B027 — most kinds copy only what they read
        """Raises DataError where what `write_with_columns` only copies is damaged, or grows too large."""

    @abstractmethod
    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        """As `rows`; what is repaired or skipped is counted in `repairs`."""

    @abstractmethod
    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        """Write the whole table with the columns `added`, whose cells `rows` gives for each row of `rows`."""


def check_width(table: TableFile) -> None:
    """Raises DataError where a table has more columns than one that names photos may have."""
    if len(table.columns) > MAX_COLUMNS:
        raise DataError("too_many_columns", path=str(table.path), max_columns=MAX_COLUMNS)

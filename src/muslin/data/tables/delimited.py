"""CSV and TSV: every byte of a row stays, and the new cells are written after it."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

from muslin.data.gzip_files import open_data_file
from muslin.data.tables.cells import AddedColumn, Row, spreadsheet_text
from muslin.data.tables.header import name_columns
from muslin.data.tables.table_file import Repairs, TableFile, TableRow
from muslin.data.tables.text_encoding import find_encoding
from muslin.errors import DataError
from muslin.messages import Message

DELIMITERS = ",;\t|"

MAX_HEADER_CHARACTERS = 2**24
"""Characters of a line in which the header and the delimiter are searched."""

HEADER_LINES = 20
"""Lines among which the header is searched."""

QUOTED = re.compile('"[^"]*"?')

EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?[\r\n]*')
"""A first line that tells Excel the delimiter; it is not a row."""


class Delimited(TableFile):
    """A table of text. `encoding`, line ends, quotes and the delimiter are detected, and stay."""

    suffixes: tuple[str, ...] = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or has no header."""
        super().__init__(path)
        self._found = find_encoding(path)
        self._found.check(path)
        self._digest = self._found.digest
        self._mark, self.encoding = self._found.mark, str(self._found.name)
        self._notes = self._found.notes
        header, raw = self._find_header()
        self.columns = name_columns(header)
        self._quotes_all = raw.rstrip("\r\n") == self.delimiter.join(map(_quote, header))

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        indices = [self.columns.index(name) for name in names]
        unnamed = [i for i, name in enumerate(self.columns) if not name]
        width = len(self.columns)
        for row, number in self._body():
            cells = [cell.strip() for cell in row]
            if not any(cells):
                repairs.add("empty_rows_skipped", number)
                continue
            if len(cells) < width:
                repairs.add("short_rows_filled", number)
                cells += [""] * (width - len(cells))
            elif any(cells[width:]):
                repairs.add("cells_joined", number)
                cells[width - 1 :] = [self.delimiter.join(row[width - 1 :]).strip()]
            if stray := sum(bool(cells[i]) for i in unnamed):
                repairs.add("cells_without_column_skipped", number, stray)
            yield TableRow(number, tuple([cells[i] for i in indices]))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        # names of files can hold bytes that are not UTF-8; Python carries them as lone surrogates
        on_error = "surrogateescape" if self.encoding == "utf-8" else "replace"
        file.write(self._mark)
        new_rows = iter(rows)
        is_header = True
        for i, (row, raw, _) in enumerate(self._records()):
            if i < self._preamble or not row:
                file.write(raw.encode(self.encoding))
                continue
            values: Row = [None] * len(added)
            if is_header or any(cell.strip() for cell in row):
                values = [column.name for column in added] if is_header else next(new_rows)
            is_header = False
            body = raw.rstrip("\r\n")
            missing = self.delimiter * max(0, len(self.columns) - len(row))
            cells = self.delimiter.join(self._format(spreadsheet_text(value)) for value in values)
            text = f"{body}{missing}{self.delimiter}{cells}{raw[len(body) :]}"
            file.write(text.encode(self.encoding, on_error))

    def _format(self, text: str) -> str:
        special = any(letter in text for letter in ('"', "\r", "\n", self.delimiter)) or text != text.strip()
        return _quote(text) if special or self._quotes_all else text

    def _body(self) -> Iterator[tuple[list[str], int]]:
        """The rows after the header, each with the number of its first line, but no empty lines."""
        records = islice(self._records(), self._preamble, None)
        return islice(((row, line) for row, _, line in records if row), 1, None)

    def _find_header(self) -> tuple[list[str], str]:
        """Set the delimiter and how many lines are above the header; the header's cells, and its text."""
        with self._open_text() as text:
            lines = [line for _ in range(HEADER_LINES) if (line := text.readline(MAX_HEADER_CHARACTERS))]
        if match := EXCEL_DELIMITER.fullmatch("".join(lines[:1])):
            self._preamble, self.delimiter = 1, match[1]
        else:
            is_tsv = self.path.suffix.lower() == ".tsv"
            self._preamble, self.delimiter = find_header(lines, "\t" + DELIMITERS if is_tsv else DELIMITERS)
            if self._preamble:
                self._notes += (Message("lines_above_header_skipped", count=self._preamble),)
        records = islice(self._records(), self._preamble, None)
        header, raw = next(((row, raw) for row, raw, _ in records if row), ([], ""))
        if not header:
            raise DataError("table_empty", path=str(self.path))
        return header, raw

    def _open_text(self) -> io.TextIOWrapper:
        file = open_data_file(self.path)
        file.read(len(self._mark))
        return io.TextIOWrapper(file, encoding=self.encoding, newline="")

    def _records(self) -> Iterator[tuple[list[str], str, int]]:
        """Each record's cells, its text (the lines csv took) and its first line's number; empty lines have no cells."""
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in text:
                taken.append(line)
                yield line

        with self._open_text() as text:
            reader = csv.reader(lines(), delimiter=self.delimiter)
            last_line, next_line, raw = 1, 1, ""
            try:
                for row in reader:
                    raw = "".join(taken)
                    taken.clear()
                    last_line, next_line = next_line, reader.line_num + 1
                    yield row, raw, last_line
            except csv.Error as error:
                raise DataError("csv_line", path=str(self.path), line=next_line, reason=str(error)) from error
            if _has_open_quote(raw, self.delimiter):
                raise DataError("csv_quote_open", path=str(self.path), line=last_line)


def find_header(lines: Sequence[str], delimiters: str = DELIMITERS) -> tuple[int, str]:
    """How many lines are above the header (empty ones, and titles in one cell), and the delimiter that occurs most.

    A title differs from the header of a single column in the two lines after it, which have several cells each.
    """
    filled = [i for i, line in enumerate(lines) if line.strip()]
    top = filled[0] if filled else 0

    def likely_delimiter(line: str) -> str:
        return max(delimiters, key=QUOTED.sub("", line).count)

    for i, after in pairwise(filled):
        delimiter = likely_delimiter(lines[i])
        if delimiter in lines[i] or '"' in lines[i]:  # in quotes a cell may go on in the next line
            is_header = delimiter in lines[i] and delimiter in lines[after]
            return (i, delimiter) if is_header or i == top else (top, likely_delimiter(lines[top]))
    return top, likely_delimiter(lines[top]) if lines else delimiters[0]


def _has_open_quote(raw: str, delimiter: str) -> bool:
    """Whether the last record's text ends inside quotes: a quote at its end makes it valid."""

    def is_valid(text: str) -> bool:
        try:
            list(csv.reader(text.splitlines(True), delimiter=delimiter, strict=True))
        except csv.Error:
            return False
        return True

    return not is_valid(raw) and is_valid(raw + '"')


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

"""CSV and TSV: every byte of a row stays, and the new cells are written after it."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from muslin.data.expansion import MAX_TEXT_CHARACTERS
from muslin.data.gzip_files import max_lines
from muslin.data.tables.cells import AddedColumn, Row, format_cell, has_decimal_commas, spreadsheet_text
from muslin.data.tables.header import DELIMITERS, SAMPLE_ROWS, find_delimiter, find_header, names_photo
from muslin.data.tables.table_file import BLANK, Repairs, TableFile, TableRow
from muslin.data.tables.text_encoding import TextEncoding, find_encoding
from muslin.errors import DataError
from muslin.library_errors import reason_of

SAMPLE_CHARACTERS = 2**22
"""Characters of the first rows, beyond MIN_SAMPLE_ROWS, from which the delimiter and the header are guessed."""

MIN_SAMPLE_ROWS = 3

MAX_PIXEL_COLUMNS = 2**18
"""Of a table of pixels: a column for each value of an image of 256×256 pixels is below."""

MAX_DELIMITERS = 2**22
"""In a line of which the columns are not known yet: a cell in quotes can hold a list of an image's values."""

MAX_CELL_LINES = 2**16
"""Lines of a cell in quotes; more are a quote that is not closed."""

csv.field_size_limit(MAX_TEXT_CHARACTERS)

EXCEL_DELIMITER = re.compile(r'"?sep=(\\t|[^"\r\n])"?[,;\t|]*\s*', re.IGNORECASE)
"""A first line that tells Excel the delimiter; it is not a row."""

ESCAPED_QUOTE = re.compile(r'(?<!\\)\\"(?=[^,;\t|\r\n])')
"""A quote within quotes as Spark and MySQL write it; one at the end of a cell can be that of a Windows folder."""


class Delimited(TableFile):
    """A table of text. Its `encoding`, `delimiter`, line ends and quotes are detected, and stay.

    Attributes:
        sample: the cells of the first rows.
    """

    suffixes = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path, encoding: TextEncoding | None = None) -> None:
        """Raises DataError where the file is empty or its encoding is unknown."""
        super().__init__(path)
        self.columns = ()
        self._text = encoding or find_encoding(path)
        self.encoding, self._notes = self._text.name, self._text.notes
        first_line = self._find_delimiter()
        sample: list[tuple[list[str], str, int]] = []
        try:
            sample.extend(self._first_records())
        except DataError:  # `rows` raises it again
            sample = sample or [(first_line.split(self.delimiter), first_line, 1)]
        if max((len(cells) for cells, _, _ in sample), default=0) > MAX_PIXEL_COLUMNS:
            raise DataError("too_many_columns", path=str(path), max_columns=MAX_PIXEL_COLUMNS)
        header = find_header([cells or [""] for cells, _, _ in sample])
        if not header.names:
            raise DataError("table_empty", path=str(path))
        self.columns, self._top, self._first = header.names, header.first, header.body
        self.sample = [cells for cells, _, _ in sample[header.body :]]
        self._notes += header.fixes([number for cells, _, number in sample[: header.first] if any(cells)])
        self._decimal_commas = has_decimal_commas(cell for cells in self.sample for cell in cells)
        cells, raw, _ = sample[header.first]
        self._header_cells = None if header.row is None else cells
        self._line_end = raw[len(raw.rstrip("\r\n")) :] or "\n"
        self._quotes_all = raw.rstrip("\r\n") == self.delimiter.join(map(_quote, cells))

    def _first_records(self) -> Iterator[tuple[list[str], str, int]]:
        """The rows from which the header is guessed."""
        characters = 0
        for count, record in enumerate(islice(self._records(), SAMPLE_ROWS), 1):
            characters += len(record[1])
            yield record
            if count >= MIN_SAMPLE_ROWS and characters > SAMPLE_CHARACTERS:
                return

    def _find_delimiter(self) -> str:
        """Set the delimiter, and whether the first line only tells it to Excel; the first line of the table."""
        lines: list[str] = []
        with self._text.open(self.path) as text:
            while len(lines) < MIN_SAMPLE_ROWS or (
                len(lines) < SAMPLE_ROWS and sum(map(len, lines)) < SAMPLE_CHARACTERS
            ):
                if not (line := text.readline(MAX_TEXT_CHARACTERS)):
                    break
                lines.append(line)
        if any(line.count(delimiter) > MAX_DELIMITERS for line in lines for delimiter in DELIMITERS):
            raise DataError("too_many_columns", path=str(self.path), max_columns=MAX_PIXEL_COLUMNS)
        match = EXCEL_DELIMITER.fullmatch(lines[0]) if lines else None
        self._excel_line = match is not None
        delimiters = ("\t" if self.path.suffix.lower() == ".tsv" else "") + DELIMITERS
        self.delimiter = find_delimiter(lines[self._excel_line :], delimiters)
        if match:
            announced = match[1].replace("\\t", "\t")
            self.delimiter = announced if any(announced in line for line in lines[1:]) else self.delimiter
        return "".join(lines[self._excel_line :][:1])

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        first_of = {name: i for i, name in reversed(list(enumerate(self.columns)))}
        indices = [first_of[name] for name in names]
        chosen = itemgetter(*indices) if len(indices) > 1 else lambda cells: tuple(cells[i] for i in indices)
        unnamed = [i for i, name in enumerate(self.columns) if not name]
        width = len(self.columns)
        for i, (cells, raw, number) in enumerate(self._records()):
            if not any(cells):
                if not (self._excel_line and i == 0):
                    repairs.add("empty_rows_skipped", number)
                continue
            if i < self._first:
                continue
            if cells == self._header_cells:
                repairs.add("header_rows_repeated", number)
                continue
            if len(cells) < width:
                repairs.add("short_rows_filled", number)
                cells += [""] * (width - len(cells))
            elif len(cells) > width and any(cells[width:]):
                repairs.add("cells_joined", number)
                cells[width - 1] = self.delimiter.join(self._raw_cells(raw)[width - 1 :]).strip(BLANK)
            if unnamed and (stray := sum(bool(cells[i]) for i in unnamed)):
                repairs.add("cells_without_column_skipped", number, stray)
            yield TableRow(number, chosen(cells))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        file.write(self._text.mark)
        names: Row = [column.name for column in added]
        new_rows = iter(rows)
        for i, (cells, raw, _) in enumerate(self._records()):
            if i == self._first and self._header_cells is None:
                header = self.delimiter.join(self._format(name) for name in self.columns)
                file.write((self._extended(header, list(self.columns), names) + self._line_end).encode(self.encoding))
            if i >= self._top and cells == self._header_cells:
                values = names
            elif i < self._first or not any(cells):
                values = [None] * len(added) if i >= self._first and len(cells) > 1 else []
            else:
                values = self._with_decimals(next(new_rows), added)
            body = raw.rstrip("\r\n")
            text = (self._extended(body, cells, values) if values else body) + raw[len(body) :]
            file.write(text.encode(self.encoding, "replace"))

    def write_with_cells(self, file: BinaryIO, column: str, values: Iterable[str | None]) -> None:
        """Write the whole table with the cells of `column` that `values` gives for each row of `rows`; None keeps one.

        Raises:
            DataError: a row's quotes do not show where its cells begin, or a text is not in the table's encoding.
        """
        index, new = self.columns.index(column), iter(values)
        file.write(self._text.mark)
        for i, (cells, raw, number) in enumerate(self._records()):
            is_row = i >= self._first and any(cells) and cells != self._header_cells
            value = next(new) if is_row else None
            text = raw if value is None else self._with_cell(raw, number, index, value)
            try:
                file.write(text.encode(self.encoding))
            except UnicodeEncodeError as error:
                params = {"path": str(self.path), "encoding": self.encoding, "name": value}
                raise DataError("tag_not_encodable", **params) from error

    def _with_cell(self, raw: str, number: int, index: int, value: str) -> str:
        """A record with another cell at `index`."""
        body = raw.rstrip("\r\n")
        raw_cells = self._raw_cells(body)
        if self.delimiter.join(raw_cells) != body:
            raise DataError("row_quotes_unclear", path=str(self.path), row=number)
        raw_cells += [""] * (index + 1 - len(raw_cells))
        raw_cells[index] = self._format(spreadsheet_text(value))
        return self.delimiter.join(raw_cells) + raw[len(body) :]

    def _with_decimals(self, row: Row, added: Sequence[AddedColumn]) -> Row:
        """New cells, whose numbers have commas where those of the table have."""
        if not self._decimal_commas:
            return row
        pairs = zip(row, added, strict=True)
        return [
            format_cell(cell).replace(".", ",") if column.kind in ("number", "numbers") and cell is not None else cell
            for cell, column in pairs
        ]

    def _extended(self, body: str, cells: list[str], values: Row) -> str:
        """A record without its line end, with new cells behind those of the table's columns."""
        width, delimiter, behind = len(self.columns), self.delimiter, ""
        if len(cells) > width:
            raw_cells = self._raw_cells(body)
            body, behind = delimiter.join(raw_cells[:width]), delimiter + delimiter.join(raw_cells[width:])
            if any(cells[width:]):
                body = delimiter.join([*raw_cells[: width - 1], _quote(delimiter.join(raw_cells[width - 1 :]))])
                behind = ""
        missing = delimiter * (width - len(cells))
        if missing and cells == self._header_cells:  # R's header is shorter, which an empty last column would hide
            body, missing = self._format(self.columns[0]) + delimiter + body, ""
        return f"{body}{missing}{delimiter}{delimiter.join(map(self._format, map(spreadsheet_text, values)))}{behind}"

    def _format(self, text: str) -> str:
        special = any(letter in text for letter in ('"', "\r", "\n", self.delimiter)) or text != text.strip()
        return _quote(text) if special or self._quotes_all else text

    def _raw_cells(self, raw: str) -> list[str]:
        """The text of a record cell by cell, with quotes and spaces."""
        other = f"[^{re.escape(self.delimiter)}]*"
        cell = re.compile(f' *"(?:[^"]|"")*"{other}|{other}')
        cells, end, body = [], -1, raw.rstrip("\r\n")
        while end < len(body) and (match := cell.match(body, end + 1)):
            cells.append(match[0])
            end = match.end()
        return cells

    def _records(self) -> Iterator[tuple[list[str], str, int]]:
        """Each record's cells without blanks around them, its text (the lines csv took) and its first line's number.

        Empty lines, and the one for Excel, have no cells.
        """
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in iter(partial(text.readline, MAX_TEXT_CHARACTERS), ""):
                if len(taken) > MAX_CELL_LINES:
                    raise csv.Error
                if len(line) == MAX_TEXT_CHARACTERS:
                    raise csv.Error(f"line longer than {MAX_TEXT_CHARACTERS:,} letters")
                taken.append(line)
                yield ESCAPED_QUOTE.sub('""', line) if "\\" in line else line

        number, raw, max_rows = 1, "", max_lines(self.path)
        with self._text.open(self.path) as text:
            if self._excel_line:
                yield [], text.readline(), 1
                number = 2
            try:
                for row in csv.reader(lines(), delimiter=self.delimiter, skipinitialspace=True):
                    if len(taken) > 1 and self._has_swallowed_rows(row, taken):
                        raise DataError("csv_quote_open", path=str(self.path), line=number)
                    raw = "".join(taken)
                    yield _stripped(row, raw), raw, number
                    number += len(taken)
                    taken.clear()
                    if number > max_rows:
                        raise DataError("too_many_rows", path=str(self.path), max_rows=max_rows)
            except csv.Error as error:
                if len(taken) > 1:
                    raise DataError("csv_quote_open", path=str(self.path), line=number) from error
                raise DataError("csv_line", path=str(self.path), line=number, reason=reason_of(error)) from error
            if number > 1 and not self._is_valid([raw]) and self._is_valid([raw + '"']):
                raise DataError("csv_quote_open", path=str(self.path), line=number - 1)

    def _has_swallowed_rows(self, row: list[str], lines: list[str]) -> bool:
        """Whether a quote that is not closed took other rows into a cell: text follows the next quote, or the cell has
        lines that are rows themselves, with as many cells and a first one of the same shape, or with a photo."""
        if not self._is_valid(lines):
            return True
        spaced = self.delimiter + " "
        inner = [line for cell in row for line in re.split(r"\r\n?|\n", cell)[1:] if self.delimiter in line]
        for cells in (line.split(self.delimiter) for line in inner if spaced in lines[0] or spaced not in line):
            is_like_first = _shape(cells[0]) == _shape(lines[0].split(self.delimiter)[0])
            if len(cells) == len(self.columns) and (is_like_first or any(map(names_photo, cells))):
                return True
        return False

    def _is_valid(self, lines: list[str]) -> bool:
        lines = [
            re.sub(f'" +(?=[{re.escape(self.delimiter)}\r\n])', '"', ESCAPED_QUOTE.sub('""', line)) for line in lines
        ]
        try:
            list(csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True, strict=True))
        except csv.Error:
            return False
        return True


def _stripped(row: list[str], raw: str) -> list[str]:
    """The cells without BLANK around them, a record whose text is `raw`; without its rare letters in half the time."""
    if "\0" in raw or "\x1a" in raw or (not raw.isascii() and "\ufeff" in raw):
        return [cell.strip(BLANK) for cell in row]
    return list(map(str.strip, row))


def _shape(cell: str) -> str:
    """A cell with `9` for each run of digits and `a` for each run of letters."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", cell.strip()))


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

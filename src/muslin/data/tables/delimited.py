"""CSV and TSV: every byte of a row stays, and the new cells are written after it."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from muslin.data.tables.cells import AddedColumn, Row, spreadsheet_text
from muslin.data.tables.text_encoding import BLOCK_BYTES, DELIMITERS, TextEncoding, find_encoding
from muslin.errors import DataError
from muslin.messages import Message

EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?[\r\n]*')
"""A first line that tells Excel the delimiter; it is not a row."""


class Delimited:
    """A table of text. `encoding`, line ends, quotes and the delimiter are detected, and stay."""

    suffixes: tuple[str, ...] = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or has no header."""
        self.path = path
        encoding, self.digest = _find_encoding(path)
        if encoding.mark and encoding.name is None:
            raise DataError(
                "text_encoding",
                path=str(path),
                byte=max(encoding.errors.values()),
                tried=[next(iter(encoding.errors))],
            )
        self._mark, self.encoding = encoding.mark, encoding.name or "latin-1"
        self.delimiter, self._preamble, header, raw = self._find_header()
        self.columns = tuple(name.strip() for name in header)
        self._quotes_all = raw.rstrip("\r\n") == self.delimiter.join(map(_quote, header))
        is_unicode = self.encoding.startswith("utf")
        self.notes: tuple[str, ...] = (
            () if is_unicode else (Message("encoding_guessed", encoding=self.encoding),)
        )

    def rows(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        indices = [self.columns.index(name) for name in names]
        for row in self._body():
            yield tuple(row[i].strip() if i < len(row) else "" for i in indices)

    def overlong_rows(self) -> Iterator[int]:
        """The numbers, from 1 after the header, of rows with more cells than the header."""
        return (n for n, row in enumerate(self._body(), 1) if len(row) > len(self.columns))

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        # names of files can hold bytes that are not UTF-8; Python carries them as lone surrogates
        on_error = "surrogateescape" if self.encoding == "utf-8" else "replace"
        file.write(self._mark)
        new_rows = iter(rows)
        is_header = True
        for i, (row, raw) in enumerate(self._records()):
            if i < self._preamble or not row:
                file.write(raw.encode(self.encoding))
                continue
            values: Row = [column.name for column in added] if is_header else next(new_rows)
            is_header = False
            body = raw.rstrip("\r\n")
            missing = self.delimiter * max(0, len(self.columns) - len(row))
            cells = self.delimiter.join(self._format(spreadsheet_text(value)) for value in values)
            text = f"{body}{missing}{self.delimiter}{cells}{raw[len(body) :]}"
            file.write(text.encode(self.encoding, on_error))

    def first_unencodable(self, texts: Iterable[str]) -> str | None:
        """The first of `texts` that this table's encoding has no characters for."""
        for text in texts:
            try:
                text.encode(self.encoding)
            except UnicodeEncodeError:
                return text
        return None

    def _format(self, text: str) -> str:
        special = any(letter in text for letter in ('"', "\r", "\n", self.delimiter)) or text != text.strip()
        return _quote(text) if special or self._quotes_all else text

    def _body(self) -> Iterator[list[str]]:
        """The rows after the header that are not empty."""
        records = islice(self._records(), self._preamble, None)
        return islice((row for row, _ in records if row), 1, None)

    def _find_header(self) -> tuple[str, int, list[str], str]:
        """The delimiter that gives most cells, how many lines are above the header, its cells, and its text."""
        delimiters, preamble = DELIMITERS, 0
        if self.path.suffix.lower() == ".tsv":
            delimiters = "\t" + DELIMITERS
        with self._open_text() as text:
            match = EXCEL_DELIMITER.fullmatch(text.readline(64))
        if match:
            delimiters, preamble = match[1], 1
        best: tuple[str, int, list[str], str] | None = None
        for delimiter in delimiters:
            records = islice(self._records(delimiter), preamble, None)
            row, raw = next(((row, raw) for row, raw in records if row), ([], ""))
            if best is None or len(row) > len(best[2]):
                best = delimiter, preamble, row, raw
        if best is None or not best[2]:
            raise DataError("table_empty", path=str(self.path))
        return best

    def _open_text(self) -> io.TextIOWrapper:
        file = self.path.open("rb")
        file.seek(len(self._mark))
        return io.TextIOWrapper(file, encoding=self.encoding, newline="")

    def _records(self, delimiter: str = "") -> Iterator[tuple[list[str], str]]:
        """Each record's cells and its text with the line end; an empty line has no cells.

        The csv module takes only the lines a record needs, so these lines are the record's text.
        """
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in text:
                taken.append(line)
                yield line

        with self._open_text() as text:
            reader = csv.reader(lines(), delimiter=delimiter or self.delimiter)
            last_line, next_line, raw = 1, 1, ""
            try:
                for row in reader:
                    raw = "".join(taken)
                    taken.clear()
                    last_line, next_line = next_line, reader.line_num + 1
                    yield row, raw
            except csv.Error as error:
                raise DataError("csv_line", path=str(self.path), line=next_line, reason=str(error)) from error
            if _has_open_quote(raw, reader.dialect.delimiter):
                raise DataError("csv_quote_open", path=str(self.path), line=last_line)


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


def _find_encoding(path: Path) -> tuple[TextEncoding, str]:
    """The file's encoding and its SHA-256, in one pass."""
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                yield block

    try:
        encoding = find_encoding(blocks())
    except OSError as error:
        raise DataError("file_unreadable", path=str(path), reason=str(error.strerror or error)) from error
    return encoding, digest.hexdigest()

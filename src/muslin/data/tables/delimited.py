"""CSV and TSV: every byte of a row is kept, and the new cells are written behind it."""

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from muslin.data.formats.pixels_csv import DELIMITERS
from muslin.data.tables.cells import Column, Row, spreadsheet_text
from muslin.errors import DataError

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
CHOSEN_BY_EXCEL = re.compile(r'"?sep=(.)"?[\r\n]*')
"""A first line with which Excel is told the delimiter; it is no row."""

BLOCK_BYTES = 2**20


class Delimited:
    """A table of text. `encoding`, line ends, quotes and the delimiter are found in the file and stay."""

    suffixes: tuple[str, ...] = (".csv", ".tsv", ".txt")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or has no header."""
        self.path = path
        self._mark, self.encoding, self.digest = _encoding(path)
        self.delimiter, self._preamble, header, raw = self._header()
        self.columns = tuple(name.strip() for name in header)
        self._quotes_all = raw.rstrip("\r\n") == self.delimiter.join(map(_in_quotes, header))
        said = (
            [] if self.encoding.startswith("utf") else [f"the text is not UTF-8; taken for {self.encoding}"]
        )
        self.notes = tuple(said)

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        places = [self.columns.index(name) for name in names]
        for row, _ in self._products():
            yield tuple(row[i].strip() if i < len(row) else "" for i in places)

    def longer_rows(self) -> Iterator[int]:
        """The numbers, from 1 for the first product, of rows with more cells than the header."""
        return (n for n, (row, _) in enumerate(self._products(), 1) if len(row) > len(self.columns))

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        file.write(self._mark)
        answers = iter(rows)
        header = True
        for place, (row, raw) in enumerate(self._records()):
            if place < self._preamble or not row:
                file.write(raw.encode(self.encoding))
                continue
            if header:
                cells = [spreadsheet_text(column.name) for column in added]
                header = False
            else:
                cells = [spreadsheet_text(value) for value in next(answers)]
            body = raw.rstrip("\r\n")
            missing = self.delimiter * max(0, len(self.columns) - len(row))
            behind = self.delimiter.join(map(self._quoted, cells))
            text = f"{body}{missing}{self.delimiter}{behind}{raw[len(body) :]}"
            file.write(text.encode(self.encoding, self._on_error))

    @property
    def _on_error(self) -> str:
        """Names of files on disk may hold bytes that are no UTF-8; Python carries them as lone surrogates."""
        return "surrogateescape" if self.encoding == "utf-8" else "replace"

    def cannot_write(self, words: Iterable[str]) -> str | None:
        """The first of `words` that this encoding has no letters for."""
        for word in words:
            try:
                word.encode(self.encoding)
            except UnicodeEncodeError:
                return word
        return None

    def _quoted(self, text: str) -> str:
        special = any(letter in text for letter in ('"', "\r", "\n", self.delimiter)) or text != text.strip()
        return _in_quotes(text) if special or self._quotes_all else text

    def _products(self) -> Iterator[tuple[list[str], str]]:
        rows = ((row, raw) for place, (row, raw) in enumerate(self._records()) if place >= self._preamble)
        return islice(((row, raw) for row, raw in rows if row), 1, None)

    def _header(self) -> tuple[str, int, list[str], str]:
        """The delimiter, how many lines stand before the header, its cells, and its text.

        The delimiter is the one that cuts the header into most cells.
        """
        delimiters, preamble = DELIMITERS, 0
        if self.path.suffix.lower() == ".tsv":
            delimiters = "\t" + DELIMITERS
        with self._text() as text:
            match = CHOSEN_BY_EXCEL.fullmatch(text.readline(64))
        if match:
            delimiters, preamble = match[1], 1
        best: tuple[str, int, list[str], str] | None = None
        for delimiter in delimiters:
            records = islice(self._records(delimiter), preamble, None)
            row, raw = next(((row, raw) for row, raw in records if row), ([], ""))
            if best is None or len(row) > len(best[2]):
                best = delimiter, preamble, row, raw
        if best is None or not best[2]:
            raise DataError(f"{self.path}: is empty. Check that the file was not cut off.")
        return best

    def _text(self) -> io.TextIOWrapper:
        file = self.path.open("rb")
        file.seek(len(self._mark))
        return io.TextIOWrapper(file, encoding=self.encoding, newline="")

    def _records(self, delimiter: str = "") -> Iterator[tuple[list[str], str]]:
        """Every record's cells and its text, line end and all; a line without anything has no cells.

        The csv module takes as many lines as a record needs and no more, so those lines are the record's text.
        """
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in text:
                taken.append(line)
                yield line

        with self._text() as text:
            reader = csv.reader(lines(), delimiter=delimiter or self.delimiter)
            last, begins, raw = 1, 1, ""
            try:
                for row in reader:
                    raw = "".join(taken)
                    taken.clear()
                    last, begins = begins, reader.line_num + 1
                    yield row, raw
            except csv.Error as error:
                raise self._unreadable(begins, str(error)) from error
            if _ends_in_quotes(raw, reader.dialect.delimiter):
                raise self._unreadable(last, "its quote does not end")

    def _unreadable(self, line: int, why: str) -> DataError:
        return DataError(
            f"{self.path}: line {line:,}: the row that begins there cannot be read ({why}). "
            "Mend it; often a quote is missing."
        )


def _ends_in_quotes(raw: str, delimiter: str) -> bool:
    """Whether the last record's text is the rest of the file only because a quote was never closed."""
    try:
        list(csv.reader(raw.splitlines(True), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _in_quotes(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _encoding(path: Path) -> tuple[bytes, str, str]:
    """The byte order mark, the encoding in which all of the file can be read, and its SHA-256."""
    digest = hashlib.sha256()
    possible = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    mark, marked = b"", ""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            for begins, encoding in BYTE_ORDER_MARKS.items():
                if start.startswith(begins):
                    mark, marked = begins, encoding
                    possible = {encoding: codecs.getincrementaldecoder(encoding)()}
            file.seek(0)
            digest.update(file.read(len(mark)))
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
                for name, decoder in list(possible.items()):
                    try:
                        decoder.decode(block)
                    except UnicodeDecodeError:
                        del possible[name]
        for name, decoder in list(possible.items()):
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                del possible[name]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    if marked and not possible:
        raise DataError(f"{path}: begins as {marked} text but is not. Save the table as UTF-8.")
    return mark, next(iter(possible), "latin-1"), digest.hexdigest()

"""Excel workbooks (XLSX): the sheet's XML is copied as it is, with cells inserted at the end of each row.

So fonts, widths, formulas, numbers stored as text and all other sheets stay, and a sheet of any length streams
through. Source of the format: ECMA-376, part 1, 18.3 (sheets) and 18.4 (shared strings).
"""

import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from muslin.data.gzip_files import expansion_limit
from muslin.data.tables.cells import AddedColumn, CellValue, Row, format_cell
from muslin.errors import DataError
from muslin.messages import Message

BLOCK_BYTES = 2**18

MAX_COLUMNS = 16_384
"""Of a sheet in Excel."""

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow."""

SPANS = re.compile(rb"\sspans\s*=\s*(\"[^\"]*\"|'[^']*')")
"""In a row's tag, the columns it spans; no longer true with cells added."""

LAST_COLUMN = re.compile(rb"ref\s*=\s*[\"'][A-Z]+\d+:([A-Z]+)\d+")
"""In the tag of the sheet's dimension, its last column; no longer true with cells added."""

_READ_ERRORS = (zipfile.BadZipFile, expat.ExpatError, ElementTree.ParseError, NotImplementedError, RuntimeError,
                LookupError, ValueError, EOFError, OSError)  # fmt: skip


class Workbook:
    """The first visible sheet. Its first row that is not empty names the columns."""

    suffixes: tuple[str, ...] = (".xlsx", ".xlsm")

    def __init__(self, path: Path) -> None:
        """Raises DataError where it is not a workbook, is damaged, or has no header."""
        self.path = path
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._open() as archive:
            sheets, self._sheet = _first_sheet(archive)
            self._strings = _shared_strings(archive) if "xl/sharedStrings.xml" in archive.namelist() else []
        self.notes: tuple[str, ...] = (
            (Message("first_sheet_read", name=sheets[0], count=len(sheets)),) if len(sheets) > 1 else ()
        )
        header = next(self._cells_by_row(), None)
        if header is None:
            raise DataError("sheet_empty", path=str(path), name=sheets[0])
        self._width = max(max(cells) for cells in self._cells_by_row()) + 1
        self.columns = tuple(header.get(i, "").strip() for i in range(self._width))

    def rows(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        indices = [self.columns.index(name) for name in names]
        rows = self._cells_by_row()
        next(rows)
        for cells in rows:
            yield tuple(cells.get(i, "").strip() for i in indices)

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        if self._width + len(added) > MAX_COLUMNS:
            raise DataError(
                "sheet_too_wide", path=str(self.path), columns=self._width, max_columns=MAX_COLUMNS
            )
        new_rows = iter(rows)
        is_header = True

        def new_cells(cells: dict[int, str], row: int, prefix: str) -> bytes:
            nonlocal is_header
            values: Row = [column.name for column in added] if is_header else next(new_rows)
            is_header = False
            return "".join(
                _cell_xml(value, f"{_column_letters(self._width + i)}{row}", prefix)
                for i, value in enumerate(values)
            ).encode()

        last_column = _column_letters(self._width + len(added) - 1)
        with self._open() as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as copy:
            for entry in archive.infolist():
                info = zipfile.ZipInfo(entry.filename, entry.date_time)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, entry.external_attr
                with archive.open(entry) as source, copy.open(info, "w") as target:
                    if entry.filename != self._sheet:
                        shutil.copyfileobj(source, target, BLOCK_BYTES)
                        continue
                    for piece in self._edit(source, new_cells, last_column):
                        target.write(piece)

    def _open(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self.path)
        except _READ_ERRORS as error:
            raise self._damaged(error) from error
        for entry in archive.infolist():
            if entry.file_size > expansion_limit(entry.compress_size):
                archive.close()
                raise DataError(
                    "archive_entry_expands", path=str(self.path), name=entry.filename,
                    packed=entry.compress_size, size=entry.file_size,
                )  # fmt: skip
        return archive

    def _damaged(self, error: Exception) -> DataError:
        return DataError("workbook_damaged", path=str(self.path), reason=str(error))

    def _cells_by_row(self) -> Iterator[dict[int, str]]:
        """Per row that is not empty its cells that are not, by column from 0."""
        rows: list[dict[int, str]] = []

        def collect(cells: dict[int, str], row: int, prefix: str) -> bytes:
            rows.append(dict(cells))
            return b""

        with self._open() as archive, archive.open(self._sheet) as source:
            for _ in self._edit(source, collect):
                yield from rows
                rows.clear()

    def _edit(
        self, source: Any, at_row_end: Callable[[dict[int, str], int, str], bytes], last_column: str = ""
    ) -> Iterator[bytes]:
        """The sheet's XML in pieces, edited; see _SheetEditor."""
        editor = _SheetEditor(self._strings, at_row_end, last_column)
        try:
            while block := source.read(BLOCK_BYTES):
                yield editor.feed(block)
            yield editor.feed(b"")
        except _READ_ERRORS as error:
            raise self._damaged(error) from error


class _SheetEditor:
    """Parses a sheet's XML block by block and inserts cells at the end of each row that is not empty.

    Args:
        strings: the workbook's shared strings.
        at_row_end: called with the row's cells by column from 0, its number and the XML prefix; the XML to insert.
        last_column: letters of the new last column; "" leaves the sheet's dimension as it is.
    """

    def __init__(
        self, strings: list[str], at_row_end: Callable[[dict[int, str], int, str], bytes], last_column: str
    ) -> None:
        self._strings, self._at_row_end, self._last_column = strings, at_row_end, last_column
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.XmlDeclHandler = _check_encoding
        self._buffer, self._offset = b"", 0  # bytes not yet returned, and the offset of the first of them
        self._tag = 0  # offset of the last tag that the parser has come to
        self._edits: list[tuple[int, int, bytes]] = []  # offset, bytes to remove there, bytes to insert
        self._row, self._column, self._type, self._prefix = 0, -1, "n", ""
        self._cells: dict[int, str] = {}
        self._text: list[str] | None = None
        self._phonetic = False

    def feed(self, block: bytes) -> bytes:
        """The edited XML as far as it is certain; b"" as `block` ends the sheet."""
        self._buffer += block
        self._parser.Parse(block, not block)
        done, pieces = 0, []
        for offset, removed, inserted in self._edits:
            pieces += [self._buffer[done : offset - self._offset], inserted]
            done = offset - self._offset + removed
        self._edits.clear()
        # the last tag can still be edited, unless it was
        certain = max(done, self._tag - self._offset) if block else len(self._buffer)
        pieces.append(self._buffer[done:certain])
        self._buffer, self._offset = self._buffer[certain:], self._offset + certain
        return b"".join(pieces)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._tag = self._parser.CurrentByteIndex
        prefix, _, local = name.rpartition(":")
        if local == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._prefix = f"{prefix}:" if prefix else ""
            self._cells.clear()
            self._column = -1
            if self._last_column and (match := SPANS.search(self._tag_text())):
                self._edits.append((self._tag + match.start(), len(match[0]), b""))
        elif local == "c":
            self._column = _column_index(attributes["r"]) if "r" in attributes else self._column + 1
            self._type = attributes.get("t", "n")
        elif local in ("v", "t") and not self._phonetic and self._column >= 0:
            self._text = []
        elif local == "rPh":
            self._phonetic = True
        elif local == "dimension" and self._last_column and (match := LAST_COLUMN.search(self._tag_text())):
            self._edits.append((self._tag + match.start(1), len(match[1]), self._last_column.encode()))

    def _end(self, name: str) -> None:
        self._tag = self._parser.CurrentByteIndex
        local = name.rpartition(":")[2]
        if local in ("v", "t") and self._text is not None:
            text, self._text = "".join(self._text), None
            if local == "v" and self._type == "s" and text:
                text = self._strings[int(text)]
            if text:
                self._cells[self._column] = self._cells.get(self._column, "") + text
        elif local == "rPh":
            self._phonetic = False
        elif local == "row" and any(map(str.strip, self._cells.values())):
            self._edits.append((self._tag, 0, self._at_row_end(self._cells, self._row, self._prefix)))

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _tag_text(self) -> bytes:
        start = self._tag - self._offset
        return self._buffer[start : self._buffer.index(b">", start) + 1]


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("it declares a document type, which sheets never do")


def _check_encoding(version: str, encoding: str | None, standalone: int) -> None:
    if (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ValueError(f"its sheet is {encoding} text, expected UTF-8")


def _first_sheet(archive: zipfile.ZipFile) -> tuple[list[str], str]:
    """The names of all sheets, the first visible one in front, and the archive's entry with that sheet."""
    try:
        book = _parse_xml(archive, "xl/workbook.xml")
        targets = {
            element.get("Id"): element.get("Target", "")
            for element in _parse_xml(archive, "xl/_rels/workbook.xml.rels")
        }
        sheets = [element for element in book.iter() if element.tag.endswith("}sheet")]
        visible = [s for s in sheets if s.get("state", "visible") == "visible"] or sheets
        relation = next(value for name, value in visible[0].attrib.items() if name.endswith("}id"))
        target = targets[relation]
        entry = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
        archive.getinfo(entry)
    except (*_READ_ERRORS, StopIteration) as error:
        raise DataError("workbook_damaged", path=str(archive.filename), reason=str(error)) from error
    names = [s.get("name", "") for s in (visible[0], *(s for s in sheets if s is not visible[0]))]
    return names, entry


def _parse_xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    content = archive.read(name)
    if b"<!DOCTYPE" in content:
        _refuse_doctype()
    return ElementTree.fromstring(content)


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    """The workbook's table of strings, in order."""
    from openpyxl.reader.strings import read_string_table

    try:
        with archive.open("xl/sharedStrings.xml") as file:
            if b"<!DOCTYPE" in file.read(BLOCK_BYTES):
                _refuse_doctype()
        with archive.open("xl/sharedStrings.xml") as file:
            strings: list[str] = read_string_table(file)
            return strings
    except (*_READ_ERRORS, TypeError) as error:  # TypeError: openpyxl's, for elements that it does not know
        raise DataError("workbook_damaged", path=str(archive.filename), reason=str(error)) from error


def _cell_xml(value: CellValue, reference: str, prefix: str) -> str:
    """A cell's XML; a text is an inline string, which Excel never evaluates, whatever it begins with."""
    if isinstance(value, float):
        return f'<{prefix}c r="{reference}"><{prefix}v>{value:.4f}</{prefix}v></{prefix}c>'
    if not value:
        return ""
    text = escape(NOT_XML.sub("\ufffd", format_cell(value)))
    inner = f'<{prefix}t xml:space="preserve">{text}</{prefix}t>'
    return f'<{prefix}c r="{reference}" t="inlineStr"><{prefix}is>{inner}</{prefix}is></{prefix}c>'


def _column_index(reference: str) -> int:
    """The column of a cell, from 0: `B7` is 1."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    if not 0 < number <= MAX_COLUMNS:
        raise ValueError(f"there is no column {reference}")
    return number - 1


def _column_letters(index: int) -> str:
    """The letters of column `index` from 0: 27 is `AB`."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters

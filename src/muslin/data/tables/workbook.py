"""Excel workbooks (XLSX): the sheet's XML is copied as it is, with cells written in at the end of each row.

So fonts, widths, formulas, numbers kept as text and all other sheets stay, and a sheet of any length streams
through. Source of the format: ECMA-376, part 1, 18.3 (sheets) and 18.4 (shared strings).
"""

import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import escape

from muslin.data.tables.cells import Column, Row, text_of
from muslin.errors import DataError

BLOCK_BYTES = 2**18
MOST_EXPANSION = 200
FREE_BYTES = 256 * 2**20
"""How far a part may grow when unpacked: so many times its size, or to this, as for gzip."""

MOST_COLUMNS = 16_384
CANNOT_BE_WRITTEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for."""

SPANS = re.compile(rb"\sspans\s*=\s*(\"[^\"]*\"|'[^']*')")
REACHES_TO = re.compile(rb"ref\s*=\s*[\"'][A-Z]+\d+:([A-Z]+)\d+")
"""Hints in a row's tag, and in the one that gives the sheet's extent, which new columns make untrue."""

_FOREIGN = (zipfile.BadZipFile, expat.ExpatError, ElementTree.ParseError, NotImplementedError, RuntimeError,
            LookupError, ValueError, EOFError, OSError)  # fmt: skip


@dataclass
class _Sheet:
    """What has been seen of a sheet so far. Columns are counted from 0."""

    row: int = 0
    cells: dict[int, str] = field(default_factory=dict)
    prefix: str = ""


class Workbook:
    """The first sheet that can be seen. Its first row with anything in it names the columns."""

    suffixes: tuple[str, ...] = (".xlsx", ".xlsm")

    def __init__(self, path: Path) -> None:
        """Raises DataError where it is no workbook, is damaged, or has no header."""
        self.path = path
        self.digest = _digest(path)
        with self._opened() as archive:
            names, self._sheet = _first_sheet(archive)
            self._strings = _shared_strings(archive) if "xl/sharedStrings.xml" in archive.namelist() else []
        self.notes = tuple([f"the sheet {names[0]!r}, one of {len(names)}"] if len(names) > 1 else [])
        header = next(self._rows(), None)
        if header is None:
            raise DataError(f"{path}: the sheet {names[0]!r} is empty. Put the catalogue on the first sheet.")
        self._width = max(max(cells) for cells in self._rows()) + 1
        self.columns = tuple(header.get(i, "").strip() for i in range(self._width))

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        places = [self.columns.index(name) for name in names]
        rows = self._rows()
        next(rows)
        for cells in rows:
            yield tuple(cells.get(i, "").strip() for i in places)

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        if self._width + len(added) > MOST_COLUMNS:
            raise DataError(
                f"{self.path}: has {self._width:,} columns; a sheet has at most {MOST_COLUMNS:,}."
            )
        answers = iter(rows)
        named = False

        def behind(sheet: _Sheet) -> bytes:
            nonlocal named
            values: Row = next(answers) if named else [column.name for column in added]
            named = True
            cells = (
                _cell(value, f"{_letters(self._width + i)}{sheet.row}", sheet.prefix)
                for i, value in enumerate(values)
            )
            return "".join(cells).encode()

        with self._opened() as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            for entry in archive.infolist():
                copy = zipfile.ZipInfo(entry.filename, entry.date_time)
                copy.compress_type, copy.external_attr = zipfile.ZIP_DEFLATED, entry.external_attr
                with archive.open(entry) as source, made.open(copy, "w") as target:
                    if entry.filename != self._sheet:
                        shutil.copyfileobj(source, target, BLOCK_BYTES)
                        continue
                    for piece in self._walked(source, behind, _letters(self._width + len(added) - 1)):
                        target.write(piece)

    def _opened(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self.path)
        except _FOREIGN as error:
            raise self._damaged(error) from error
        for entry in archive.infolist():
            if entry.file_size > max(FREE_BYTES, MOST_EXPANSION * entry.compress_size):
                archive.close()
                raise DataError(
                    f"{self.path}: {entry.filename} grows to {entry.file_size:,} bytes when unpacked, "
                    "which no sheet does. Save the catalogue as CSV."
                )
        return archive

    def _damaged(self, error: Exception) -> DataError:
        return DataError(f"{self.path}: the workbook cannot be read ({error}). Save it again, or as CSV.")

    def _rows(self) -> Iterator[dict[int, str]]:
        """The cells with anything in them, per row that has any."""
        found: list[dict[int, str]] = []

        def keep(sheet: _Sheet) -> bytes:
            found.append(dict(sheet.cells))
            return b""

        with self._opened() as archive, archive.open(self._sheet) as source:
            for _ in self._walked(source, keep):
                yield from found
                found.clear()

    def _walked(
        self, source: Any, at_end_of_row: Callable[[_Sheet], bytes], last_column: str = ""
    ) -> Iterator[bytes]:
        """The sheet's XML in pieces; before the end of each row that has anything goes what `at_end_of_row` gives.

        Args:
            last_column: the letters up to which the sheet says that it reaches; "" leaves that as it is.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        sheet = _Sheet()
        edits: list[tuple[int, int, bytes]] = []  # at which byte, how many of the old ones go, and what comes
        buffer, begins = b"", 0
        seen = 0  # the byte at which the last tag begins that the parser has come to
        column, kind = -1, "n"
        texts: list[str] | None = None
        phonetic = False

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal seen, column, kind, texts, phonetic
            seen = parser.CurrentByteIndex
            prefix, _, local = name.rpartition(":")
            if local == "row":
                sheet.row = int(attributes.get("r", sheet.row + 1))
                sheet.prefix = f"{prefix}:" if prefix else ""
                sheet.cells.clear()
                column = -1
                if last_column and (match := SPANS.search(tag_at(seen))):
                    edits.append((seen + match.start(), len(match[0]), b""))
            elif local == "c":
                column = _index(attributes["r"]) if "r" in attributes else column + 1
                kind = attributes.get("t", "n")
            elif local in ("v", "t") and not phonetic and column >= 0:
                texts = []
            elif local == "rPh":
                phonetic = True
            elif local == "dimension" and last_column and (match := REACHES_TO.search(tag_at(seen))):
                edits.append((seen + match.start(1), len(match[1]), last_column.encode()))

        def end(name: str) -> None:
            nonlocal seen, texts, phonetic
            seen = parser.CurrentByteIndex
            local = name.rpartition(":")[2]
            if local in ("v", "t") and texts is not None:
                text, texts = "".join(texts), None
                if local == "v" and kind == "s" and text:
                    text = self._strings[int(text)]
                if text:
                    sheet.cells[column] = sheet.cells.get(column, "") + text
            elif local == "rPh":
                phonetic = False
            elif local == "row" and sheet.cells and any(map(str.strip, sheet.cells.values())):
                edits.append((seen, 0, at_end_of_row(sheet)))

        def letters(text: str) -> None:
            if texts is not None:
                texts.append(text)

        def tag_at(index: int) -> bytes:
            return buffer[index - begins : buffer.index(b">", index - begins) + 1]

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = letters
        parser.StartDoctypeDeclHandler = _no_entities
        parser.XmlDeclHandler = _only_utf_8
        try:
            while True:
                block = source.read(BLOCK_BYTES)
                buffer += block
                parser.Parse(block, not block)
                done, safe = 0, seen - begins if block else len(buffer)
                pieces = []
                for index, gone, come in edits:
                    pieces += [buffer[done : index - begins], come]
                    done = index - begins + gone
                edits.clear()
                safe = max(safe, done)  # the last tag may have been edited already
                yield b"".join([*pieces, buffer[done:safe]])
                buffer, begins = buffer[safe:], begins + safe
                if not block:
                    return
        except _FOREIGN as error:
            raise self._damaged(error) from error


def _no_entities(*_: Any) -> None:
    raise ValueError("it declares a document type, which sheets never do")


def _only_utf_8(version: str, encoding: str | None, standalone: int) -> None:
    if (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ValueError(f"its sheet is {encoding} text, where UTF-8 is expected")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error


def _first_sheet(archive: zipfile.ZipFile) -> tuple[list[str], str]:
    """The names of all sheets, that of the first visible one in front, and where in the archive that one is."""
    try:
        book = _small_xml(archive, "xl/workbook.xml")
        targets = {
            element.get("Id"): element.get("Target", "")
            for element in _small_xml(archive, "xl/_rels/workbook.xml.rels")
        }
        sheets = [element for element in book.iter() if element.tag.endswith("}sheet")]
        visible = [s for s in sheets if s.get("state", "visible") == "visible"] or sheets
        relation = next(value for name, value in visible[0].attrib.items() if name.endswith("}id"))
        target = targets[relation]
        place = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
        archive.getinfo(place)
    except (*_FOREIGN, StopIteration) as error:
        raise DataError(
            f"{archive.filename}: is no workbook that can be read ({error}). Save it as .xlsx, or as CSV."
        ) from error
    names = [s.get("name", "") for s in (visible[0], *(s for s in sheets if s is not visible[0]))]
    return names, place


def _small_xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    content = archive.read(name)
    if b"<!DOCTYPE" in content:
        _no_entities()
    return ElementTree.fromstring(content)


def _shared_strings(archive: zipfile.ZipFile) -> list[str]:
    """The workbook's table of strings, in order. Readings for a pronunciation (`rPh`) are no part of a text."""
    strings: list[str] = []
    pieces: list[str] | None = None
    inside = phonetic = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal pieces, inside, phonetic
        local = name.rpartition(":")[2]
        if local == "si":
            pieces = []
        inside = inside or local == "t"
        phonetic = phonetic or local == "rPh"

    def end(name: str) -> None:
        nonlocal inside, phonetic
        local = name.rpartition(":")[2]
        if local == "si":
            strings.append("".join(pieces or ()))
        if local == "t":
            inside = False
        if local == "rPh":
            phonetic = False

    def letters(text: str) -> None:
        if inside and not phonetic and pieces is not None:
            pieces.append(text)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = letters, _no_entities
    try:
        with archive.open("xl/sharedStrings.xml") as file:
            parser.ParseFile(file)
    except _FOREIGN as error:
        raise DataError(
            f"{archive.filename}: the workbook's texts cannot be read ({error}). Save it again, or as CSV."
        ) from error
    return strings


def _cell(value: Any, place: str, prefix: str) -> str:
    """A cell's XML; a text is an inline string, which is never reckoned, whatever it begins with."""
    if isinstance(value, float):
        return f'<{prefix}c r="{place}"><{prefix}v>{value:.4f}</{prefix}v></{prefix}c>'
    if not value:
        return ""
    text = escape(CANNOT_BE_WRITTEN.sub("\ufffd", text_of(value)))
    inner = f'<{prefix}t xml:space="preserve">{text}</{prefix}t>'
    return f'<{prefix}c r="{place}" t="inlineStr"><{prefix}is>{inner}</{prefix}is></{prefix}c>'


def _index(reference: str) -> int:
    """The column of a cell, from 0: `B7` is 1."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    if not 0 < number <= MOST_COLUMNS:
        raise ValueError(f"there is no column {reference}")
    return number - 1


def _letters(index: int) -> str:
    """The letters of column `index` from 0: 27 is `AB`."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters

"""Excel workbooks (XLSX): the sheet's XML is copied as it is, with cells inserted at the end of each row.

So fonts, widths, formulas, numbers stored as text and all other sheets stay, and a sheet of any length streams
through. Source of the format: ECMA-376, part 1, 18.3 (sheets) and 18.4 (shared strings).
"""

import datetime
import itertools
import re
import string
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from xml.parsers import expat
from xml.sax.saxutils import escape

from muslin.data.archives import archive_files, archive_kind
from muslin.data.expansion import MAX_COLUMNS, MAX_TEXT_CHARACTERS
from muslin.data.tables.cells import AddedColumn, CellValue, Row, cell_text, format_cell
from muslin.data.tables.header import SAMPLE_ROWS, find_header
from muslin.data.tables.table_file import Repairs, TableFile, TableRow, damage_as_data_error
from muslin.data.tables.workbook_xml import XmlBudget, check_names, parse_xml, refuse_doctype
from muslin.errors import DataError
from muslin.messages import Message

BLOCK_BYTES = 2**18

MAX_PARTS = 10_000
"""Files in a workbook: sheets, pictures and styles."""

MAX_NUMBER_CHARACTERS = 255
"""Of a number's format, as in Excel."""

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow."""

SPANS = re.compile(rb"\sspans\s*=\s*(\"[^\"]*\"|'[^']*')")
"""In a row's tag, the columns it spans; no longer true with cells added."""

LAST_COLUMN = re.compile(rb"ref\s*=\s*[\"'][A-Z]+\d+:([A-Z]+)\d+")
"""In the tag of the sheet's dimension, its last column; no longer true with cells added."""

DATE_FORMATS = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)}
"""Numbers of Excel's own formats of dates; 46 shows a duration (18.8.30)."""

NOT_DATE_PARTS = re.compile(r'"[^"]*"|\\.|_.|\[(?!hh?\]|mm?\]|ss?\])[^\]]*\]')
"""In a number format: text in quotes, escaped characters, and colours and languages in brackets."""

_SheetRow = tuple[int, dict[int, str]]
"""The number of a row, and its cells that are not empty, by column from 0."""


def is_workbook(path: Path) -> bool:
    """Whether the file is an XLSX workbook, by content."""
    try:
        return archive_kind(path) == "zip" and "xl/workbook.xml" in archive_files(path)[0]
    except (DataError, OSError):
        return False


class Workbook(TableFile):
    """The first visible sheet with a header and rows.

    Formulas are their saved results, dates are written as 2024-05-31, numbers shown with leading zeros keep them, and
    errors such as #N/A are empty cells.
    """

    suffixes = (".xlsx", ".xlsm")
    damaged = "workbook_damaged"
    _header_cells: dict[int, str] | None = None

    def __init__(self, path: Path) -> None:
        """Raises DataError where it is not a workbook, is damaged or unsafe to unpack, or has no table."""
        super().__init__(path)
        files, _ = archive_files(path)  # refuses links, paths that lead outside and absurd expansion
        if "xl/workbook.xml" not in files:
            raise zipfile.BadZipFile("there is no workbook in it")
        if len(files) > MAX_PARTS:
            raise DataError("archive_too_many_files", path=str(path), max_files=MAX_PARTS)
        budget = XmlBudget(path)
        with zipfile.ZipFile(path) as archive:
            sheets = _visible_sheets(archive, budget)
            self._book = _read_styles(archive, budget)
        self._find_table(sheets, budget)

    def check_copy(self) -> None:
        with zipfile.ZipFile(self.path) as archive:
            for entry in archive.infolist():
                for _ in self._pieces(archive, entry.filename, None):
                    pass  # zipfile compares the checksum at the end

    def _find_table(self, sheets: dict[str, str], budget: XmlBudget) -> None:
        """Choose one of the sheets, whose entries in the archive are given by name, and find its header."""
        formulas = seen = 0
        for name, entry in sheets.items():
            self._sheet, chosen, editor, count = entry, name, _SheetEditor(self._book, budget), 0
            first: list[tuple[int, dict[int, str]]] = []
            with zipfile.ZipFile(self.path) as archive:
                budget.check_part(archive, entry)
            for number, cells in self._filled_rows(editor):
                count += 1
                if count <= SAMPLE_ROWS:
                    first.append((number, cells))
            self._merged, repairs = editor.merged, editor.repairs.messages()
            filled = [
                dict(cells) for _, cells, _ in self._fill_merged(((n, dict(cells)) for n, cells in first), budget)
            ]
            header = find_header([[cells.get(i, "") for i in range(editor.width)] for cells in filled])
            if count > header.body:
                break
            formulas += sum(fix.params["count"] for fix in repairs if fix.code == "formulas_without_result")
            seen += count
        else:
            code = "no_rows" if seen and not formulas else "workbook_without_table"
            raise DataError(code, path=str(self.path), formulas=formulas or None)
        if others := [other for other in sheets if other != chosen]:
            empty = list(sheets).index(chosen) or None
            self._notes += (Message("one_sheet_read", name=chosen, others=others, empty=empty),)
        self._notes += (*header.fixes([number for number, _ in first[: header.first]]), *repairs)
        names = [*header.names, *[""] * (editor.width - len(header.names))]
        if header.row is not None:
            number, self._header_cells = first[header.row]
            for left, right, top, bottom in self._merged:
                last = min(right + 1, len(names)) if top <= number <= bottom else 0
                budget.add(max(last - left - 1, 0))
                for column in range(left + 1, last):
                    names[column] = names[column] or f"{names[left]} {column - left + 1}"
        self.columns, self._first = tuple(names), header.body

    @property
    def has_header(self) -> bool:
        """Whether a row names the columns; without one, `write_with_columns` writes no names either."""
        return self._header_cells is not None

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        """Cells merged downwards hold for each of their rows."""
        index_of = {name: i for i, name in reversed(list(enumerate(self.columns)))}
        indices = [index_of[name] for name in names]
        last, budget = 0, XmlBudget(self.path)
        rows = self._filled_rows(_SheetEditor(self._book, budget))
        for i, (number, cells, filled) in enumerate(self._fill_merged(rows, budget)):
            if i and number > last + 1:
                repairs.add("empty_rows_skipped", last + 1, number - last - 1)
            last = number
            if i < self._first:
                continue
            if filled is None:
                repairs.add("header_rows_repeated", number)
                continue
            if filled:
                repairs.add("merged_cells_filled", number, filled)
            if stray := sum(not self.columns[column] for column in cells):
                repairs.add("cells_without_column_skipped", number, stray)
            yield TableRow(number, tuple(cells.get(i, "") for i in indices))

    def _fill_merged(
        self, rows: Iterable[_SheetRow], budget: XmlBudget
    ) -> Iterator[tuple[int, dict[int, str], int | None]]:
        """The rows with the number of cells filled, because they are merged downwards; None for a repeated header."""
        starting: dict[int, list[tuple[int, int]]] = {}
        for column, _, top, bottom in self._merged:
            if bottom > top:
                starting.setdefault(top, []).append((column, bottom))
        running: dict[int, tuple[str, int]] = {}  # by column the text of the merged cells, and their last row
        for number, cells in rows:
            if cells == self._header_cells:
                yield number, cells, None
                continue
            budget.add(len(running))
            running = {column: (text, last) for column, (text, last) in running.items() if number <= last and text}
            above = {column: text for column, (text, _) in running.items()}
            running |= {column: (cells.get(column, ""), last) for column, last in starting.get(number, ())}
            filled = above.keys() - cells.keys()
            yield number, above | cells, len(filled)

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        if len(self.columns) + len(added) > MAX_COLUMNS:
            raise DataError("sheet_too_wide", path=str(self.path), columns=len(self.columns), max_columns=MAX_COLUMNS)
        names: Row = [column.name for column in added]
        new_rows, count, width = iter(rows), itertools.count(), len(self.columns)

        def new_cells(cells: dict[int, str], row: int, prefix: str) -> bytes:
            is_above = next(count) < self._first
            values = names if cells == self._header_cells else () if is_above else next(new_rows)
            places = (f"{_column_letters(i)}{row}" for i in itertools.count(width))
            return "".join(_cell_xml(*cell, prefix) for cell in zip(values, places, strict=False)).encode()

        last_column = _column_letters(width + len(added) - 1)
        with zipfile.ZipFile(self.path) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as copy:
            for entry in archive.infolist():
                info = zipfile.ZipInfo(entry.filename, entry.date_time)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, entry.external_attr
                is_sheet = entry.filename == self._sheet
                editor = _SheetEditor(self._book, XmlBudget(self.path), new_cells, last_column) if is_sheet else None
                with copy.open(info, "w") as target:
                    for piece in self._pieces(archive, entry.filename, editor):
                        target.write(piece)

    def _filled_rows(self, editor: "_SheetEditor") -> Iterator[_SheetRow]:
        with zipfile.ZipFile(self.path) as archive:
            for _ in self._pieces(archive, self._sheet, editor):
                yield from editor.rows
                editor.rows.clear()

    def _pieces(self, archive: zipfile.ZipFile, name: str, editor: "_SheetEditor | None") -> Iterator[bytes]:
        """The content of an entry in pieces, edited by `editor` if there is one."""
        with damage_as_data_error(self.path, self.damaged), archive.open(name) as source:
            while block := source.read(BLOCK_BYTES):
                yield editor.feed(block) if editor else block
            if editor:
                yield editor.feed(b"")


@dataclass(frozen=True)
class _BookStyles:
    """What the cells of all sheets refer to.

    Attributes:
        strings: the shared strings, in order.
        number_formats: per style of a cell how a number is shown: as it is (empty), with at least as many digits as
            there are zeros (`000`), or as a date (its format).
        epoch: the date with the number 0.
    """

    strings: list[str]
    number_formats: list[str]
    epoch: datetime.datetime

    def shown_text(self, value: str, kind: str, style: int) -> str:
        """The text of a cell; OverflowError where it is an error, or no date.

        Args:
            value: as it is saved.
            kind: the cell's type (18.18.11).
            style: index of its style.
        """
        if kind == "s":
            return self.strings[int(value)].strip()
        if kind == "b":
            return cell_text(bool(int(value)))
        if kind == "e":
            raise OverflowError(value)
        if kind == "d":
            return value.removesuffix("T00:00:00").replace("T", " ")
        if kind != "n":
            return value.strip()
        number = int(value) if value.isdecimal() else float(value)
        shown = self.number_formats[style] if style < len(self.number_formats) else ""
        if not shown:
            return cell_text(number)
        if shown[0] != "0":
            return self._date_text(number, shown)
        return text.zfill(len(shown)) if (text := cell_text(number)).isdigit() else text

    def _date_text(self, number: float, shown: str) -> str:
        """A serial number as a date, a time or, where the format has `[h]` or the like, a duration."""
        days, rest = divmod(number, 1)
        time = datetime.timedelta(milliseconds=round(rest * 86_400_000))
        if "[" in shown:
            return str(datetime.timedelta(days) + time)
        if 0 <= number < 1 and not time.days:
            return str((datetime.datetime.min + time).time())
        if 0 < number < 60 and self.epoch.year == 1899:
            days += 1  # Excel takes 1900 for a leap year
        return str(self.epoch + datetime.timedelta(days) + time).removesuffix(" 00:00:00")


class _SheetEditor:
    """Parses a sheet's XML block by block and inserts cells at the end of each row that is not empty.

    Args:
        book: what cells refer to.
        budget: counts the sheet's elements and bytes.
        at_row_end: called with the row's cells by column from 0, its number and the XML prefix; the XML to insert.
            None: collect them in `rows`.
        last_column: letters of the new last column; "" leaves the sheet's dimension as it is.

    Attributes:
        rows: number and cells of each row so far that is not empty; to be cleared by the reader.
        merged: first and last column, first and last row of the merged cells so far.
        width: columns up to the last cell that is not empty.
        repairs: names of the cells so far with an error, or a formula that was saved without a result.
    """

    def __init__(
        self,
        book: _BookStyles,
        budget: XmlBudget,
        at_row_end: Callable[[dict[int, str], int, str], bytes] | None = None,
        last_column: str = "",
    ) -> None:
        self._book, self._at_row_end, self._last_column = book, at_row_end, last_column
        self._budget = budget
        self.rows: list[tuple[int, dict[int, str]]] = []
        self.merged: list[tuple[int, int, int, int]] = []
        self.width = 0
        self.repairs = Repairs()
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = refuse_doctype
        self._parser.XmlDeclHandler = _check_encoding
        self._local = _LocalNames()
        self._buffer, self._offset = b"", 0  # bytes not yet returned, and the offset of the first of them
        self._tag = 0  # offset of the last tag that the parser has come to
        self._edits: list[tuple[int, int, bytes]] = []  # offset, bytes to remove there, bytes to insert
        self._row, self._column, self._type, self._style, self._prefix = 0, -1, "n", 0, ""
        self._cells: dict[int, str] = {}
        self._value = ""
        self._text: list[str] | None = None
        self._phonetic = self._formula = False

    def feed(self, block: bytes) -> bytes:
        """The edited XML as far as it is certain; b"" as `block` ends the sheet."""
        if len(self._buffer) > MAX_TEXT_CHARACTERS:
            raise ValueError(f"a tag or a text has more than {MAX_TEXT_CHARACTERS:,} bytes")
        self._budget.add_bytes(len(block))
        self._buffer += block
        self._parser.Parse(block, not block)
        check_names(self._parser, self._offset + len(self._buffer))
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
        self._budget.add()
        self._tag = self._parser.CurrentByteIndex
        local = self._local[name]
        if local == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._prefix = name.removesuffix(local)
            self._cells = {}
            self._column = -1
            if self._last_column and (match := SPANS.search(self._tag_text())):
                self._edits.append((self._tag + match.start(), len(match[0]), b""))
        elif local == "c":
            self._column = _column_index(attributes["r"]) if "r" in attributes else self._column + 1
            self._type, self._style = attributes.get("t", "n"), int(attributes.get("s", 0))
            self._value, self._formula = "", False
        elif local in ("v", "t") and not self._phonetic and self._column >= 0:
            self._text = []
        elif local in ("rPh", "f"):
            self._phonetic |= local == "rPh"
            self._formula |= local == "f"
        elif local == "mergeCell":
            first, _, last = attributes["ref"].partition(":")
            top, bottom = (int(place.lstrip(string.ascii_uppercase)) for place in (first, last or first))
            self.merged.append((_column_index(first), _column_index(last or first), top, bottom))
        elif local == "dimension" and self._last_column and (match := LAST_COLUMN.search(self._tag_text())):
            self._edits.append((self._tag + match.start(1), len(match[1]), self._last_column.encode()))

    def _end(self, name: str) -> None:
        self._tag = self._parser.CurrentByteIndex
        local = self._local[name]
        if local in ("v", "t") and self._text is not None:
            self._value, self._text = self._value + "".join(self._text), None
        elif local == "c":
            self._end_cell()
        elif local == "rPh":
            self._phonetic = False
        elif local == "row" and self._cells:
            if self._at_row_end is None:
                self.rows.append((self._row, self._cells))
            else:
                self._edits.append((self._tag, 0, self._at_row_end(self._cells, self._row, self._prefix)))

    def _end_cell(self) -> None:
        if not self._value:
            if self._formula:
                self.repairs.add("formulas_without_result", self._cell_name())
            return
        if self._column >= self.width:
            self.width = self._column + 1
        try:
            if text := self._book.shown_text(self._value, self._type, self._style):
                self._cells[self._column] = text
        except OverflowError:
            self.repairs.add("error_cells_emptied", self._cell_name())

    def _cell_name(self) -> str:
        return f"{_column_letters(self._column)}{self._row}"

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _tag_text(self) -> bytes:
        start = self._tag - self._offset
        return self._buffer[start : self._buffer.index(b">", start) + 1]


class _LocalNames(dict[str, str]):
    """Names of elements without the prefix of their namespace, as `row` of `x:row`."""

    def __missing__(self, name: str) -> str:
        self[name] = name.rpartition(":")[2]
        return self[name]


def _check_encoding(version: str, encoding: str | None, standalone: int) -> None:
    if (encoding or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise ValueError(f"its sheet is {encoding} text, expected UTF-8")


def _visible_sheets(archive: zipfile.ZipFile, budget: XmlBudget) -> dict[str, str]:
    """The archive's entry with each visible sheet, by the sheet's name."""
    relations = parse_xml(archive, "xl/_rels/workbook.xml.rels", budget)
    targets = {element.get("Id"): element.get("Target", "") for element in relations}
    sheets = {}
    for sheet in parse_xml(archive, "xl/workbook.xml", budget).iter():
        if sheet.tag.endswith("}sheet") and sheet.get("state", "visible") == "visible":
            target = targets[next((value for name, value in sheet.items() if name.endswith("}id")), None)]
            entry = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
            archive.getinfo(entry)
            sheets[sheet.get("name", "")] = entry
    return sheets


def _read_styles(archive: zipfile.ZipFile, budget: XmlBudget) -> _BookStyles:
    strings, shown = [], []
    book = parse_xml(archive, "xl/workbook.xml", budget)
    if "xl/sharedStrings.xml" in archive.namelist():
        for item in parse_xml(archive, "xl/sharedStrings.xml", budget):
            pieces = (piece for part in item if not part.tag.endswith("}rPh") for piece in part.iter())
            text = "".join(piece.text or "" for piece in pieces if piece.tag.endswith("}t"))
            strings.append(text.replace("x005F_", ""))
    if "xl/styles.xml" in archive.namelist():
        styles = parse_xml(archive, "xl/styles.xml", budget)
        own = dict.fromkeys(map(str, DATE_FORMATS), "d") | {"46": "[h]"}
        items = (item for item in styles.iter() if "formatCode" in item.attrib)
        codes = own | {item.get("numFmtId", ""): item.get("formatCode", "") for item in items}
        xfs = next((item for item in styles if item.tag.endswith("}cellXfs")), ())
        shown = [_number_format(codes.get(xf.get("numFmtId", "0"), "")[:MAX_NUMBER_CHARACTERS]) for xf in xfs]
    is_1904 = any(item.get("date1904") in ("1", "true") for item in book)
    epoch = datetime.datetime(1904, 1, 1) if is_1904 else datetime.datetime(1899, 12, 30)
    return _BookStyles(strings, shown, epoch)


def _number_format(code: str) -> str:
    """As in `_BookStyles.number_formats`; `code` is `d` for Excel's own dates and `[h]` for its durations."""
    if re.fullmatch("0{2,}", code):
        return code
    shown = NOT_DATE_PARTS.sub("", code.split(";")[0]).lower().lstrip("0")
    return shown if re.search("[dmhys]", shown) else ""


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

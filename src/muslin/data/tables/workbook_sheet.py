"""A workbook's sheet: what its cells show, and its XML with cells inserted or replaced as it streams through."""

import datetime
import re
import string
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape

from muslin.data.expansion import MAX_COLUMNS, MAX_TEXT_CHARACTERS
from muslin.data.tables.cells import CellValue, cell_text, format_cell
from muslin.data.tables.table_file import Repairs
from muslin.data.tables.workbook_xml import XmlBudget, check_names, parse_xml, refuse_doctype

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


@dataclass(frozen=True)
class BookStyles:
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


class SheetEditor:
    """Parses a sheet's XML block by block, and inserts cells at the end of each row that is not empty, or replaces one.

    Args:
        book: what cells refer to.
        budget: counts the sheet's elements and bytes.
        at_row_end: called with the row's cells by column from 0, its number and the XML prefix; the XML to insert, or
            None to leave the row. None: collect the cells in `rows`.
        column: whose cell the XML replaces, or whose place it takes where the row has none; by default it is inserted
            at the row's end.
        last_column: letters of the new last column; "" leaves the sheet's dimension as it is.

    Attributes:
        rows: number and cells of each row so far that is not empty; to be cleared by the reader.
        merged, formulas: first and last column, first and last row of the merged cells so far, and of the cells that
            have one formula together.
        width: columns up to the last cell that is not empty.
        repairs: names of the cells so far with an error, or a formula that was saved without a result.
        style, has_formula: of the row's cell in `column`: the number of its style, and whether it has a formula.
    """

    def __init__(
        self,
        book: BookStyles,
        budget: XmlBudget,
        at_row_end: Callable[[dict[int, str], int, str], bytes | None] | None = None,
        *,
        column: int | None = None,
        last_column: str = "",
    ) -> None:
        self._edited, self._place = column, (0, 0)  # offset in the sheet, 0 for none, and bytes to remove there
        self.style, self.has_formula = "", False
        self._book, self._at_row_end, self._last_column = book, at_row_end, last_column
        self._budget = budget
        self.rows: list[tuple[int, dict[int, str]]] = []
        self.merged: list[tuple[int, int, int, int]] = []
        self.formulas: list[tuple[int, int, int, int]] = []
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
        held = min(self._tag, self._place[0] or self._tag)
        certain = max(done, held - self._offset) if block else len(self._buffer)
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
            self._column, self._place, self.style, self.has_formula = -1, (0, 0), "", False
            if self._at_row_end and (match := SPANS.search(self._tag_text())):
                self._edits.append((self._tag + match.start(), len(match[0]), b""))
        elif local == "c":
            self._column = column_index(attributes["r"]) if "r" in attributes else self._column + 1
            self._type, self._style = attributes.get("t", "n"), int(attributes.get("s", 0))
            self._value, self._formula = "", False
            if self._edited is not None and self._column >= self._edited and not self._place[0]:
                self._place = self._tag, 0
            if self._column == self._edited:
                tag = self._tag_text()
                self._place = self._tag, len(tag) if tag.endswith(b"/>") else 0
                self.style = attributes.get("s", "")
        elif local in ("v", "t") and not self._phonetic and self._column >= 0:
            self._text = []
        elif local in ("rPh", "f"):
            self._phonetic |= local == "rPh"
            self._formula |= local == "f"
            # the first of these cells has the formula of all
            if "ref" in attributes and attributes.get("t") in ("array", "dataTable"):
                self.formulas.append(_cell_range(attributes["ref"]))
        elif local == "mergeCell":
            self.merged.append(_cell_range(attributes["ref"]))
        elif local == "dimension" and self._last_column and (match := LAST_COLUMN.search(self._tag_text())):
            self._edits.append((self._tag + match.start(1), len(match[1]), self._last_column.encode()))

    def _end(self, name: str) -> None:
        self._tag = self._parser.CurrentByteIndex
        local = self._local[name]
        if local in ("v", "t") and self._text is not None:
            self._value, self._text = self._value + "".join(self._text), None
        elif local == "c":
            if self._column == self._edited:
                start, length = self._place
                self._place = start, length or self._tag + len(self._tag_text()) - start
                self.has_formula = self._formula
            self._end_cell()
        elif local == "rPh":
            self._phonetic = False
        elif local == "row":
            if self._cells:
                self._end_row()
            self._place = (0, 0)

    def _end_row(self) -> None:
        if self._at_row_end is None:
            self.rows.append((self._row, self._cells))
        elif (inserted := self._at_row_end(self._cells, self._row, self._prefix)) is not None:
            place, removed = self._place if self._place[0] else (self._tag, 0)
            self._edits.append((place, removed, inserted))

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
        return f"{column_letters(self._column)}{self._row}"

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


def read_styles(archive: zipfile.ZipFile, budget: XmlBudget) -> BookStyles:
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
    return BookStyles(strings, shown, epoch)


def _number_format(code: str) -> str:
    """As in `BookStyles.number_formats`; `code` is `d` for Excel's own dates and `[h]` for its durations."""
    if re.fullmatch("0{2,}", code):
        return code
    shown = NOT_DATE_PARTS.sub("", code.split(";")[0]).lower().lstrip("0")
    return shown if re.search("[dmhys]", shown) else ""


def cell_xml(value: CellValue, reference: str, prefix: str, style: str = "") -> str:
    """A cell's XML; a text is an inline string, which Excel never evaluates, whatever it begins with."""
    place = f'r="{reference}" s="{style}"' if style else f'r="{reference}"'
    if isinstance(value, float):
        return f"<{prefix}c {place}><{prefix}v>{value:.4f}</{prefix}v></{prefix}c>"
    if not value:
        return ""
    text = escape(NOT_XML.sub("\ufffd", format_cell(value)))
    inner = f'<{prefix}t xml:space="preserve">{text}</{prefix}t>'
    return f'<{prefix}c {place} t="inlineStr"><{prefix}is>{inner}</{prefix}is></{prefix}c>'


def _cell_range(reference: str) -> tuple[int, int, int, int]:
    """First and last column from 0, first and last row, of a range such as `B2:C9` or `B2`."""
    first, _, last = reference.partition(":")
    top, bottom = (int(place.lstrip(string.ascii_uppercase)) for place in (first, last or first))
    return column_index(first), column_index(last or first), top, bottom


def column_index(reference: str) -> int:
    """The column of a cell, from 0: `B7` is 1."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = number * 26 + ord(letter) - ord("A") + 1
    if not 0 < number <= MAX_COLUMNS:
        raise ValueError(f"there is no column {reference}")
    return number - 1


def column_letters(index: int) -> str:
    """The letters of column `index` from 0: 27 is `AB`."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters

"""XLSX workbooks as tables: the first visible sheet with a header and rows, row by row, never as a whole.

openpyxl parses; its reader of sheets is used directly, since it alone says which cells are merged, how numbers are
shown and which formulas were saved without their result.
"""

import datetime
import re
import warnings
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from muslin.data import archives
from muslin.data.formats.columns import Cell, Column, Table, cell_of, gathered
from muslin.data.formats.read_options import Log
from muslin.errors import DataError

LOOKED_AT = 20
"""Rows among which the header is looked for."""

BUILT_IN_FORMATS = 164
"""Number formats with smaller numbers are Excel's own; none of them is of zeros only."""

Values = dict[int, Cell]
"""Per column, from 1, what its cell in a row says; empty cells are left out."""


def is_one(path: Path) -> bool:
    """Whether the file is an XLSX workbook, by its content."""
    if archives.kind(path) != "zip":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeError):
        return False


def read(path: Path, log: Log) -> Table:
    """The first visible sheet with rows. Its header is the first row with more than one cell, if there are such.

    Formulas are their saved results, dates are as in 2024-05-31, numbers shown with leading zeros keep them, and
    cells merged downwards hold for each of their rows. Empty rows are passed over.

    Raises:
        DataError: the workbook is damaged, unsafe to unpack, or has no table.
    """
    archives.members(path)  # refuses links, paths that lead outside and absurd expansion, by name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, about extensions that hold no cells
            return _workbook(path, log)
    except DataError:
        raise
    # openpyxl raises whatever its XML meets: ParseError, KeyError, ValueError, TypeError, BadZipFile, …
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: the workbook is damaged ({reason}). Save it again.") from error


def _workbook(path: Path, log: Log) -> Table:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        for place, sheet in enumerate(visible):
            table = _sheet(path, book, sheet, log)
            if len(table):
                others = [other.title for other in visible if other is not sheet]
                said = (
                    [f"the sheet {sheet.title!r} read, not {', '.join(map(repr, others))}"] if others else []
                )
                if place:
                    said[0] += f" ({place} before it without a table)"
                return replace(table, fixes=(*said, *table.fixes))
    finally:
        book.close()
    raise DataError(f"{path}: no visible sheet has a header and rows. Check the workbook.")


class _Counts:
    """What is met while rows stream by."""

    def __init__(self) -> None:
        self.blank = self.errors = self.without_result = self.above = self.beside = 0
        self.numbers: list[int] = []
        """Per row of the table, its number in the sheet."""


def _sheet(path: Path, book: Any, sheet: Any, log: Log) -> Table:
    counts = _Counts()
    with sheet._get_source() as source:
        parser = _parser(source, book, sheet, counts)
        coming = _rows(book, parser, counts)
        first = list(islice(coming, LOOKED_AT))
        # A title stands alone in its row.
        counts.above = next((i for i, (_, values) in enumerate(first) if len(values) > 1), 0)
        header = first[counts.above][1] if first else {}
        rows = chain(first[counts.above + 1 :], coming)
        names = {column: str(cell).strip() for column, cell in header.items() if str(cell).strip()}
        if twice := next((n for n in names.values() if list(names.values()).count(n) > 1), None):
            raise DataError(f"{path}: two columns are called {twice!r}. Rename one.")
        columns = gathered(list(names.values()), _cells(rows, names, counts), log)
        merged = [r.bounds for r in parser.merged_cells.mergeCell] if parser.merged_cells else []
    columns, filled = _filled(columns, list(names), counts.numbers, merged)
    fixes = [
        f"{what}: {count:,}"
        for what, count in (
            ("rows above the header passed over", counts.above),
            ("empty rows passed over", counts.blank),
            ("cells merged with the one above, filled with it", filled),
            ("cells in columns without a name passed over", counts.beside),
            ("cells with an error such as #N/A taken as empty", counts.errors),
            ("formulas saved without a result taken as empty", counts.without_result),
        )
        if count
    ]
    return Table(path, columns, tuple(fixes))


def _parser(source: Any, book: Any, sheet: Any, counts: _Counts) -> Any:
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

    class Parser(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
        def parse_cell(self, element: Any) -> dict[str, Any]:
            if element.find(FORMULA_TAG) is not None and not element.findtext(VALUE_TAG):
                counts.without_result += 1
            found: dict[str, Any] = super().parse_cell(element)
            return found

    return Parser(
        source,
        sheet._shared_strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )


def _rows(book: Any, parser: Any, counts: _Counts) -> Iterator[tuple[int, Values]]:
    """Per row that is not empty, its number and its values."""
    last = 0
    for number, cells in parser.parse():
        values: Values = {}
        for cell in cells:
            if cell["data_type"] == "e":
                counts.errors += 1
            elif text := _text(book, cell["value"], cell["style_id"]):
                values[int(cell["column"])] = text
        if values:
            counts.blank += number - last - 1 if last else 0
            last = number
            yield number, values


def _cells(
    rows: Iterator[tuple[int, Values]], names: dict[int, str], counts: _Counts
) -> Iterator[list[Cell]]:
    for number, values in rows:
        counts.beside += sum(column not in names for column in values)
        counts.numbers.append(number)
        yield [values.get(column, "") for column in names]


def _text(book: Any, value: Any, style: int) -> str:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(cell_of(value))
        zeros = _leading_zeros(book, style)
        return text.zfill(zeros) if zeros and text.isdigit() else text
    return "" if value is None else str(value).strip()


def _leading_zeros(book: Any, style: int) -> int:
    """How many digits a number has at least as shown: 5 for the number format 00000, 0 for most others."""
    try:
        own = book._cell_styles[style].numFmtId - BUILT_IN_FORMATS
        number_format = book._number_formats[own] if own >= 0 else ""
    except IndexError:
        return 0
    return len(number_format) if re.fullmatch("0{2,}", number_format) else 0


def _filled(
    columns: dict[str, Column],
    places: list[int],
    numbers: list[int],
    merged: list[tuple[int, int, int, int]],
) -> tuple[dict[str, Column], int]:
    """The columns with what was merged downwards in each of its rows, and how many cells that were."""
    names = dict(zip(places, columns, strict=True))
    filled = 0
    for column, top, _, bottom in merged:
        first, end = bisect_left(numbers, top), bisect_right(numbers, bottom)
        if column in names and first < end and numbers[first] == top:
            cells = columns[names[column]].places
            cells[first + 1 : end] = cells[first]
            filled += end - first - 1
    return columns, filled

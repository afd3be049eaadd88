"""Reads an XLSX workbook into a Table: the first visible sheet with a header and rows, row by row.

openpyxl parses. Its reader of sheets is used directly, because it alone tells which cells are merged, how numbers are
shown and which formulas were saved without their result.
"""

import datetime
import re
import warnings
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from muslin.data.archives import archive_files, archive_kind
from muslin.data.tables.columns import Cell, Column, Table, build_columns, cell_text, check_distinct
from muslin.errors import DataError
from muslin.messages import Log, Message

HEADER_ROWS = 20
"""Rows among which the header is searched."""

FIRST_CUSTOM_FORMAT = 164
"""Number formats with smaller numbers are Excel's own; none of them consists of zeros only."""

CellsByColumn = dict[int, Cell]
"""The cells of a row that are not empty, by column from 1."""


def is_workbook(path: Path) -> bool:
    """Whether the file is an XLSX workbook, by content."""
    if archive_kind(path) != "zip":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeError):
        return False


def read_workbook(path: Path, log: Log) -> Table:
    """The first visible sheet with rows. Its header is the first row with more than one cell, if there is one.

    Formulas are their saved results, dates are written as 2024-05-31, numbers shown with leading zeros keep them, and
    cells merged downwards hold for each of their rows. Empty rows are skipped.

    Raises:
        DataError: the workbook is damaged, unsafe to unpack, or has no table.
    """
    archive_files(path)  # refuses links, paths that lead outside and absurd expansion
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, about extensions that hold no cells
            return _first_table(path, log)
    except DataError:
        raise
    # openpyxl raises whatever its XML meets: ParseError, KeyError, ValueError, TypeError, BadZipFile, …
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError("workbook_damaged", path=str(path), reason=reason) from error


def _first_table(path: Path, log: Log) -> Table:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        for i, sheet in enumerate(visible):
            table = _read_sheet(path, book, sheet, log)
            if len(table):
                others = [other.title for other in visible if other is not sheet]
                if not others:
                    return table
                note = Message("one_sheet_read", name=sheet.title, others=others, empty=i or None)
                return replace(table, fixes=(note, *table.fixes))
    finally:
        book.close()
    raise DataError("workbook_without_table", path=str(path))


@dataclass
class _SheetStats:
    """Counts of what was skipped or repaired; and the sheet's number of each of the table's rows."""

    empty_rows: int = 0
    error_cells: int = 0
    formulas_without_result: int = 0
    cells_without_column: int = 0
    row_numbers: list[int] = field(default_factory=list)


def _read_sheet(path: Path, book: Any, sheet: Any, log: Log) -> Table:
    stats = _SheetStats()
    with sheet._get_source() as source:
        parser = _make_parser(source, book, sheet, stats)
        rows = _filled_rows(book, parser, stats)
        first = list(islice(rows, HEADER_ROWS))
        # A title stands alone in its row.
        above = next((i for i, (_, cells) in enumerate(first) if len(cells) > 1), 0)
        header = first[above][1] if first else {}
        names = {column: str(cell).strip() for column, cell in header.items() if str(cell).strip()}
        check_distinct(path, list(names.values()))
        body = _body_rows(chain(first[above + 1 :], rows), names, stats)
        columns = build_columns(list(names.values()), body, log)
        merged = [r.bounds for r in parser.merged_cells.mergeCell] if parser.merged_cells else []
    filled = _fill_merged(columns, list(names), stats.row_numbers, merged)
    counts = {
        "rows_above_header_skipped": above,
        "empty_rows_skipped": stats.empty_rows,
        "merged_cells_filled": filled,
        "cells_without_column_skipped": stats.cells_without_column,
        "error_cells_emptied": stats.error_cells,
        "formulas_without_result": stats.formulas_without_result,
    }
    return Table(path, columns, tuple(Message(code, count=count) for code, count in counts.items() if count))


def _make_parser(source: Any, book: Any, sheet: Any, stats: _SheetStats) -> Any:
    from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

    class Parser(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
        def parse_cell(self, element: Any) -> dict[str, Any]:
            if element.find(FORMULA_TAG) is not None and not element.findtext(VALUE_TAG):
                stats.formulas_without_result += 1
            cell: dict[str, Any] = super().parse_cell(element)
            return cell

    return Parser(
        source,
        sheet._shared_strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )


def _filled_rows(book: Any, parser: Any, stats: _SheetStats) -> Iterator[tuple[int, CellsByColumn]]:
    """Per row that is not empty, its number and its cells."""
    last = 0
    for number, raw_cells in parser.parse():
        cells: CellsByColumn = {}
        for cell in raw_cells:
            if cell["data_type"] == "e":
                stats.error_cells += 1
            elif text := _shown_text(book, cell["value"], cell["style_id"]):
                cells[int(cell["column"])] = text
        if cells:
            stats.empty_rows += number - last - 1 if last else 0
            last = number
            yield number, cells


def _body_rows(
    rows: Iterator[tuple[int, CellsByColumn]], names: dict[int, str], stats: _SheetStats
) -> Iterator[list[Cell]]:
    for number, cells in rows:
        stats.cells_without_column += sum(column not in names for column in cells)
        stats.row_numbers.append(number)
        yield [cells.get(column, "") for column in names]


def _shown_text(book: Any, value: Any, style: int) -> str:
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    text = cell_text(value).strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and text.isdigit():
        return text.zfill(_leading_zeros(book, style))
    return text


def _leading_zeros(book: Any, style: int) -> int:
    """The fewest digits of a number as shown: 5 for the number format 00000, 0 for most others."""
    try:
        custom = book._cell_styles[style].numFmtId - FIRST_CUSTOM_FORMAT
        number_format = book._number_formats[custom] if custom >= 0 else ""
    except IndexError:
        return 0
    return len(number_format) if re.fullmatch("0{2,}", number_format) else 0


def _fill_merged(
    columns: dict[str, Column],
    indices: list[int],
    numbers: list[int],
    merged: list[tuple[int, int, int, int]],
) -> int:
    """Copy each cell merged downwards to its other rows, in place; the number of cells filled.

    Args:
        indices: the columns' indices in the sheet, from 1.
        numbers: the rows' numbers in the sheet.
        merged: (first column, first row, last column, last row) of the merged cells.
    """
    names = dict(zip(indices, columns, strict=True))
    filled = 0
    for column, top, _, bottom in merged:
        first, end = bisect_left(numbers, top), bisect_right(numbers, bottom)
        if column in names and first < end and numbers[first] == top:
            codes = columns[names[column]].codes
            codes[first + 1 : end] = codes[first]
            filled += end - first - 1
    return filled

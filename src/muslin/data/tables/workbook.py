"""Excel workbooks (XLSX): the sheet's XML is copied as it is, with cells inserted at the end of rows or replaced.

So fonts, widths, formulas, numbers stored as text and all other sheets stay, and a sheet of any length streams
through. Source of the format: ECMA-376, part 1, 18.3 (sheets) and 18.4 (shared strings).
"""

import itertools
import zipfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from muslin.data.archives import archive_files, archive_kind
from muslin.data.expansion import MAX_COLUMNS
from muslin.data.tables.cells import AddedColumn, Row
from muslin.data.tables.header import SAMPLE_ROWS, find_header
from muslin.data.tables.table_file import Repairs, TableFile, TableRow, damage_as_data_error
from muslin.data.tables.workbook_sheet import SheetEditor, cell_xml, column_letters, read_styles
from muslin.data.tables.workbook_xml import XmlBudget, parse_xml
from muslin.errors import DataError
from muslin.messages import Message

BLOCK_BYTES = 2**18

MAX_PARTS = 10_000
"""Files in a workbook: sheets, pictures and styles."""

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
            self._book = read_styles(archive, budget)
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
            self._sheet, chosen, editor, count = entry, name, SheetEditor(self._book, budget), 0
            first: list[tuple[int, dict[int, str]]] = []
            with zipfile.ZipFile(self.path) as archive:
                budget.check_part(archive, entry)
            for number, cells in self._filled_rows(editor):
                count += 1
                if count <= SAMPLE_ROWS:
                    first.append((number, cells))
            self._merged, self._formulas = editor.merged, editor.formulas
            repairs = editor.repairs.messages()
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
        rows = self._filled_rows(SheetEditor(self._book, budget))
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
            places = (f"{column_letters(i)}{row}" for i in itertools.count(width))
            return "".join(cell_xml(*cell, prefix) for cell in zip(values, places, strict=False)).encode()

        last_column = column_letters(width + len(added) - 1)
        self._copy(file, SheetEditor(self._book, XmlBudget(self.path), new_cells, last_column=last_column))

    def write_with_cells(self, file: BinaryIO, column: str, values: Iterable[str | None]) -> None:
        """Write the whole workbook with the cells of `column` that `values` gives for each row of `rows`; None keeps
        one. A new cell is a text in the style of the one that was there.

        Raises:
            DataError: a cell to fill has a formula, or is merged with others.
        """
        index, new, count = self.columns.index(column), iter(values), itertools.count()
        places = [*self._merged, *self._formulas]
        taken = sorted((top, bottom) for left, right, top, bottom in places if left <= index <= right)
        tops, bottoms = [top for top, _ in taken], list(itertools.accumulate((bottom for _, bottom in taken), max))

        def new_cell(cells: dict[int, str], row: int, prefix: str) -> bytes | None:
            is_row = next(count) >= self._first and cells != self._header_cells
            value = next(new) if is_row else None
            if value is None:
                return None
            place = f"{column_letters(index)}{row}"
            above = bisect_right(tops, row)  # those that begin in this row or before
            if (above and bottoms[above - 1] >= row) or editor.has_formula:
                raise DataError("fill_cell_not_plain", path=str(self.path), cell=place)
            return cell_xml(value, place, prefix, editor.style).encode()

        editor = SheetEditor(self._book, XmlBudget(self.path), new_cell, column=index)
        self._copy(file, editor)

    def _copy(self, file: BinaryIO, editor: SheetEditor) -> None:
        """Write the workbook with its sheet edited."""
        with zipfile.ZipFile(self.path) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as copy:
            for entry in archive.infolist():
                info = zipfile.ZipInfo(entry.filename, entry.date_time)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, entry.external_attr
                is_sheet = entry.filename == self._sheet
                with copy.open(info, "w") as target:
                    for piece in self._pieces(archive, entry.filename, editor if is_sheet else None):
                        target.write(piece)

    def _filled_rows(self, editor: "SheetEditor") -> Iterator[_SheetRow]:
        with zipfile.ZipFile(self.path) as archive:
            for _ in self._pieces(archive, self._sheet, editor):
                yield from editor.rows
                editor.rows.clear()

    def _pieces(self, archive: zipfile.ZipFile, name: str, editor: "SheetEditor | None") -> Iterator[bytes]:
        """The content of an entry in pieces, edited by `editor` if there is one."""
        with damage_as_data_error(self.path, self.damaged), archive.open(name) as source:
            while block := source.read(BLOCK_BYTES):
                yield editor.feed(block) if editor else block
            if editor:
                yield editor.feed(b"")


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

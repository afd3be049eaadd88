"""JSON Lines: every line stays, and the new names are inserted before its last brace."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from muslin.data.expansion import MAX_COLUMNS, MAX_TEXT_CHARACTERS
from muslin.data.gzip_files import max_lines
from muslin.data.tables.cells import AddedColumn, Cell, Row, typed_value
from muslin.data.tables.json_document import cells_of
from muslin.data.tables.table_file import BLANK, Repairs, TableFile, TableRow
from muslin.data.tables.text_encoding import find_encoding
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.strict_json import json_text

VALUES_PER_LINE = 4
"""Values of a gzipped file for each line that it may have."""


def _parse_line(path: Path, number: int, line: str) -> dict[str, Cell]:
    """The cells of the object in line `number` of the file at `path`; DataError where it is not one."""
    try:
        value = json.loads(line)
        if isinstance(value, dict):
            return dict(cells_of(value))
    except (ValueError, RecursionError) as error:
        raise DataError("json_line", path=str(path), line=number, reason=reason_of(error)) from error
    raise DataError("json_line_not_object", path=str(path), line=number)


class JsonLines(TableFile):
    """One JSON object per line; the columns are the names in any of them, in order of appearance.

    An object within an object gives columns such as `data.image`.
    """

    suffixes = (".jsonl", ".ndjson", ".json")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or a line is not an object."""
        super().__init__(path)
        self._text = find_encoding(path)
        self._notes = self._text.notes
        names: dict[str, None] = {}
        for _, value in self._lines():
            names |= dict.fromkeys(value)
            if len(names) > MAX_COLUMNS:
                raise DataError("too_many_columns", path=str(path), max_columns=MAX_COLUMNS)
        self.columns = tuple(names)

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        for number, (_, value) in enumerate(self._lines(), 1):
            if value:
                yield TableRow(number, tuple(value.get(name, "") for name in names))
            else:
                repairs.add("empty_rows_skipped", number)

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        new_rows = iter(rows)
        file.write(self._text.mark)
        encoding = self._text.name
        for line, value in self._lines():
            if value:
                cells = {column.name: typed_value(cell) for column, cell in zip(added, next(new_rows), strict=True)}
                body = line.rstrip(BLANK)
                more = json_text(cells, ascii_only=encoding == "cp1252")[1:]
                line = f"{body[:-1]}, {more}{line[len(body) :]}"
            file.write(line.encode(encoding, "replace"))

    def _lines(self) -> Iterator[tuple[str, dict[str, Cell]]]:
        """Each line with its line end, and the cells of its object; none for an empty line."""
        max_rows, values = max_lines(self.path), 0
        with self._text.open(self.path, newline="\n") as text:
            for number, line in enumerate(iter(lambda: text.readline(MAX_TEXT_CHARACTERS), ""), 1):
                values += line.count(",")
                if number > max_rows or values > VALUES_PER_LINE * max_rows:
                    raise DataError("too_many_rows", path=str(self.path), max_rows=max_rows)
                body = line.strip(BLANK)
                yield line, _parse_line(self.path, number, body) if body else {}

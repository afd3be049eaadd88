"""JSON Lines: every line stays, and the new names are inserted before its last brace."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.gzip_files import open_data_file
from muslin.data.tables.cells import AddedColumn, Row, to_cell, typed_value
from muslin.data.tables.table_file import Repairs, TableFile, TableRow
from muslin.data.tables.text_encoding import find_encoding
from muslin.errors import DataError


def _parse_line(path: Path, number: int, line: str) -> dict[str, Any]:
    """The object in line `number` of the file at `path`; DataError where it is not one."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError("json_line", path=str(path), line=number, reason=str(error)) from error
    if not isinstance(value, dict):
        raise DataError("json_line_not_object", path=str(path), line=number)
    return value


class JsonLines(TableFile):
    """One JSON object per line; the columns are the names in any of them, in order of appearance."""

    suffixes: tuple[str, ...] = (".jsonl", ".ndjson", ".json")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or a line is not an object."""
        super().__init__(path)
        encoding = find_encoding(path)
        encoding.check(path)
        self._encoding, self._digest = str(encoding.name), encoding.digest
        self._notes = encoding.notes
        names: dict[str, None] = {}
        for _, value in self._lines():
            names |= dict.fromkeys(value or ())
        self.columns = tuple(names)

    def _read_rows(self, names: Sequence[str], repairs: Repairs) -> Iterator[TableRow]:
        for number, (_, value) in enumerate(self._lines(), 1):
            if value:
                yield TableRow(number, tuple(to_cell(value.get(name)) for name in names))
            else:
                repairs.add("empty_rows_skipped", number)

    def write_with_columns(self, file: BinaryIO, added: Sequence[AddedColumn], rows: Iterable[Row]) -> None:
        new_rows = iter(rows)
        for line, value in self._lines():
            if not value:
                file.write(line)
                continue
            cells = {column.name: typed_value(cell) for column, cell in zip(added, next(new_rows), strict=True)}
            more = json.dumps(cells, ensure_ascii=self._encoding != "utf-8")[1:]
            body = line.rstrip()
            file.write(body[:-1] + b", ")
            file.write(more.encode("utf-8", "surrogateescape") + line[len(body) :])

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
        """Each line with its line end, and its object; None for an empty line."""
        with open_data_file(self.path) as file:
            for number, line in enumerate(file, 1):
                text = line.decode(self._encoding).removeprefix("\ufeff" if number == 1 else "")
                yield line, _parse_line(self.path, number, text) if text.strip() else None

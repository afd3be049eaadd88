"""JSON Lines: every line is kept, and the new names are written in before its last brace."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from muslin.data.tables.cells import Column, Row
from muslin.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonLines:
    """One JSON object a line; the columns are the names that any of them has, in order of appearance."""

    suffixes: tuple[str, ...] = (".jsonl", ".ndjson", ".json")

    def __init__(self, path: Path) -> None:
        """Raises DataError where the file cannot be read or a line is no object."""
        self.path = path
        self.notes: tuple[str, ...] = ()
        digest = hashlib.sha256()
        names: dict[str, None] = {}
        try:
            for line, found in self._lines():
                digest.update(line)
                names |= dict.fromkeys(found or ())
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
        self.columns = tuple(names)
        self.digest = digest.hexdigest()

    def values(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for _, found in self._lines():
            if found is not None:
                yield tuple(_text(found.get(name)) for name in names)

    def write(self, file: BinaryIO, added: Sequence[Column], rows: Iterable[Row]) -> None:
        answers = iter(rows)
        for line, found in self._lines():
            if found is None:
                file.write(line)
                continue
            cells = {
                column.name: round(value, 4) if isinstance(value, float) else value or None
                for column, value in zip(added, next(answers), strict=True)
            }
            more = json.dumps(cells, ensure_ascii=False)[1:]
            body = line.rstrip()
            file.write(body[:-1] + (b", " if found else b""))
            file.write(more.encode("utf-8", "surrogateescape") + line[len(body) :])

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
        """Every line with its line end, and its object; None for an empty line."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if not text.strip():
                    yield line, None
                    continue
                try:
                    found = json.loads(text)
                except ValueError as error:
                    raise DataError(f"{self.path}: line {number:,} is no JSON ({error}). Mend it.") from error
                if not isinstance(found, dict):
                    raise DataError(
                        f"{self.path}: line {number:,} is no JSON object. Write one object a line."
                    )
                yield line, found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else str(value)

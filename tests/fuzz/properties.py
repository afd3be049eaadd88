"""What holds for every valid table, folder and archive: nothing is lost in silence, and writing loses nothing."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import strategies
from actions import check_messages
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from muslin.data.tables import AddedColumn, open_table

SKIPPED_ROWS = ("empty_rows_skipped",)
"""Codes of messages that count rows which are not read."""

ADDED_NAME, ADDED_CELL = "~name~", "~tag~"
"""Header and cells of a column that is added; no table has them."""


def check_text_table(table: strategies.WrittenTable, folder: Path) -> None:
    """Every row is read or counted; written with a column and without it again, the bytes are the same."""
    path = folder / f"table{table.suffix}"
    path.write_bytes(table.content)
    check_rows(path, table)
    written = write_with_tag(path, len(table.rows))
    check_rows(written, table, tagged=True)
    mark = next((mark for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff") if table.content.startswith(mark)), b"")
    assert written.read_bytes().startswith(mark)


def check_rows(path: Path, table: strategies.WrittenTable, tagged: bool = False) -> None:
    """The file at `path` is read as `table`, with the added column if it is `tagged`."""
    opened = open_table(path)
    assert opened.columns == (*table.columns, *([ADDED_NAME] if tagged else []))
    rows = list(opened.rows(opened.columns))
    check_messages(opened.fixes)
    assert [row.cells for row in rows] == [(*cells, *([ADDED_CELL] if tagged else [])) for _, cells in table.rows]
    header_lines = int(tagged and not table.has_header)  # a header is written where there was none
    assert [row.number - header_lines for row in rows] == [number for number, _ in table.rows]
    assert sum(fix.params["count"] for fix in opened.fixes if fix.code in SKIPPED_ROWS) == table.skipped


def write_with_tag(path: Path, rows: int) -> Path:
    """The table at `path` with the added column, in a file beside it."""
    written = path.with_name(f"written{path.suffix}")
    file = io.BytesIO()
    open_table(path).write_with_columns(file, [AddedColumn(ADDED_NAME)], [(ADDED_CELL,)] * rows)
    written.write_bytes(file.getvalue())
    return written


PROPERTIES: dict[str, tuple[SearchStrategy[Any], Callable[[Any, Path], None]]] = {
    "text-tables": (strategies.text_tables(), check_text_table)
}
"""Per name the strategy, and what is checked of a value with an empty folder for its files."""


def check(name: str, number: int, examples: int, folder: Path, before: Callable[[], None] = lambda: None) -> None:
    """Check a property with so many examples, which follow from the number; `before` is called before each.

    The files of the last example stay in `folder`: where it fails, those of the simplest that fails.
    """
    strategy, check_value = PROPERTIES[name]

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def property_(value: Any) -> None:
        before()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        check_value(value, folder)

    property_()

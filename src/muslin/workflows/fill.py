"""Tags in the shop's own column: the export again, all else as it was, with accepted tags in one column; `muslin fill`.

The tags come from what `tag` wrote for the same rows, maybe corrected by a person since then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muslin.catalogue.fill_result import FillResult
from muslin.catalogue.product_rows import IDENTIFYING_COLUMNS
from muslin.data.tables import Cell, TableFile, open_table
from muslin.data.tables.cells import format_cell
from muslin.data.tables.columns import check_column
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.identifier_names import joined_words
from muslin.data.tables.new_columns import added_columns, asked_names
from muslin.data.tables.workbook import Workbook
from muslin.errors import DataError
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output

OF_TAG = ("tag", "parent", "category_id")
"""How the columns of a tag end that can be filled in; beside each is one that ends in `decision`."""

ACCEPTED = "accept"


@dataclass(frozen=True)
class FillOptions:
    """What is filled in.

    Attributes:
        column: of the shop's table.
        source: the column of the tagged table that has the new cells, by its name or by the one that it has where the
            shop's table has no such column.
        with_parents: write the names above a tag before it: `Clothing > Tops > T-Shirts`.
        all_tags: also those that are not accepted.
        replace: also where the shop has a value of its own.
    """

    column: str
    source: str = "tag"
    with_parents: bool = False
    all_tags: bool = False
    replace: bool = False


def fill(data: str | Path, tagged: str | Path, out: str | Path | Output, options: FillOptions) -> FillResult:
    """Write the table `data` to `out` with tags in one of its columns. All other bytes stay; of XLSX all other cells.

    Args:
        data: CSV, TSV or XLSX, such as a shop's export.
        tagged: the same rows in the same order with the columns that `muslin.workflows.tag.tag` adds, in any kind of
            table.

    Raises:
        DataError: a table cannot be read, a column is not there, or the rows are others.
        StorageError: the output exists or is an input, or the place cannot be written.
    """
    check_local(data, tagged)
    output = Output.of(out)
    check_output(output, data=(data, tagged))
    table, source = open_table(Path(data), output.path), open_table(Path(tagged))
    if not isinstance(table, Delimited | Workbook):
        raise DataError("fill_kind_unsupported", path=str(data))
    table.check_copy()
    check_column(table.path, options.column, table.columns)
    result = FillResult(output.path, options.column)
    with output.open() as file:
        table.write_with_cells(file, options.column, _cells(table, source, options, result))
    return result


def _cells(table: TableFile, tagged: TableFile, options: FillOptions, result: FillResult) -> Iterator[str | None]:
    """Per row the new cell; None where it stays."""
    names = _columns_of_tag(table, tagged, options)
    compared = _compared(table, tagged)
    _check_counts(table, tagged)
    both = [name for name, _ in compared]
    rows = zip(_rows(table, [options.column, *both]), _rows(tagged, [*names, *both]), strict=True)
    for (number, (own, *cells)), (tagged_number, found) in rows:
        new, same = found[: len(names)], found[len(names) :]
        _check_same(table, tagged, compared, (number, cells), (tagged_number, same))
        result.rows += 1
        yield _cell(own, new, options, result, {"path": str(tagged.path), "row": tagged_number})


def _columns_of_tag(table: TableFile, tagged: TableFile, options: FillOptions) -> list[str]:
    """The columns with the new cells, and if they are asked for, with the names above them and with the decisions.

    `tag` gives a column another name where the shop's table has one of that name. Where tags were added twice, the
    names above them and the decisions are the first ones behind the new cells.

    Raises:
        DataError: one is not there, or is a column of the shop's own table.
    """
    added, place_of = added_columns(tagged, table), tagged.columns.index

    def column(asked: Sequence[str], place: int = 0) -> str:
        found = [name for name in added if not set(asked_names(name)).isdisjoint(asked)]
        name = min(found, key=lambda name: (place_of(name) < place, place_of(name)), default=asked[-1])
        check_column(tagged.path, name, tagged.columns)
        if not found:
            raise DataError("fill_column_own", path=str(tagged.path), column=name, name=str(table.path))
        return name

    source = options.source if options.source in added else column([options.source])
    check_column(tagged.path, source, tagged.columns)
    prefixes = []
    for name in asked_names(source):
        ending = next((ending for ending in OF_TAG if name.endswith(ending)), name)
        prefixes.append(name.removesuffix(ending))
    wanted = [*(["parent"] if options.with_parents else []), *([] if options.all_tags else ["decision"])]
    return [source, *(column([prefix + name for prefix in prefixes], place_of(source)) for name in wanted)]


def _check_counts(table: TableFile, tagged: TableFile) -> None:
    counts = [sum(1 for _ in each.rows(each.columns[:1])) for each in (table, tagged)]
    if counts[0] != counts[1]:
        raise DataError(
            "fill_rows_missing", path=str(tagged.path), name=str(table.path), count=counts[0], other=counts[1]
        )


def _cell(
    own: Cell, new: Sequence[Cell], options: FillOptions, result: FillResult, where: Mapping[str, Any]
) -> str | None:
    if not new[0]:
        return None
    if not options.all_tags and new[-1] != ACCEPTED:
        result.not_accepted += 1
        return None
    tag = _text(new[0], new[1] if options.with_parents else "", where)
    if own == tag:
        result.equal += 1
        return None
    if own and not options.replace:
        result.kept += 1
        return None
    result.filled += 1
    return tag


def _text(cell: Cell, above: Cell, where: Mapping[str, Any]) -> str:
    """As shop systems write it: several values with a comma and a space between them, each below the names above it."""
    tags, parents = format_cell(cell).split("|"), format_cell(above).split("|")
    if not above:
        parents = [""] * len(tags)
    if len(tags) != len(parents):
        raise DataError("fill_parents_differ", **where, count=len(tags), other=len(parents))
    pairs = [(parent, tag) for parent, tag in zip(parents, tags, strict=True) if tag]  # some tags can have no id
    return ", ".join(f"{parent} > {tag}" if parent else tag for parent, tag in pairs)


def _compared(table: TableFile, tagged: TableFile) -> list[tuple[str, bool]]:
    """The columns that both tables have, and whether their cells are identifiers of products or articles."""
    both = [name for name in dict.fromkeys(table.columns) if name and name in tagged.columns]
    if not both:
        raise DataError("fill_columns_differ", path=str(tagged.path), name=str(table.path))
    return [(name, joined_words(name) in (*IDENTIFYING_COLUMNS, "id")) for name in both]


def _rows(table: TableFile, names: Sequence[str]) -> Iterator[tuple[int, Sequence[Cell]]]:
    """Each column once, also where it is named twice."""
    distinct = list(dict.fromkeys(names))
    places = [distinct.index(name) for name in names]
    for number, cells in table.rows(distinct):
        yield number, [cells[place] for place in places]


def _check_same(
    table: TableFile,
    tagged: TableFile,
    compared: Sequence[tuple[str, bool]],
    row: tuple[int, Sequence[Cell]],
    other: tuple[int, Sequence[Cell]],
) -> None:
    """Refuse rows with other identifiers, or where neither has one, with other cells in any column of both tables."""
    cells = list(zip(compared, row[1], other[1], strict=True))
    by_identifier = any(expected or found for (_, is_identifier), expected, found in cells if is_identifier)
    for (name, is_identifier), expected, found in cells:
        if expected != found and (is_identifier or not by_identifier):
            where = {"path": str(tagged.path), "row": other[0], "column": name, "name": str(table.path)}
            said = {"found": format_cell(found), "own_row": row[0], "expected": format_cell(expected)}
            raise DataError("fill_rows_differ", **where, **said)

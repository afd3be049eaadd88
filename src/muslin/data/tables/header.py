"""Where a table begins: its delimiter, its header, and the names of its columns."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

from muslin.data.photos import IMAGE_SUFFIXES
from muslin.messages import Message, examples

DELIMITERS = ",;\t|"

HEADER_ROWS = 20
"""Rows that are not empty among which the header is searched."""

SAMPLE_ROWS = 100
"""Rows from which the delimiter and the header are guessed."""

CODE = re.compile(r"(?=.*\d)(?!\d{1,4}$).+", re.DOTALL)
"""A cell with digits, which can be an article's number, but no plain one such as 2024, which can be a column's name."""

MIN_RECURRENCES = 2
"""Rows below that share a word with a row of data; a header shares one by accident at most."""

DECIMAL = re.compile(r"[+-]?(\d{1,18}([.,]\d*)?|[.,]\d+)([eE][+-]?\d{1,3})?")

MIN_LIST_LENGTH = 16
"""Numbers in a cell that are an image."""

LIST_SEPARATORS = re.compile(r"[\s,;\[\]()]+")


class Header(NamedTuple):
    """The header of a table.

    Attributes:
        names: of the columns; empty where one has none.
        row: index of the header among the rows; None where there is none, and columns are called `column 1`, ….
        body: index of the first row of data.
    """

    names: tuple[str, ...]
    row: int | None
    body: int

    @property
    def first(self) -> int:
        """Index of the table's first row, the header or else one of data."""
        return self.body if self.row is None else self.row

    def fixes(self, numbers: Sequence[int]) -> tuple[Message, ...]:
        """What is said of the rows above the table, whose numbers are given, and of a header that is missing."""
        above = (Message("rows_above_header_skipped", **examples(numbers)),) if numbers else ()
        return above if self.row is not None else (*above, Message("columns_numbered", **examples(self.names)))


def find_header(rows: Sequence[Sequence[str]]) -> Header:
    """The header among the first rows of a table, whose cells have no spaces around them.

    It is the first row with as many filled cells as the rows below it typically have: titles and comments have fewer.
    A row that looks like data is no header; then the row above is, if more than half of its cells are filled.
    """
    filled = [(i, count) for i, row in enumerate(rows) if (count := sum(map(bool, row)))]
    for k, (i, count) in enumerate(filled[:HEADER_ROWS]):
        below = [rows[j] for j, _ in filled[k + 1 :]]
        typical = median_low([n for _, n in filled[k + 1 :]] or [count])
        if k and not below:
            break
        if _is_comment(rows[i]) or (_is_title(rows[i], typical, below) and not _name_photos(rows[i], below)):
            continue
        if not _looks_like_data(rows[i], below):
            return Header(_column_names(rows[i], below), i, i + 1)
        above, n = filled[k - 1] if k else (i, 0)
        # numpy.savetxt writes the header as a comment
        if 2 * n > typical and n > 1 and (n == count or not _is_comment(rows[above])):
            cells = [rows[above][0].lstrip("# "), *rows[above][1:]]
            return Header(_column_names(cells, [rows[i], *below]), above, i)
        widths = Counter(map(len, (rows[i], *below)))
        width = max(widths, key=lambda width: (widths[width], width))
        return Header(tuple(f"column {n}" for n in range(1, width + 1)), None, i)
    index = max(filled, key=lambda row: row[1], default=(0, 0))[0]
    return Header(_column_names(rows[index], ()), index, index + 1) if filled else Header((), None, 0)


def _column_names(cells: Sequence[str], below: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The cells of the header; a first column without a name, which numbers the rows, is called `column 1`."""
    return ("column 1", *cells) if _has_row_names(cells, below) else (cells[0] or "column 1", *cells[1:])


def _has_row_names(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether rows begin with their number and the header lacks a cell for it, as R writes them."""
    longer = [row for row in below if len(row) == len(cells) + 1]
    is_filled = any(row[-1] for row in longer)  # otherwise there is a delimiter at the end
    return is_filled and [row[0] for row in longer] == [str(n) for n in range(1, len(below) + 1)]


def _is_title(row: Sequence[str], typical: int, below: Sequence[Sequence[str]]) -> bool:
    """Whether a row has fewer filled cells than the rows below it typically have, or a single cell."""
    count = sum(map(bool, row))
    is_index = not row[0] and count == len(row) - 1 > 0  # pandas gives its index no name
    if len(row) == 1 < median_low(list(map(len, below or [row]))):
        return True  # also where many cells below are empty
    return count < typical - (is_index or _has_row_names(row, below))


def _is_comment(row: Sequence[str]) -> bool:
    return bool(re.match(r"#(?=[#!\s])", row[0])) or (row[0].startswith("#") and not any(row[1:]))


def _looks_like_data(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a cell names a photo or differs from all below in digits alone, all are numbers, or words recur below."""
    if any(map(names_photo, row)) or any(map(is_number_list, row)) or _is_numeric(row):
        return True
    others = [other for other in below if list(other) != list(row)]  # equal ones are headers of joined tables
    for i in (i for i, cell in enumerate(row) if CODE.fullmatch(cell)):
        mask = _mask(row[i])
        are_alike = (_mask(other[i]) == mask for other in others if i < len(other) and other[i])
        if next(are_alike, False) and all(are_alike):  # lazily, because mostly the first one differs
            return True
    words = {(i, cell) for i, cell in enumerate(row) if cell and not is_number(cell)}
    return sum(not words.isdisjoint(enumerate(other)) for other in others) >= MIN_RECURRENCES


def _mask(cell: str) -> str:
    return re.sub(r"\d+", "9", cell)


def _name_photos(row: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the row names a photo in a column in which another one does."""
    return any(names_photo(a) and names_photo(b) for other in below for a, b in zip(row, other, strict=False))


def _is_numeric(row: Sequence[str]) -> bool:
    """Whether all cells are numbers, or half of many such as pixels, that do not count up as names such as 0, 1 do."""
    numbers = [float(cell.replace(",", ".")) for cell in row if is_number(cell)]
    counts_up = numbers == [numbers[0] + i for i in range(len(numbers))] if numbers else True
    are_names = counts_up and (len(numbers) > 2 or numbers[:1] <= [1])
    return not are_names and (len(numbers) == sum(map(bool, row)) or 2 * len(numbers) >= max(8, len(row)))


def is_number(cell: str) -> bool:
    """Whether the text is a number, also with a comma for the decimal point."""
    return bool(DECIMAL.fullmatch(cell))


def split_list(cell: str) -> list[str]:
    """The texts of the numbers in a cell such as `0 12 255` or `[0, 12, 255]`."""
    return list(filter(None, LIST_SEPARATORS.split(cell)))


def is_number_list(cell: str) -> bool:
    """Whether a cell holds at least MIN_LIST_LENGTH numbers, as the pixels of an image."""
    items = split_list(cell) if len(cell) >= 2 * MIN_LIST_LENGTH - 1 else []
    return len(items) >= MIN_LIST_LENGTH and all(map(is_number, items))


def names_photo(cell: str) -> bool:
    """Whether a cell is a URL or the file name of a photo."""
    return "://" in cell or os.path.splitext(cell.rstrip("'\") ]"))[1].lower() in IMAGE_SUFFIXES


def find_delimiter(lines: Sequence[str], delimiters: str) -> str:
    """The delimiter that gives most rows the same number of cells, from the earliest row on."""
    scores: dict[str, tuple[float, ...]] = {}
    for delimiter in delimiters:
        sizes = [len(row) for row in parse_lines(lines, delimiter) if any(map(str.strip, row))]
        counts = Counter(sizes)
        size = max(counts, key=lambda size: (counts[size], size), default=1)
        start = max((i for i, n in enumerate(sizes[:HEADER_ROWS], 1) if n == 1), default=0)
        is_other = delimiter != ","  # where both fit, the comma is the decimal point
        share = round(counts[size] / max(len(sizes), 1), 1)
        several = (size > 1, -start, share, size, is_other)
        scores[delimiter] = several if size > 1 else (0, sum(sizes) - len(sizes))
    return max(delimiters, key=lambda delimiter: scores[delimiter])


def parse_lines(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """The rows in lines of text, up to one that is not valid."""
    try:
        yield from csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    except csv.Error:
        return

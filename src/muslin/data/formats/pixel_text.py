"""The rows of a text file of pixels as arrays.

`DigitParser` reads whole numbers, and numpy decimal ones; all others are read cell by cell, which is slower, but can
name the row.
"""

import codecs
import csv
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.data.expansion import max_cells
from muslin.data.formats.digit_parser import NEWLINE, DigitParser
from muslin.data.formats.pixel_layout import PixelLayout
from muslin.data.gzip_files import is_gzipped, open_data_file
from muslin.data.tables import TableFile
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.header import split_list
from muslin.errors import DataError

BLOCK_BYTES = 2**17
"""Small enough for the arrays of DigitParser to stay in the processor's cache."""

MAX_LINE_BYTES = 2**24

Pixels = NDArray[np.uint8] | NDArray[np.float32]
Cells = list[Sequence[bytes]]


class PixelRows(NamedTuple):
    """Rows of a table.

    Attributes:
        numbers: what a person sees beside them: the line of a text file, the row of a sheet.
        pixels: (rows, pixels), uint8, or float32 where a value is not written as a whole number; from 0 to 255.
        others: per row the cells of `PixelLayout.others`, in UTF-8 or, in a text file, in its encoding.
        blank: number of blank lines between them.
    """

    numbers: list[int]
    pixels: Pixels
    others: Cells
    blank: int = 0


def read_text(table: Delimited, first_line: int, layout: PixelLayout) -> Iterator[PixelRows]:
    """The rows of `table` from the line `first_line` on, in blocks.

    Raises:
        DataError: a row has another number of pixels, or a value that is not from 0 to 255; or a gzip file has more
            of them than its size allows.
    """
    if rows := _read_digits(table, first_line, layout):
        yield rows
        return
    _check_cells(table, layout)
    for number, lines, text in _blocks(table, first_line, BLOCK_BYTES):
        rows = _parse_decimals(table, text, number, layout)
        rows = rows or parse_cells(table, _split_lines(table, text, number, layout), layout)
        yield rows._replace(blank=lines - len(rows.numbers))


def parse_cells(table: TableFile, rows: Iterable[tuple[int, Sequence[str]]], layout: PixelLayout) -> PixelRows:
    """The rows of cells in any spelling, float32; an error names the row.

    Raises:
        DataError: a row has another number of pixels, or a value that is not from 0 to 255.
    """
    expected, path = int(np.prod(layout.shape)), str(table.path)
    values, numbers, others = [np.empty((0, expected), dtype=np.float32)], list[int](), Cells()
    for number, cells in rows:
        fits = len(cells) == layout.width
        pixels = [cells[i] for i in layout.pixels] if fits else []
        pixels = split_list(pixels[0]) if layout.is_list and fits else pixels
        if len(pixels) != expected:
            found = len(pixels) if fits else len(cells) - layout.width + len(layout.pixels)
            raise DataError("pixel_count", path=path, row=number, found=found, expected=expected)
        row = _parse_numbers([cell.replace(",", ".") for cell in pixels] if layout.decimal == "," else pixels)
        if not ((row >= 0) & (row <= 255)).all():
            wrong = int(np.argmin((row >= 0) & (row <= 255)))
            place = {"row": number, "column": layout.column_label(wrong), "found": pixels[wrong].strip()[:40]}
            if np.isnan(row[wrong]):
                raise DataError("pixel_value", path=path, **place)
            raise DataError("pixel_range", path=path, **place, low=float(np.nanmin(row)), high=float(np.nanmax(row)))
        values.append(row[None])
        numbers.append(number)
        others.append([cells[i].encode("utf-8", "surrogateescape") for i in layout.others])
    return PixelRows(numbers, np.concatenate(values), others)


def arrow_pixels(columns: Sequence[Any], layout: PixelLayout) -> Pixels | None:
    """Pixels (rows, pixels) of pyarrow's columns of numbers, or of one column of lists of them; None where they are
    texts, or a value is missing or outside of 0–255.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    count, rows = int(np.prod(layout.shape)), len(columns[0])
    if layout.is_list:
        (values,) = columns
        if not pa.types.is_nested(values.type) or pc.count_distinct(pc.list_value_length(values)).as_py() != 1:
            return None
        while pa.types.is_nested(values.type):
            values = values.flatten()
        columns = [values]
    arrays = [column.to_numpy(zero_copy_only=False) for column in columns]
    if any(array.dtype.kind not in "buif" for array in arrays) or sum(map(len, arrays)) != rows * count:
        return None
    pixels: NDArray[Any] = np.stack(arrays, axis=-1).reshape(rows, count)
    if not ((pixels >= 0) & (pixels <= 255)).all():
        return None
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)


def _read_digits(table: Delimited, first_line: int, layout: PixelLayout) -> PixelRows | None:
    """All rows, uint8, where all pixels are plain digits, else None."""
    count = int(np.prod(layout.shape))
    before, last = min(layout.pixels), max(layout.pixels)
    if last - before + 1 != len(layout.pixels):
        return None
    longest_row = 4 * count + 4_096
    block_bytes = max(BLOCK_BYTES, longest_row)
    parser = DigitParser(count, " " if layout.is_list else table.delimiter, block_bytes + longest_row)
    pixels = np.empty((0, count), dtype=np.uint8)
    numbers, others, all_lines = list[int](), Cells(), 0
    places = [i if i < before else i - len(layout.pixels) for i in layout.others]
    for number, lines, text in _blocks(table, first_line, block_bytes):
        split = _split_digits(text, table.delimiter.encode(), before, layout.width - last - 1, places)
        block = split and parser.parse(split[0])
        if split is None or block is None:
            return None
        # The system grows the array in place, and no other view of it exists: the pixels are never there twice.
        start = len(pixels)
        pixels.resize((start + len(block), count), refcheck=False)
        pixels[start:] = block
        others += split[1]
        numbers += range(number, number + lines) if lines == len(block) else _line_numbers(text, number)
        all_lines += lines
    return PixelRows(numbers, _in_order(pixels, layout), others, all_lines - len(pixels))


def _check_cells(table: Delimited, layout: PixelLayout) -> None:
    """Counts the lines of a gzip file, which takes a hundredth of the time to parse them."""
    if not is_gzipped(table.path):
        return
    count = int(np.prod(layout.shape))
    max_rows, rows = max_cells(table.path.stat().st_size) // count, 0
    for _, lines, _ in _blocks(table, 1, BLOCK_BYTES):
        rows += lines
    if rows > max_rows:
        raise DataError("too_many_cells", path=str(table.path), max_rows=max_rows, columns=count)


def _parse_decimals(table: Delimited, text: bytes, first_line: int, layout: PixelLayout) -> PixelRows | None:
    """Lines of decimal numbers from 0 to 255, float32; None for any other text."""
    count = int(np.prod(layout.shape))
    before, last = min(layout.pixels), max(layout.pixels)
    if last - before + 1 != len(layout.pixels) or layout.decimal != ".":
        return None
    places = [i if i < before else i - len(layout.pixels) for i in layout.others]
    split = _split_digits(text, table.delimiter.encode(), before, layout.width - last - 1, places)
    separator = b" " if layout.is_list else table.delimiter.encode()
    if split is None or split[0].translate(None, b"0123456789.eE+-\n" + separator):
        return None
    rows = split[0].split(b"\n")[:-1]
    if separator * 2 in split[0] or any(row.count(separator) != count - 1 for row in rows):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns where a text is no number, or too large
        try:
            values = np.fromstring(separator.join(rows).decode(), dtype=np.float32, sep=separator.decode())
        except (ValueError, Warning):
            return None
    if len(values) != len(rows) * count or not ((values >= 0) & (values <= 255)).all():
        return None
    pixels = _in_order(values.reshape(len(rows), count), layout)
    return PixelRows(_line_numbers(text, first_line), pixels, split[1])


def _in_order(values: NDArray[Any], layout: PixelLayout) -> Pixels:
    """The columns of values, which are those of a range of columns, in the order of the pixels."""
    order = np.array(layout.pixels) - min(layout.pixels)
    return values[:, order] if (np.diff(order) != 1).any() else values


def _split_digits(
    text: bytes, delimiter: bytes, before: int, after: int, others: Sequence[int]
) -> tuple[bytes, Cells] | None:
    """The pixels alone of lines, with the delimiters between them, and other cells; None where a cell needs a parser.

    Args:
        before, after: numbers of columns before and after the pixels.
        others: indices of the other cells to return, among those before and after.
    """
    found: Cells = []
    rows = []
    for line in text.split(b"\n"):
        if not line:
            continue
        cells = line.split(delimiter, before)
        row = cells.pop()
        if after:
            row, *behind = row.rsplit(delimiter, after)
            cells += behind
        if len(cells) != before + after:
            return None
        rows.append(row)
        chosen = [cells[i] for i in others]
        for place, cell in enumerate(chosen):
            if b'"' in cell:
                if cell.count(b'"') != 2 or not cell.startswith(b'"') or not cell.endswith(b'"'):
                    return None
                chosen[place] = cell[1:-1]
        found.append(chosen)
    rows.append(b"")
    return b"\n".join(rows), found


def _split_lines(
    table: Delimited, text: bytes, first_line: int, layout: PixelLayout
) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line with its number, but not of blank ones and of the header, which joined files repeat."""
    for number, line in enumerate(text.decode("utf-8", "surrogateescape").split("\n"), first_line):
        if not line.strip(f" {table.delimiter}"):
            continue
        try:
            rows = csv.reader([line], delimiter=table.delimiter, skipinitialspace=table.delimiter != " ")
            cells = line.split() if table.delimiter == " " else next(rows)
        except csv.Error:  # a cell of more than 131,072 characters
            cells = line.split(table.delimiter)
        while len(cells) > layout.width and not cells[-1].strip():
            cells.pop()
        if tuple(map(str.strip, cells)) == layout.names:
            continue
        if len(cells) != layout.width and line.count('"') % 2:
            raise DataError("open_quote", path=str(table.path), row=number)
        yield number, cells


def _blocks(table: Delimited, first_line: int, block_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of lines from `first_line` on: the first's number, how many, and the text, each line with a LF.

    The text is UTF-8 where the file is UTF-16, else as in the file.
    """
    number, ended, line_end = 1, False, b""
    with open_data_file(table.path) as raw:
        is_utf_16 = table.encoding.startswith("utf-16")
        file: Any = codecs.EncodedFile(raw, "utf-8", table.encoding) if is_utf_16 else raw
        rest: bytes = file.read(8).removeprefix(codecs.BOM_UTF8)
        while not ended:
            block = file.read(block_bytes)
            ended = not block
            line_end = line_end or (b"\r" if b"\r" in rest + block and b"\n" not in rest + block else b"\n")
            text = rest + (block or line_end)
            end = text.rfind(line_end) + 1
            text, rest = text[:end], text[end:]
            if len(rest) > MAX_LINE_BYTES:
                raise DataError("line_too_long", path=str(table.path), row=number, max_bytes=MAX_LINE_BYTES)
            if b"\r" in text:
                text = text.replace(b"\r\n", b"\n").replace(line_end, b"\n")
            lines = int(np.count_nonzero(np.frombuffer(text, np.uint8) == NEWLINE))  # faster than bytes.count
            if number < first_line:
                above = min(lines, first_line - number)
                text = text.split(b"\n", above)[-1]
                number, lines = number + above, lines - above
            if text and not (ended and text == b"\n"):  # the file's last line had its end already
                yield number, lines, text
            number += lines


def _line_numbers(text: bytes, first_line: int) -> list[int]:
    return [number for number, line in enumerate(text.split(b"\n"), first_line) if line]


def _parse_numbers(cells: Sequence[str]) -> NDArray[np.float32]:
    """NaN for a cell that is no number, infinite for one beyond float32."""
    try:
        with np.errstate(over="ignore"):
            return np.array(list(map(float, cells)), dtype=np.float32)
    except ValueError:
        return np.concatenate([_parse_numbers([cell]) if len(cells) > 1 else [np.nan] for cell in cells])

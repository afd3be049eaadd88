"""Pixels in a CSV, such as Kaggle's fashion-mnist_train.csv: one image a row, one column a pixel, 0–255.

With or without a header; the label first, last or absent, a number or a name; delimiter `,`, `;`, tab or `|`; LF,
CRLF or CR line ends; a byte order mark; gzip. Pixels are row by row from the top left, and the three channels of an
RGB pixel are adjacent.
"""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import Dataset, PixelImages, Target, encode_labels
from muslin.data.formats.digit_parser import NEWLINE, DigitParser
from muslin.data.formats.read_options import ReadOptions
from muslin.data.gzip_files import open_data_file, read_head
from muslin.errors import DataError, unknown
from muslin.messages import Log, Message, no_log
from muslin.storage.atomic import atomic_file

DELIMITERS = ",;\t|"
LABEL_NAMES = frozenset({"label", "labels", "class", "target", "category", "y"})
ID_NAMES = frozenset({"", "id", "index", "unnamed: 0", "image", "image_id", "imageid", "filename"})
"""Columns that are neither pixels nor the label; pandas writes its index as the first or the fourth."""

NUMBERED = re.compile(r"(?P<stem>\D*?)_?(?P<first>\d+)(?:\D(?P<second>\d+))?")
"""The name of a pixel's column: pixel1, pixel0, px_17, 1x28, or a number alone."""

HEAD_BYTES = 2**20
BLOCK_BYTES = 2**17
"""Small enough for the parser's arrays to stay in the processor's cache."""

MAX_LINE_BYTES = 2**24
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
VALUES = {str(value): value for value in range(256)}


@dataclass(frozen=True)
class _Layout:
    """The layout of a file, found from its beginning.

    Attributes:
        delimiter: one of DELIMITERS.
        line_end: LF or CR; a CR before LF is dropped while reading.
        names: the columns' names, or None where there is no header.
        first_line: the number, from 1, of the first line of data.
        before, pixels, after: numbers of columns before the pixels, of pixels, and after them.
        label: index of the label's column, or None.
        order: indices that sort the pixels' columns by their numbers; None where they are sorted.
        shape: (height, width, channels) of an image.
        fixes: what was guessed or changed.
    """

    delimiter: str
    line_end: bytes
    names: tuple[str, ...] | None
    first_line: int
    before: int
    pixels: int
    after: int
    label: int | None
    order: tuple[int, ...] | None
    shape: tuple[int, int, int]
    fixes: tuple[Message, ...]


def detect(path: Path) -> str | None:
    """Why `path` is pixels in a CSV, or None: a header of numbered columns, or a first line of numbers."""
    if path.is_dir():
        return None
    start = _read_start(path)
    if b"\0" in start[:1024] or not (lines := _lines_with_numbers(start, _line_end(start))):
        return None
    cells = _split_line(lines[0][1], max(DELIMITERS, key=lines[0][1].count))
    if len(cells) < 4:
        return None
    if not _is_header(cells):
        return f"pixels in a CSV, {len(cells)} columns without a header"
    if 2 * sum(map(_is_pixel_name, cells)) < len(cells):
        return None
    return f"pixels in a CSV, with the header {cells[0]}, {cells[1]}, … {cells[-1]}"


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The images and labels of one file; without targets where it has no label column.

    Pixels are uint8 (count, height, width, channels). The target has the name of its column, `label` where columns
    have no names.

    Raises:
        DataError: the file is empty or has only a header, the label or the shape is ambiguous, or a row is
            ragged or holds a value that is not a whole number from 0 to 255; the error names the row.
    """
    layout = _find_layout(path, options)
    pixels, cells, blank = _read_pixel_rows(path, layout)
    if not len(pixels):
        raise DataError("no_rows", path=str(path))
    if layout.order is not None:
        pixels = pixels[:, list(layout.order)]
    fixes = list(layout.fixes)
    if blank:
        fixes.append(Message("blank_lines", n=blank))
    targets: tuple[Target, ...] = ()
    labels: dict[str, NDArray[np.int64]] = {}
    if layout.label is not None:
        name = layout.names[layout.label] if layout.names else "label"
        target, labels[name] = _read_target(path, name, cells, fixes)
        targets = (target,)
    return Dataset(
        name=path.name.removesuffix(".gz").removesuffix(".csv"),
        format="pixels-csv",
        images=PixelImages(pixels.reshape(len(pixels), *layout.shape)),
        targets=targets,
        labels=labels,
        ids=np.array([str(i) for i in range(len(pixels))], dtype=object),
        fixes=tuple(fixes),
    )


def write(pixels: NDArray[np.uint8], labels: Sequence[str] | None, path: Path) -> None:
    """Write images in Kaggle's form: the header label, pixel1, …, then a row per image.

    Args:
        pixels: uint8 (count, height, width, channels).
        labels: (count,), quoted where necessary; None: no column of labels.

    Raises:
        StorageError: the place cannot be written.
    """
    import pyarrow
    from pyarrow import csv as arrow_csv

    rows = pixels.reshape(len(pixels), -1)
    names = [f"pixel{i + 1}" for i in range(rows.shape[1])]
    options = arrow_csv.WriteOptions(include_header=False, quoting_style="needed")
    cells = pyarrow.array([label or None for label in labels or ()], pyarrow.string())
    # as numbers where they are numbers, because texts are written in quotes
    if all(label.isdecimal() and str(int(label)) == label for label in set(labels or ()) if label):
        cells = cells.cast(pyarrow.int64())
    with atomic_file(path) as file:
        file.write(",".join([*([] if labels is None else ["label"]), *names]).encode() + b"\n")
        for start in range(0, len(rows), 2000):
            columns = dict(zip(names, np.ascontiguousarray(rows[start : start + 2000].T), strict=True))
            if labels is not None:
                columns = {"label": cells[start : start + 2000], **columns}
            arrow_csv.write_csv(pyarrow.table(columns), file, options)


def _find_layout(path: Path, options: ReadOptions) -> _Layout:
    start = _read_start(path)
    line_end = _line_end(start)
    lines = _lines_with_numbers(start, line_end)
    if not lines:
        with open_data_file(path) as file:
            file.read(1)  # raises for a damaged gzip file, from which nothing could be read either
        raise DataError("file_empty", path=str(path))
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("utf_16", path=str(path))
    if b"\0" in start[:1024]:
        raise DataError("binary_file", path=str(path))
    first_line, first = lines[0]
    delimiter = max(DELIMITERS, key=first.count)
    cells = _split_line(first, delimiter)
    fixes: list[Message] = []
    names = tuple(name.strip() for name in cells) if _is_header(cells) else None
    order = None
    if names is None:
        side = _label_side_without_header(path, lines, delimiter, options, fixes)
        before, after = int(side == "first"), int(side == "last")
        label = {"first": 0, "last": len(cells) - 1}.get(side)
    else:
        label = _label_column(path, names, options)
        before, after = _columns_around_pixels(path, names, label, options, fixes)
        order = _numeric_order(names[before : len(names) - after])
        fixes += [Message("columns_sorted")] if order else []
    pixels, first_line = len(cells) - before - after, first_line + (names is not None)
    shape = _find_shape(path, pixels, options)
    return _Layout(delimiter, line_end, names, first_line, before, pixels, after, label, order, shape, tuple(fixes))


def _columns_around_pixels(
    path: Path, names: tuple[str, ...], label: int | None, options: ReadOptions, fixes: list[Message]
) -> tuple[int, int]:
    """Numbers of columns before and after the pixels."""
    is_pixel = [i != label and _is_pixel_name(name) for i, name in enumerate(names)]
    if not any(is_pixel):  # uninformative names: all but the label are pixels
        is_pixel = [i != label for i in range(len(names))]
    before, after = is_pixel.index(True), is_pixel[::-1].index(True)
    if not all(is_pixel[before : len(names) - after]):
        column = names[is_pixel.index(False, before)]
        raise DataError("column_between_pixels", path=str(path), column=column)
    if label is not None and names[label].casefold() not in LABEL_NAMES and not options.targets:
        fixes.append(Message("label_column_guessed", column=names[label]))
    if skipped := [name for i, name in enumerate(names) if i != label and not is_pixel[i]]:
        fixes.append(Message("columns_skipped", columns=skipped))
    return before, after


def _read_start(path: Path) -> bytes:
    """The first lines of the file, complete; more than HEAD_BYTES only where the first line is longer than that."""
    for size in (HEAD_BYTES, MAX_LINE_BYTES):
        start = read_head(path, size)
        if len(start) < size:
            return start
        if end := start.rfind(_line_end(start)) + 1:
            return start[:end]
    return start


def _line_end(start: bytes) -> bytes:
    return b"\r" if b"\n" not in start and b"\r" in start else b"\n"


def _lines_with_numbers(start: bytes, line_end: bytes) -> list[tuple[int, str]]:
    """The lines of the beginning that are not blank, with their numbers from 1."""
    lines = start.removeprefix(BYTE_ORDER_MARK).split(line_end)
    texts = (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
    return [(number, text) for number, text in enumerate(texts, start=1) if text.strip()]


def _split_line(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a cell of more than 131,072 characters, which is no pixel
        return line.split(delimiter)


def _is_header(cells: list[str]) -> bool:
    """Whether cells are names: fewer than half are numbers, or the numbers count up from 0 or 1."""
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\s*-?\d{1,9}\s*", cell)]
    counting = [list(range(first, first + len(numbers))) for first in (0, 1)]
    return 2 * len(numbers) < len(cells) or (len(numbers) >= 16 and numbers in counting)


def _label_column(path: Path, names: tuple[str, ...], options: ReadOptions) -> int | None:
    if options.targets:
        target = _single_target(path, options)
        if target in names:
            return names.index(target)
        if target in ("first", "last"):
            return 0 if target == "first" else len(names) - 1
        # not all 784 pixels
        choices = [name for name in names if not _is_pixel_name(name)] or [names[0], names[-1]]
        raise DataError("column_unknown", path=str(path), **unknown(target, choices))
    likely = [i for i, name in enumerate(names) if name.casefold() in LABEL_NAMES]
    if not likely and any(map(_is_pixel_name, names)):
        others = [i for i, name in enumerate(names) if not _is_pixel_name(name)]
        likely = [i for i in others if names[i].casefold() not in ID_NAMES]
    if len(likely) > 1:
        raise DataError("label_ambiguous", path=str(path), choices=[names[i] for i in likely])
    return likely[0] if likely else None


def _single_target(path: Path, options: ReadOptions) -> str:
    if len(options.targets) > 1:
        raise DataError("format_option_unused", path=str(path), format="pixels-csv", options=["target"])
    return options.targets[0]


def _is_pixel_name(name: str) -> bool:
    return bool(NUMBERED.fullmatch(name)) and name.casefold() not in ID_NAMES


def _numeric_order(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Indices that put columns such as pixel1, pixel10, pixel2 in numeric order; None where they are in it."""
    matches = [NUMBERED.fullmatch(name) for name in names]
    keys = [(int(m["first"]), int(m["second"] or 0)) for m in matches if m]
    if len(set(keys)) < len(names):
        return None
    order = tuple(sorted(range(len(names)), key=keys.__getitem__))
    return None if order == tuple(range(len(names))) else order


def _label_side_without_header(
    path: Path, lines: list[tuple[int, str]], delimiter: str, options: ReadOptions, fixes: list[Message]
) -> str:
    """The side of the label: `first`, `last` or `none`."""
    if options.targets:
        target = _single_target(path, options)
        if target not in ("first", "last"):
            raise DataError("no_header", path=str(path), target=target)
        return target
    rows = [_split_line(line, delimiter) for _, line in lines]
    rows = [row for row in rows if len(row) == len(rows[0])]
    if not _has_label(path, len(rows[0]), rows, options):
        fixes.append(Message("no_label_guessed"))
        return "none"
    side = _guess_label_side(rows)
    fixes.append(Message("label_side_guessed", side=side, columns=len(rows[0])))
    return side


def _has_label(path: Path, columns: int, rows: list[list[str]], options: ReadOptions) -> bool:
    if options.shape is not None:
        return columns == math.prod(options.shape) + 1  # _find_shape refuses any number but this and one less
    named = any(not _is_number(row[place]) for row in rows for place in (0, -1) if row[place].strip())
    with_label, without = infer_shape(columns - 1), infer_shape(columns)
    if not with_label and not without:
        raise DataError("shape_unknown", path=str(path), found=columns)
    if with_label and without and not named:
        choices = [_shape_label(without), _shape_label(with_label)]
        raise DataError("label_or_pixel", path=str(path), found=columns, choices=choices)
    return with_label is not None


def _guess_label_side(rows: list[list[str]]) -> str:
    """`first` or `last`: the side with names, or with numbers less like pixels; `first` in doubt.

    A corner of images often has one value in all of them, else a few values far apart, close to the pixel beside it.
    Labels vary, have no gaps between their numbers, and are unrelated to any pixel.
    """
    for place, side in ((0, "first"), (-1, "last")):
        if any(row[place].strip() and not _is_number(row[place]) for row in rows):
            return side
    ends = [[row[place] for place in (0, 1, -2, -1)] for row in rows]
    values = np.array([list(map(int, cells)) for cells in ends if all(map(_is_number, cells))], dtype=float)
    if not len(values):
        return "first"
    first, beside_first, beside_last, last = values.T
    density = [len(np.unique(end)) / (np.ptp(end) + 1) for end in (first, last)]
    constant = [np.ptp(end) == 0 for end in (first, last)]
    if constant[0] != constant[1]:
        return "last" if constant[0] else "first"
    if max(density) > 0.9 and min(density) < 0.5:
        return "first" if density[0] > density[1] else "last"
    return "last" if abs(last - beside_last).mean() > abs(first - beside_first).mean() else "first"


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*-?\d{1,18}\s*", cell))


def _find_shape(path: Path, pixels: int, options: ReadOptions) -> tuple[int, int, int]:
    shape = options.shape or infer_shape(pixels)
    if shape is None:
        raise DataError("shape_unknown", path=str(path), found=pixels)
    expected, text = math.prod(shape), _shape_label(shape)
    if expected != pixels:
        raise DataError("shape_differs", path=str(path), found=pixels, expected=expected, shape=text)
    return shape


def infer_shape(pixels: int) -> tuple[int, int, int] | None:
    """The shape of a square image of that many values: gray or RGB, never both, because 3 is no square."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and side * side * channels == pixels:
            return side, side, channels
    return None


def _shape_label(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


Rows = tuple[NDArray[np.uint8], list[bytes]]
"""Pixels uint8 (rows, pixels), and the label's cell of each row."""


def _read_pixel_rows(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], list[bytes], int]:
    """uint8 (rows, pixels), the label's cell of each row, and the number of blank lines."""
    longest_row = 4 * layout.pixels + 4_096
    block_bytes = max(BLOCK_BYTES, longest_row)
    parser = DigitParser(layout.pixels, layout.delimiter, block_bytes + longest_row)
    pixels = np.empty((0, layout.pixels), dtype=np.uint8)
    labels: list[bytes] = []
    blank = 0
    with open_data_file(path) as file:
        for first_line, lines, text in _blocks_of_lines(path, file, layout, block_bytes):
            # What the parser of plain digits refuses is read cell by cell, which is slow but can name the row.
            rows, cells = _parse_digits(parser, text, layout) or _parse_cells(path, first_line, text, layout)
            # The system grows the array in place, and no other view of it exists: the pixels are never there twice.
            count = len(pixels)
            pixels.resize((count + len(rows), layout.pixels), refcheck=False)
            pixels[count:] = rows
            labels += cells
            blank += lines - len(rows)
    return pixels, labels, blank


def _blocks_of_lines(path: Path, file: BinaryIO, layout: _Layout, block_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of the lines of data: the first line's number, the number of lines, and the text, each line with a LF."""
    number, rest = 1, file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    ended = False
    while not ended:
        block = file.read(block_bytes)
        ended = not block
        text = rest + (block or layout.line_end)
        end = text.rfind(layout.line_end) + 1
        text, rest = text[:end], text[end:]
        if len(rest) > MAX_LINE_BYTES:
            raise DataError("line_too_long", path=str(path), row=number, max_bytes=MAX_LINE_BYTES)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(layout.line_end, b"\n")
        lines = int(np.count_nonzero(np.frombuffer(text, np.uint8) == NEWLINE))  # faster than bytes.count
        if number < layout.first_line:
            header = min(lines, layout.first_line - number)
            text = text.split(b"\n", header)[-1]
            number, lines = number + header, lines - header
        if text and not (ended and text == b"\n"):  # the file's last line had its end already
            yield number, lines, text
        number += lines


def _parse_digits(parser: DigitParser, text: bytes, layout: _Layout) -> Rows | None:
    """The rows of lines whose pixels are plain digits; None where anything else occurs."""
    delimiter = layout.delimiter.encode()
    labels, rows = [], []
    for line in text.split(b"\n"):
        if not line:
            continue
        cells = line.split(delimiter, layout.before)
        row = cells.pop()
        if layout.after:
            row, *behind = row.rsplit(delimiter, layout.after)
            cells += behind
        if len(cells) != layout.before + layout.after:
            return None
        rows.append(row)
        if layout.label is not None:
            label = cells[layout.label if layout.label < layout.before else layout.label - layout.pixels]
            if b'"' in label:
                if label.count(b'"') != 2 or not label.startswith(b'"') or not label.endswith(b'"'):
                    return None
                label = label[1:-1]
            labels.append(label)
    rows.append(b"")
    pixels = parser.parse(b"\n".join(rows))
    return None if pixels is None else (pixels, labels)


def _parse_cells(path: Path, first_line: int, text: bytes, layout: _Layout) -> Rows:
    """The rows of lines in any spelling of CSV; an error names the row."""
    labels, rows = [], []
    for number, line in enumerate(text.split(b"\n"), start=first_line):
        if not line.strip():
            continue
        try:
            cells = _split_line(line.decode(), layout.delimiter)
        except UnicodeDecodeError as error:
            position = error.start + 1
            raise DataError("row_not_utf_8", path=str(path), row=number, position=position) from error
        found = len(cells) - layout.before - layout.after
        if found != layout.pixels and line.count(b'"') % 2:
            raise DataError("open_quote", path=str(path), row=number)
        if found != layout.pixels:
            raise DataError("pixel_count", path=str(path), row=number, found=found, expected=layout.pixels)
        pixels = cells[layout.before : layout.before + layout.pixels]
        try:
            rows.append(bytes(map(VALUES.__getitem__, pixels)))
        except KeyError:
            rows.append(bytes(_parse_pixel(path, number, i, cell, layout) for i, cell in enumerate(pixels)))
        if layout.label is not None:
            labels.append(cells[layout.label].encode())
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), layout.pixels), labels


def _parse_pixel(path: Path, number: int, pixel: int, cell: str, layout: _Layout) -> int:
    text = cell.strip()
    if re.fullmatch(r"[+-]?\d{1,20}", text) and 0 <= int(text) <= 255:
        return int(text)
    place = layout.before + pixel
    column = layout.names[place] if layout.names else str(place + 1)
    raise DataError("pixel_value", path=str(path), row=number, column=column, found=text[:40])


def _read_target(path: Path, name: str, cells: list[bytes], fixes: list[Message]) -> tuple[Target, NDArray[np.int64]]:
    texts: dict[bytes, str] = {}
    for cell in set(cells):
        try:
            texts[cell] = cell.decode().strip()
        except UnicodeDecodeError as error:
            raise DataError("label_not_utf_8", path=str(path), label=repr(cell)) from error
    given = set(filter(None, texts.values()))
    if all(re.fullmatch(r"-?\d+", text) for text in given):
        texts = {cell: str(int(text)) if text else "" for cell, text in texts.items()}  # 07 is 7
    elif all(re.fullmatch(r"-?\d+(\.0)?", text) for text in given):
        texts = {cell: text.removesuffix(".0") for cell, text in texts.items()}
        fixes.append(Message("decimal_labels"))
    values = np.array([texts[cell] for cell in cells])
    if missing := int((values == "").sum()):
        fixes.append(Message("rows_without_label", n=missing))
    if not given:
        raise DataError("label_column_empty", path=str(path), column=name)
    return encode_labels(name, values)

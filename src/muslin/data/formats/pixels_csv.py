"""Pixels in a CSV, as Kaggle's fashion-mnist_train.csv: one image a row, one column a pixel, 0–255.

With or without a header; the label first, last or absent, a number or a name; `,`, `;`, tab or `|` between;
LF, CRLF or CR at the end of a line; a byte order mark; gzip. Pixels go row by row from the top left, and the
three channels of an RGB pixel stand together.
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
from muslin.data.formats.digits import NEWLINE, DigitParser, digits_of
from muslin.data.formats.read_options import Log, ReadOptions, no_log
from muslin.data.gzip_files import open_data_file, read_head
from muslin.errors import DataError, nearest
from muslin.storage.atomic import atomic_file

DELIMITERS = ",;\t|"
LABEL_NAMES = frozenset({"label", "labels", "class", "target", "category", "y"})
ID_NAMES = frozenset({"", "id", "index", "unnamed: 0", "image", "image_id", "imageid", "filename"})
"""Columns that are neither pixels nor the label; pandas writes its index as the first or the fourth."""

NUMBERED = re.compile(r"(?P<stem>\D*?)_?(?P<first>\d+)(?:\D(?P<second>\d+))?")
"""A pixel's column: pixel1, pixel0, px_17, 1x28, or a number alone."""

HEAD_BYTES = 2**20
BLOCK_BYTES = 2**17
"""Small enough for the parser's arrays to stay in the processor's cache."""

MOST_LINE_BYTES = 2**24
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
VALUES = {str(value): value for value in range(256)}


@dataclass(frozen=True)
class _Layout:
    """How the file is laid out, found from its beginning.

    Attributes:
        delimiter: one of DELIMITERS.
        line_end: LF or CR; a CR before LF is dropped while reading.
        names: the columns' names, or None where there is no header.
        first_line: the number, from 1, of the first line of data.
        before: how many columns stand before the pixels.
        pixels: how many columns are pixels.
        after: how many columns stand behind the pixels.
        label: the label's place among the columns, or None.
        order: the places, among the pixels' columns, of the pixels in order; None where they are in order.
        repairs: sentences.
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
    fixes: tuple[str, ...]

    @property
    def columns(self) -> int:
        return self.before + self.pixels + self.after


def detect(path: Path) -> str | None:
    """Why `path` is pixels in a CSV, or None: a header of numbered columns, or a first line of numbers."""
    if path.is_dir():
        return None
    start = _start(path)
    if b"\0" in start[:1024] or not (lines := _lines(start, _line_end(start))):
        return None
    cells = _cells(lines[0][1], _delimiter(lines[0][1]))
    if len(cells) < 4:
        return None
    if _is_header(cells):
        if 2 * sum(map(_is_pixel, cells)) < len(cells):
            return None
        return f"pixels in a CSV, with the header {cells[0]}, {cells[1]}, … {cells[-1]}"
    return f"pixels in a CSV, {len(cells)} columns without a header"


def read(path: Path, options: ReadOptions, log: Log = no_log) -> Dataset:
    """The images and labels of one file; without targets where it has no label column.

    Pixels are uint8 (count, height, width, channels); the target is called as its column,
    `label` where columns have no names.

    Raises:
        DataError: the file is empty or has only a header, the label or the shape cannot be told, or a row is
            ragged or holds a value that is not a whole number from 0 to 255; the message names the row.
    """
    layout = _layout(path, options)
    pixels, cells, blank = _read(path, layout)
    if not len(pixels):
        raise DataError(f"{path}: has a header, but no rows. Check that the file was not cut off.")
    if layout.order is not None:
        pixels = pixels[:, list(layout.order)]
    fixes = list(layout.fixes)
    if blank:
        fixes.append(f"blank lines passed over: {blank:,}")
    targets: tuple[Target, ...] = ()
    labels: dict[str, NDArray[np.int64]] = {}
    if layout.label is not None:
        name = layout.names[layout.label] if layout.names else "label"
        target, labels[target.name] = _target(path, name, cells, fixes)
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
    """Write images as Kaggle does: the header label, pixel1, …, then a row an image; whole or not at all.

    Args:
        pixels: uint8 (count, height, width, channels).
        labels: (count,); a comma or a quote in a label is quoted. None: no column of labels.

    Raises:
        StorageError: the place cannot be written.
    """
    rows = pixels.reshape(len(pixels), -1)
    texts = {label: _quoted(label).encode() + b"," for label in set(labels or ())}
    with atomic_file(path) as file:
        names = [*([] if labels is None else ["label"]), *(f"pixel{i + 1}" for i in range(rows.shape[1]))]
        file.write(",".join(names).encode() + b"\n")
        step = max(1, BLOCK_BYTES // rows.shape[1])
        for start in range(0, len(rows), step):
            block = digits_of(rows[start : start + step])
            if labels is None:
                file.write(b"".join(digits + b"\n" for digits in block))
                continue
            lines = zip(labels[start : start + step], block, strict=True)
            file.write(b"".join(texts[label] + digits + b"\n" for label, digits in lines))


def _quoted(label: str) -> str:
    return '"' + label.replace('"', '""') + '"' if re.search(r'[",\r\n]|^\s|\s$', label) else label


# ── The layout ───────────────────────────────────────────────────────────────────────────────────────────


def _layout(path: Path, options: ReadOptions) -> _Layout:
    start = _start(path)
    if not start.strip():
        with open_data_file(path) as file:
            file.read(1)  # raises for a damaged gzip file, of which nothing could be read either
        raise DataError(f"{path}: is empty. Fetch or export it again.")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path}: is UTF-16 text. Save it as UTF-8.")
    if b"\0" in start[:1024]:
        raise DataError(f"{path}: is no text (byte {start.index(0):,} is 0), so it is not pixels in a CSV.")
    line_end = _line_end(start)
    lines = _lines(start, line_end)
    first_line, first = lines[0]
    delimiter = _delimiter(first)
    cells = _cells(first, delimiter)
    if not _is_header(cells):
        before, pixels, after, guesses = _without_header(path, lines, delimiter, options)
        label = 0 if before else pixels if after else None
        shape = _shape(path, pixels, options)
        return _Layout(
            delimiter, line_end, None, first_line, before, pixels, after, label, None, shape, guesses
        )
    names = tuple(name.strip() for name in cells)
    label = _label_column(path, names, options)
    is_pixel = [i != label and _is_pixel(name) for i, name in enumerate(names)]
    if not any(is_pixel):  # names that say nothing: all but the label are pixels
        is_pixel = [i != label for i in range(len(names))]
    before, after = is_pixel.index(True), is_pixel[::-1].index(True)
    pixels = len(names) - before - after
    if sum(is_pixel) != pixels:
        odd = next(name for i, name in enumerate(names[before:]) if not is_pixel[before + i])
        raise DataError(f"{path}: the column {odd!r} stands between the pixels. Move it to the end.")
    fixes: tuple[str, ...] = ()
    if label is not None and names[label].casefold() not in LABEL_NAMES and options.target is None:
        fixes += (f"the column {names[label]!r} taken as the label, since it is no pixel",)
    idle = [repr(name) for i, name in enumerate(names) if i != label and not is_pixel[i]]
    if idle:
        fixes += (f"neither pixels nor the label, so passed over: {', '.join(idle)}",)
    order = _order(names[before : before + pixels])
    if order is not None:
        fixes += ("columns put in the order of their numbers",)
    shape = _shape(path, pixels, options)
    return _Layout(
        delimiter, line_end, names, first_line + 1, before, pixels, after, label, order, shape, fixes
    )


def _start(path: Path) -> bytes:
    """The first lines of the file, whole; more than HEAD_BYTES only where the first line is longer than that."""
    for size in (HEAD_BYTES, MOST_LINE_BYTES):
        start = read_head(path, size)
        if len(start) < size:
            return start
        if cut := start.rfind(_line_end(start)) + 1:
            return start[:cut]
    return start


def _line_end(start: bytes) -> bytes:
    return b"\r" if b"\n" not in start and b"\r" in start else b"\n"


def _lines(start: bytes, line_end: bytes) -> list[tuple[int, str]]:
    """The lines of the beginning, with their numbers from 1, without blank ones."""
    lines = start.removeprefix(BYTE_ORDER_MARK).split(line_end)
    texts = (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
    return [(number, text) for number, text in enumerate(texts, start=1) if text.strip()]


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a cell of more than 131,072 characters: no pixel, whoever asks will find out
        return line.split(delimiter)


def _is_header(cells: list[str]) -> bool:
    """Names rather than values: fewer than half are numbers, or the numbers count up from 0 or 1."""
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\s*-?\d{1,9}\s*", cell)]
    if 2 * len(numbers) < len(cells):
        return True
    return len(numbers) >= 16 and numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1)))


def _label_column(path: Path, names: tuple[str, ...], options: ReadOptions) -> int | None:
    if options.target is not None:
        if options.target in names:
            return names.index(options.target)
        if options.target in ("first", "last"):
            return 0 if options.target == "first" else len(names) - 1
        raise DataError(f"{path}: has no column {options.target!r}. {nearest(options.target, _some(names))}")
    likely = [i for i, name in enumerate(names) if name.casefold() in LABEL_NAMES]
    if not likely and any(map(_is_pixel, names)):
        likely = [
            i for i, name in enumerate(names) if not _is_pixel(name) and name.casefold() not in ID_NAMES
        ]
    if len(likely) > 1:
        which = " or ".join(repr(names[i]) for i in likely)
        raise DataError(f"{path}: the label could be {which}. Say which with --target.")
    return likely[0] if likely else None


def _is_pixel(name: str) -> bool:
    return bool(NUMBERED.fullmatch(name)) and name.casefold() not in ID_NAMES


def _some(names: tuple[str, ...]) -> list[str]:
    """The names worth listing in a message: not 784 pixels."""
    return [name for name in names if not _is_pixel(name)] or [names[0], names[-1]]


def _order(names: tuple[str, ...]) -> tuple[int, ...] | None:
    """How to put columns such as pixel1, pixel10, pixel2 in numeric order; None where they are in it."""
    matches = [NUMBERED.fullmatch(name) for name in names]
    keys = [(int(m["first"]), int(m["second"] or 0)) for m in matches if m]
    if len(set(keys)) < len(names):
        return None
    order = tuple(sorted(range(len(names)), key=keys.__getitem__))
    return None if order == tuple(range(len(names))) else order


def _without_header(
    path: Path, lines: list[tuple[int, str]], delimiter: str, options: ReadOptions
) -> tuple[int, int, int, tuple[str, ...]]:
    """How many columns stand before the pixels, are pixels, and stand behind them; and what was guessed."""
    rows = [cells for _, line in lines if len(cells := _cells(line, delimiter)) > 1]
    count = len(_cells(lines[0][1], delimiter))
    rows = [cells for cells in rows if len(cells) == count]
    if options.target not in (None, "first", "last"):
        raise DataError(
            f"{path}: has no header, so no column is called {options.target!r}. Say first or last."
        )
    if options.target is None:
        has_label = _has_label(path, count, rows, options)
        if not has_label:
            return (
                0,
                count,
                0,
                ("no header, and as many columns as pixels: no labels",),
            )
    side = options.target or _label_side(rows)
    guess = () if options.target else (f"no header: the {side} of {count} columns taken as the label",)
    return (1, count - 1, 0, guess) if side == "first" else (0, count - 1, 1, guess)


def _has_label(path: Path, count: int, rows: list[list[str]], options: ReadOptions) -> bool:
    if options.shape is not None:
        wanted = math.prod(options.shape)
        if count not in (wanted, wanted + 1):
            raise DataError(
                f"{path}: has {count} columns, but an image of {_text(options.shape)} has {wanted} pixels "
                f"(and a label). Check the shape."
            )
        return count == wanted + 1
    named = any(cells[place].strip() and not _is_number(cells[place]) for cells in rows for place in (0, -1))
    with_label, without = infer_shape(count - 1), infer_shape(count)
    if with_label and (named or not without):
        return True
    if without and not with_label:
        return False
    if with_label and without:
        raise DataError(
            f"{path}: {count} columns could be {_text(without)} pixels, or {_text(with_label)} and a label. "
            "Say which with --shape."
        )
    raise DataError(
        f"{path}: {count} columns fit neither a square gray nor a square RGB image. "
        "Say height, width and channels with --shape."
    )


def _label_side(rows: list[list[str]]) -> str:
    """`first` or `last`: where the names are, or the numbers that are less like pixels; `first` if none can tell.

    A corner of images is often one value in all of them, else it takes a few values far apart and is like the
    pixel beside it. Labels differ, have no gaps between their numbers, and are not like any pixel.
    """
    for place, side in ((0, "first"), (-1, "last")):
        if any(cells[place].strip() and not _is_number(cells[place]) for cells in rows):
            return side
    ends = [[cells[place] for place in (0, 1, -2, -1)] for cells in rows]
    values = np.array(
        [[int(cell) for cell in cells] for cells in ends if all(map(_is_number, cells))], dtype=float
    )
    if not len(values):
        return "first"
    first, beside_first, beside_last, last = values.T
    without_gaps = [len(np.unique(end)) / (np.ptp(end) + 1) for end in (first, last)]
    constant = [np.ptp(end) == 0 for end in (first, last)]
    if constant[0] != constant[1]:
        return "last" if constant[0] else "first"
    if max(without_gaps) > 0.9 and min(without_gaps) < 0.5:
        return "first" if without_gaps[0] > without_gaps[1] else "last"
    return "last" if abs(last - beside_last).mean() > abs(first - beside_first).mean() else "first"


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*-?\d{1,18}\s*", cell))


def _shape(path: Path, pixels: int, options: ReadOptions) -> tuple[int, int, int]:
    if options.shape is not None:
        if math.prod(options.shape) != pixels:
            raise DataError(
                f"{path}: a row has {pixels} pixel values, but an image of {_text(options.shape)} has "
                f"{math.prod(options.shape)}. Check the shape."
            )
        return options.shape
    if shape := infer_shape(pixels):
        return shape
    raise DataError(
        f"{path}: {pixels} pixel values are neither a square gray nor a square RGB image. "
        "Say height, width and channels with --shape."
    )


def infer_shape(pixels: int) -> tuple[int, int, int] | None:
    """The square image of so many values: gray or RGB, never both, since 3 is no square."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and side * side * channels == pixels:
            return side, side, channels
    return None


def _text(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


# ── The rows ─────────────────────────────────────────────────────────────────────────────────────────────


def _read(path: Path, layout: _Layout) -> tuple[NDArray[np.uint8], list[bytes], int]:
    """uint8 (rows, pixels), the label's cell of each row, and how many lines were blank.

    Every block of lines is tried with the parser that takes digits only: first whole, then without what stands
    around the pixels (labels may be names). One that is still refused (quotes, spaces, an error) is read cell by
    cell, which is slow but can name the row.
    """
    longest_row = 4 * layout.columns + 4_096
    block_bytes = max(BLOCK_BYTES, longest_row)
    whole = DigitParser(layout.columns, layout.delimiter, block_bytes + longest_row)
    inner = DigitParser(layout.pixels, layout.delimiter, block_bytes + longest_row)
    pixels = np.empty((0, layout.pixels), dtype=np.uint8)
    labels: list[bytes] = []
    blank = 0
    with open_data_file(path) as file:
        for first_line, lines, text in _blocks(path, file, layout, block_bytes):
            rows, cells = (
                _whole(whole, text, layout)
                or _without_surroundings(inner, text, layout)
                or _carefully(path, first_line, text, layout)
            )
            # Grown in place by the system, and with no other view of it: the pixels exist once, not twice.
            count = len(pixels)
            pixels.resize((count + len(rows), layout.pixels), refcheck=False)
            pixels[count:] = rows
            labels += cells
            blank += lines - len(rows)
    return pixels, labels, blank


def _blocks(
    path: Path, file: BinaryIO, layout: _Layout, block_bytes: int
) -> Iterator[tuple[int, int, bytes]]:
    """The lines of data, some at a time: the first one's number, how many there are, and all, each with a LF."""
    number, rest = 1, file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    ended = False
    while not ended:
        block = file.read(block_bytes)
        ended = not block
        text = rest + (block or layout.line_end)
        cut = text.rfind(layout.line_end) + 1
        text, rest = text[:cut], text[cut:]
        if len(rest) > MOST_LINE_BYTES:
            raise DataError(f"{path}: line {number:,} does not end within {MOST_LINE_BYTES:,} bytes.")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(layout.line_end, b"\n")
        lines = int(
            np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == NEWLINE)
        )  # faster than bytes.count
        if number < layout.first_line:
            header = min(lines, layout.first_line - number)
            text = text.split(b"\n", header)[-1]
            number, lines = number + header, lines - header
        if text and not (ended and text == b"\n"):  # the file's last line had its end already
            yield number, lines, text
        number += lines


def _whole(parser: DigitParser, text: bytes, layout: _Layout) -> tuple[NDArray[np.uint8], list[bytes]] | None:
    """The pixels and the labels of lines in which all cells are digits; None where a line is anything else."""
    rows = parser.parse(text)
    if rows is None:
        return None
    labels = [] if layout.label is None else [b"%d" % label for label in rows[:, layout.label].tolist()]
    return rows[:, layout.before : layout.before + layout.pixels], labels


def _without_surroundings(
    parser: DigitParser, text: bytes, layout: _Layout
) -> tuple[NDArray[np.uint8], list[bytes]] | None:
    """The pixels and the labels of lines in which the pixels are digits; None where they are anything else."""
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
            # Its place among the cells around the pixels.
            label = cells[layout.label if layout.label < layout.before else layout.label - layout.pixels]
            if b'"' in label:
                if label.count(b'"') != 2 or not label.startswith(b'"') or not label.endswith(b'"'):
                    return None
                label = label[1:-1]
            labels.append(label)
    rows.append(b"")
    pixels = parser.parse(b"\n".join(rows))
    return None if pixels is None else (pixels, labels)


def _carefully(
    path: Path, first_line: int, text: bytes, layout: _Layout
) -> tuple[NDArray[np.uint8], list[bytes]]:
    """The pixels and the labels of lines in any spelling of CSV.

    Raises:
        DataError: a row cannot be read; the message names it.
    """
    labels, rows = [], []
    for number, line in enumerate(text.split(b"\n"), start=first_line):
        if not line.strip():
            continue
        cells = _row(path, number, line, layout)
        pixels = cells[layout.before : layout.before + layout.pixels]
        try:
            rows.append(bytes(map(VALUES.__getitem__, pixels)))
        except KeyError:
            rows.append(bytes(_value(path, number, i, cell, layout) for i, cell in enumerate(pixels)))
        if layout.label is not None:
            labels.append(cells[layout.label].encode())
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), layout.pixels), labels


def _row(path: Path, number: int, line: bytes, layout: _Layout) -> list[str]:
    try:
        cells = _cells(line.decode(), layout.delimiter)
    except UnicodeDecodeError as error:
        raise DataError(
            f"row {number} of {path} is not UTF-8 at its byte {error.start + 1}. Save the file as UTF-8."
        ) from error
    if len(cells) != layout.columns and line.count(b'"') % 2:
        raise DataError(
            f"row {number} of {path} has a quote that does not end on its line. Write each image in one line."
        )
    if len(cells) != layout.columns:
        found = len(cells) - layout.before - layout.after
        raise DataError("pixel_count", path=str(path), row=number, found=found, expected=layout.pixels)
    return cells


def _value(path: Path, number: int, pixel: int, cell: str, layout: _Layout) -> int:
    place = layout.before + pixel
    column = repr(layout.names[place]) if layout.names else str(place + 1)
    where = f"row {number} of {path}, column {column}"
    if not cell.strip():
        raise DataError(f"{where}: no value. Every pixel needs a whole number from 0 to 255.")
    if not re.fullmatch(r"\s*[+-]?\d+\s*", cell):
        raise DataError(
            f"{where}: {cell[:40]!r} is not a whole number. Pixels are whole numbers from 0 to 255."
        )
    if len(cell.strip()) > 20 or not 0 <= int(cell) <= 255:
        raise DataError(
            f"{where}: {cell.strip()[:40]} is outside 0–255. Correct it, or scale all pixels to 0–255."
        )
    return int(cell)


# ── The labels ───────────────────────────────────────────────────────────────────────────────────────────


def _target(path: Path, name: str, cells: list[bytes], fixes: list[str]) -> tuple[Target, NDArray[np.int64]]:
    texts: dict[bytes, str] = {}
    for cell in set(cells):
        try:
            texts[cell] = cell.decode().strip()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: the label {cell!r} is not UTF-8. Save the file as UTF-8.") from error
    known = {text for text in texts.values() if text}
    if all(re.fullmatch(r"-?\d+", text) for text in known):
        texts = {cell: str(int(text)) if text else "" for cell, text in texts.items()}  # 07 is 7
    if any(text.endswith(".0") for text in known) and all(
        re.fullmatch(r"-?\d+(\.0)?", text) for text in known
    ):
        texts = {cell: text.removesuffix(".0") for cell, text in texts.items()}
        fixes.append("labels such as 3.0 taken as 3")
    values = np.array([texts[cell] for cell in cells])
    if missing := int((values == "").sum()):
        fixes.append(f"rows without a label, which is taken as unknown: {missing:,}")
    if not known:
        raise DataError(f"{path}: the column {name!r} is empty in every row. Name another one with --target.")
    return encode_labels(name, values)

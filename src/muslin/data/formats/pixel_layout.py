"""Which columns of a table of pixels are pixels, labels and the part, found from its first rows.

Pixels are row by row from the top left, and the three channels of an RGB pixel are adjacent: one column for each value,
or all values of an image in one cell, as in FER2013.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from muslin.data.formats import label_columns
from muslin.data.formats.read_options import ReadOptions
from muslin.data.part_names import SPLIT_NAMES, are_parts, is_part_name
from muslin.data.tables.header import is_number, is_number_list, names_photo, split_list
from muslin.errors import DataError, unknown
from muslin.messages import Message

LABEL_NAMES = label_columns.LABEL_NAMES | {"y"}
ID_NAMES = frozenset({"", "column 1", "id", "index", "unnamed: 0", "__index_level_0__", "image", "image_id", "imageid",
                      "filename"})  # fmt: skip
"""Columns that are neither pixels nor the label; pandas writes its index without a name."""

NUMBERED = re.compile(r"(?P<stem>\D*?)_?(?P<first>\d+)(?:\D(?P<second>\d+))?")
"""The name of a pixel's column: pixel1, pixel0, px_17, 1x28, or a number alone."""


@dataclass(frozen=True)
class PixelLayout:
    """The layout of a table.

    Attributes:
        width: number of columns.
        names: the columns' names; their numbers from 1 where there is no header.
        pixels: indices of the columns of pixels, in the order of the pixels; one, where an image is in one cell.
        is_list: whether an image is in one cell.
        decimal: `.` or `,`, the decimal point.
        labels: indices of the columns of labels.
        part: index of the column of parts, or None.
        shape: (height, width, channels) of an image.
        fixes: what was guessed or changed.
    """

    width: int
    names: tuple[str, ...]
    pixels: tuple[int, ...]
    is_list: bool
    decimal: str
    labels: tuple[int, ...]
    part: int | None
    shape: tuple[int, int, int]
    fixes: tuple[Message, ...]

    @property
    def others(self) -> tuple[int, ...]:
        """Indices of the columns of labels and of the part."""
        return self.labels if self.part is None else (*self.labels, self.part)

    def column_label(self, pixel: int) -> str:
        """The name of the column with this value of an image."""
        return self.names[self.pixels[0 if self.is_list else pixel]]

    def target_name(self, column: int) -> str:
        """The name of the column, `label` where columns have none."""
        return "label" if self.names[column] == str(column + 1) else self.names[column]


def has_pixels(names: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> bool:
    """Whether these are images: a cell with a list of numbers, or mostly numbers below numbered names; no photos."""
    cells = rows[0] if rows else ()
    if any(map(names_photo, cells)):
        return False
    if any(map(is_number_list, cells)):
        return True
    are_numbered = names is None or 2 * sum(map(_is_pixel_name, names)) >= len(names)
    return len(names or cells) >= 4 and are_numbered and 2 * sum(map(is_number, cells)) >= len(cells)


def find_layout(
    path: Path, names: tuple[str, ...] | None, rows: Sequence[Sequence[str]], options: ReadOptions
) -> PixelLayout:
    """The layout of a table with these names, or without a header, and with these first rows.

    Raises:
        DataError: the label or the shape is ambiguous, or a column that an option names is not there.
    """
    width = len(names or rows[0])
    shown = names or tuple(str(i + 1) for i in range(width))
    rows = [row for row in rows if len(row) == width]
    fixes: list[Message] = []
    part = _part_column(path, names, rows, width, options)
    lists = [i for i in range(width) if rows and is_number_list(rows[0][i])][:1]
    if names is None and not lists:
        pixels, labels = _columns_without_names(path, rows, part, options, fixes)
    else:
        labels = _label_columns(path, shown, (*lists, part), bool(lists), options, fixes)
        pixels = lists or _pixel_columns(shown, (*labels, part), fixes)
        used = {*pixels, *labels, part}
        if skipped := [name for i, name in enumerate(shown) if i not in used]:
            fixes.append(Message("columns_skipped", columns=skipped))
    count = len(split_list(rows[0][lists[0]])) if lists else len(pixels)
    return PixelLayout(
        width=width,
        names=shown,
        pixels=tuple(pixels),
        is_list=bool(lists),
        decimal="," if not lists and any("," in row[i] for row in rows[:20] for i in pixels) else ".",
        labels=tuple(labels),
        part=part,
        shape=_find_shape(path, count, options),
        fixes=tuple(fixes),
    )


def infer_shape(pixels: int) -> tuple[int, int, int] | None:
    """The shape of a square image of that many values: gray or RGB, never both, because 3 is no square."""
    for channels in (1, 3):
        side = math.isqrt(pixels // channels)
        if side and side * side * channels == pixels:
            return side, side, channels
    return None


def _find_shape(path: Path, pixels: int, options: ReadOptions) -> tuple[int, int, int]:
    shape = options.shape or infer_shape(pixels)
    if shape is None:
        raise DataError("shape_unknown", path=str(path), found=pixels)
    if math.prod(shape) != pixels:
        expected, text = math.prod(shape), _shape_label(shape)
        raise DataError("shape_differs", path=str(path), found=pixels, expected=expected, shape=text)
    return shape


def _shape_label(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


def _is_pixel_name(name: str) -> bool:
    return bool(NUMBERED.fullmatch(name)) and name.casefold() not in ID_NAMES


def _part_column(
    path: Path, names: tuple[str, ...] | None, rows: Sequence[Sequence[str]], width: int, options: ReadOptions
) -> int | None:
    if options.split_column is not None:
        if options.split_column not in (names or ()):
            raise DataError("column_unknown", path=str(path), **unknown(options.split_column, names or ()))
        return (names or ()).index(options.split_column)
    if names is None:
        return next((i for i in range(width) if rows and all(is_part_name(row[i]) for row in rows)), None)
    likely = [i for i, name in enumerate(names) if name.casefold() in SPLIT_NAMES]
    return next((i for i in likely if are_parts(Counter(row[i] for row in rows))), None)


def _label_columns(
    path: Path,
    names: tuple[str, ...],
    taken: tuple[int | None, ...],
    is_list: bool,
    options: ReadOptions,
    fixes: list[Message],
) -> list[int]:
    """Indices of the columns of labels, which are neither `taken` nor pixels."""
    free = [i for i in range(len(names)) if i not in taken]
    others = [i for i in free if is_list or not _is_pixel_name(names[i])]
    if wanted := options.targets or tuple(name for name in options.model_targets if name in names):
        ends = {"first": free[0], "last": free[-1]} if free else {}
        for name in wanted:
            if name not in names and name not in ends:
                choices = [names[i] for i in others or free[:1] + free[-1:]]  # not all 784 pixels
                raise DataError("column_unknown", path=str(path), **unknown(name, choices))
        return [names.index(name) if name in names else ends[name] for name in wanted]
    likely = [i for i in others if names[i].casefold() in LABEL_NAMES]
    if not likely and (is_list or any(map(_is_pixel_name, names))):
        likely = [i for i in others if names[i].casefold() not in ID_NAMES]
        fixes += [Message("label_column_guessed", column=names[likely[0]])] if len(likely) == 1 else []
    if len(likely) > 1 and not options.all_targets:
        raise DataError("label_ambiguous", path=str(path), choices=[names[i] for i in likely])
    return likely


def _pixel_columns(names: tuple[str, ...], taken: tuple[int | None, ...], fixes: list[Message]) -> list[int]:
    """Indices of the columns of pixels, in the order of their numbers: pixel1, pixel2, pixel10."""
    pixels = [i for i, name in enumerate(names) if i not in taken and _is_pixel_name(name)]
    if not pixels:  # uninformative names: all but the label are pixels
        return [i for i in range(len(names)) if i not in taken]
    matches = [NUMBERED.fullmatch(names[i]) for i in pixels]
    numbers = [(int(m["first"]), int(m["second"] or 0)) for m in matches if m]
    if len(set(numbers)) == len(numbers) and numbers != sorted(numbers):
        fixes.append(Message("columns_sorted"))
        return [i for _, i in sorted(zip(numbers, pixels, strict=True))]
    return pixels


def _columns_without_names(
    path: Path, rows: Sequence[Sequence[str]], part: int | None, options: ReadOptions, fixes: list[Message]
) -> tuple[list[int], list[int]]:
    """Indices of the columns of pixels and of the label, which is the first, the last or absent."""
    columns = [i for i in range(len(rows[0])) if i != part]
    side = options.targets[0] if options.targets else None
    if side not in (None, "first", "last") or len(options.targets) > 1:
        raise DataError("no_header", path=str(path), target=options.targets[-1])
    if side is None:
        rows = [[row[i] for i in columns] for row in rows]
        if not _has_label(path, rows, options):
            fixes.append(Message("no_label_guessed"))
            return columns, []
        side = _guess_label_side(rows)
        fixes.append(Message("label_side_guessed", side=side, columns=len(columns)))
    return (columns[1:], columns[:1]) if side == "first" else (columns[:-1], columns[-1:])


def _has_label(path: Path, rows: Sequence[Sequence[str]], options: ReadOptions) -> bool:
    width = len(rows[0])
    if options.shape is not None:
        return width == math.prod(options.shape) + 1  # _find_shape refuses any number but this and one less
    named = any(not is_number(row[place]) for row in rows for place in (0, -1) if row[place].strip())
    with_label, without = infer_shape(width - 1), infer_shape(width)
    if not with_label and not without:
        raise DataError("shape_unknown", path=str(path), found=width)
    if with_label and without and not named:
        choices = [_shape_label(without), _shape_label(with_label)]
        raise DataError("label_or_pixel", path=str(path), found=width, choices=choices)
    return with_label is not None


def _guess_label_side(rows: Sequence[Sequence[str]]) -> str:
    """`first` or `last`: the side with names, or with numbers less like pixels; `first` in doubt.

    A corner of images often has one value in all of them, else a few values far apart, close to the pixel beside it.
    Labels vary, have no gaps between their numbers, and are unrelated to any pixel.
    """
    for place, side in ((0, "first"), (-1, "last")):
        if any(row[place].strip() and not is_number(row[place]) for row in rows):
            return side
    ends = [[row[place].replace(",", ".") for place in (0, 1, -2, -1)] for row in rows]
    values = np.array([list(map(float, cells)) for cells in ends if all(map(is_number, cells))])
    if not len(values):
        return "first"
    first, beside_first, beside_last, last = values.T
    fractions = [bool((end % 1).any()) for end in (first, last)]
    if fractions[0] != fractions[1]:
        return "last" if fractions[0] else "first"
    density = [len(np.unique(end)) / (np.ptp(end) + 1) for end in (first, last)]
    constant = [np.ptp(end) == 0 for end in (first, last)]
    if constant[0] != constant[1]:
        return "last" if constant[0] else "first"
    if max(density) > 0.9 and min(density) < 0.5:
        return "first" if density[0] > density[1] else "last"
    return "last" if abs(last - beside_last).mean() > abs(first - beside_first).mean() else "first"

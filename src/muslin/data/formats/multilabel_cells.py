"""Several labels in one cell of a table: whether a column has them, what separates them, and the arrays they make."""

import ast
import json
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target, encode_labels, sorted_classes
from muslin.data.tables.cells import Cell, cell_text
from muslin.data.tables.columns import Column
from muslin.errors import DataError

SEPARATORS = ("|", ";", ",")
NONE = "none"
LIST = "list"

MAX_PYTHON_CHARACTERS = 4096
"""Longer cells are not parsed as Python, which takes a microsecond and 100 bytes for a letter."""

MAX_LABEL_VALUES = 2**29
"""Images times labels of one target, a byte each: 500,000 images with 1,000 labels."""

MAX_LIST_CHARACTERS = 2**20
"""Longer cells are not parsed as lists."""


def choose_separator(path: Path, name: str, column: Column, option: str | None, strict: bool = True) -> str | None:
    """What separates labels in the cells of the column `name`: one of SEPARATORS, LIST, or None for one label each.

    Lists, `|` and `;` always separate labels. A comma does if one of the labels recurs in another cell, as blue does
    in `red,blue` and `blue`; otherwise it can be part of a label, as in `Coats, Jackets`.

    Args:
        option: what the user chose: one of SEPARATORS or NONE.
        strict: raise where two readings are possible; otherwise read one label per cell.

    Raises:
        DataError: two readings are possible.
    """
    if option:
        return None if option == NONE else option
    if any(_parse_list(cell) is not None for cell in column.categories):
        return LIST
    texts = [cell.strip() for cell in column.categories if isinstance(cell, str)]
    separators = [separator for separator in SEPARATORS if any(separator in text for text in texts)]
    if not separators:
        return None
    if not _is_ambiguous(texts, separators[0], separators[1:]):
        return separators[0]
    if not strict:
        return None
    raise DataError(
        "separator_ambiguous",
        path=str(path),
        column=name,
        example=next(text for text in texts if separators[-1] in text)[:60],
        classes=len(set(texts) - {""}),
        separators=separators,
        classes_if_separated=[len({p for text in texts for p in _pieces(text, s)}) for s in separators],
    )


def _is_ambiguous(texts: Sequence[str], first: str, others: Sequence[str]) -> bool:
    distinct = set(texts)
    counts = Counter(piece for text in distinct for piece in set(_pieces(text, first)))
    if first == ",":
        return not any(counts[piece] > 1 for text in distinct if "," in text for piece in _pieces(text, ","))
    # Where `|` separates, a `;` or a comma is part of a label, unless it stands where a `|` is expected.
    return any(other in text and first not in text and counts[text] < 2 for other in others for text in distinct)


def _pieces(text: str, separator: str) -> list[str]:
    return [piece for part in text.split(separator) if (piece := part.strip())]


def _parse_list(cell: Cell) -> list[str] | None:
    """The labels of a cell that holds a list, or None: JSON, Python's notation, or Label Studio's {"choices": […]}."""
    if isinstance(cell, tuple):
        return list(cell)
    text = cell.strip()
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) > MAX_LIST_CHARACTERS:
        return None
    for parse in (json.loads, _python_list):
        try:
            items: Any = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        items = items.get("choices") if isinstance(items, dict) else items
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return [cell_text(item).strip() for item in items]
    return None


def _python_list(text: str) -> Any:
    """A list in Python's notation; a long one only where it is JSON but for its quotes, which is much faster to read.

    Raises:
        ValueError, SyntaxError, RecursionError, MemoryError: it is none.
    """
    if '"' not in text and "\\" not in text:
        with suppress(ValueError):
            return json.loads(text.replace("'", '"'))
    if len(text) > MAX_PYTHON_CHARACTERS:
        raise ValueError("a long list is no JSON")
    return ast.literal_eval(text)


def encode_column(
    name: str,
    column: Column,
    rows: NDArray[np.intp],
    separator: str | None,
    classes: tuple[str, ...] = (),
    unknown: Column | None = None,
) -> tuple[Target, NDArray[np.integer[Any]]]:
    """The target in a column, and its labels in `rows`: int64 (rows,) or int8 (rows, classes).

    An empty cell is UNKNOWN; an empty list means that none of the labels holds.

    Args:
        classes: in their order; by default those of the whole column, so that an index means the same whichever rows
            are chosen.
        unknown: a column of lists of the labels of which it is not known whether they hold.

    Raises:
        DataError: no label is known.
        KeyError: a label is not one of `classes`.
    """
    if separator is None:
        cells = [", ".join(cell) if isinstance(cell, tuple) else cell.strip() for cell in column.categories]
        if {cell.lower() for cell in cells} <= {"true", "false", ""} and not classes:
            cells = [cell.lower() for cell in cells]  # programs spell booleans True, TRUE and true
        if classes:
            index = {label.strip(): i for i, label in enumerate(classes)} | {"": UNKNOWN}
            target, labels = Target(name, classes), np.array([index[cell] for cell in cells], dtype=np.int64)
        else:
            target, labels = encode_labels(name, np.array(cells, dtype=object))
        return target, labels[column.codes[rows]]
    lists, unknown_lists = (
        [_labels_in(cell, separator) for cell in each.categories] if each else [] for each in (column, unknown)
    )
    classes = classes or sorted_classes({label for labels in (*lists, *unknown_lists) for label in labels or ()})
    if not classes:
        raise DataError("unlabelled", name=name, n=len(column.codes))
    return encode_lists(
        name,
        classes,
        [lists[code] for code in column.codes[rows].tolist()],
        [unknown_lists[code] for code in unknown.codes[rows].tolist()] if unknown else None,
    )


def encode_lists(
    name: str,
    classes: tuple[str, ...],
    lists: Sequence[Collection[str] | None],
    unknown: Sequence[Collection[str] | None] | None = None,
) -> tuple[Target, NDArray[np.int8]]:
    """A multilabel target and its labels, int8 (rows, classes), from the labels of each row; UNKNOWN for None.

    Args:
        unknown: per row the labels of which it is not known whether they hold.

    Raises:
        DataError: rows times labels exceed MAX_LABEL_VALUES.
        KeyError: a label is not one of the classes.
    """
    if len(lists) * len(classes) > MAX_LABEL_VALUES:
        raise DataError("too_many_labels", name=name, count=len(classes), images=len(lists))
    index = {label.strip(): i for i, label in enumerate(classes)}
    values = np.zeros((len(lists), len(classes)), dtype=np.int8)
    for row, labels in enumerate(lists):
        if labels is None:
            values[row] = UNKNOWN
            continue
        values[row, [index[label] for label in labels]] = 1
        if unknown is not None:
            values[row, [index[label] for label in unknown[row] or ()]] = UNKNOWN
    return Target(name, classes, "multilabel"), values


def _labels_in(cell: Cell, separator: str) -> list[str] | None:
    """None where the cell is empty."""
    items = _parse_list(cell)
    if items is not None:
        return [label for label in items if label]
    text = str(cell)
    return ([text.strip()] if separator == LIST and text.strip() else _pieces(text, separator)) or None

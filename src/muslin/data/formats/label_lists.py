"""Several labels in a table's cell: whether a column has them, what separates them, and the arrays they make."""

import ast
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target, encode_labels, sorted_classes
from muslin.data.formats.columns import Cell, Column, cell_of
from muslin.errors import DataError

SEPARATORS = ("|", ";", ",")
NONE = "none"
LIST = "list"

MOST_OF_A_LIST = 2**20
"""Characters of a cell that is looked at as a list."""


def separator_of(path: Path, name: str, column: Column, asked: str | None, strict: bool = True) -> str | None:
    """What separates labels in the cells of the column `name`: a row of SEPARATORS, LIST, or None for one label each.

    Lists, `|` and `;` are taken for what they are. A comma separates labels if one of them recurs in another cell,
    as blue does in `red,blue` and `blue`; it may as well belong to a label, as in `Coats, Jackets`.

    Args:
        asked: what the user said: a row of SEPARATORS or NONE.
        strict: raise where two readings are possible; otherwise take the one label a cell.

    Raises:
        DataError: two readings are possible; the message has both and the option that decides.
    """
    if asked:
        return None if asked == NONE else asked
    if any(_listed(cell) is not None for cell in column.cells):
        return LIST
    texts = [cell.strip() for cell in column.cells if isinstance(cell, str)]
    found = [separator for separator in SEPARATORS if any(separator in text for text in texts)]
    if not found:
        return None
    first = found[0]
    sure = not _is_doubtful(texts, first, found[1:])
    if sure or not strict:
        return first if sure else None
    example = next(text for text in texts if found[-1] in text)
    readings = [
        f"{_count(texts, separator):,} classes if {separator!r} separates labels" for separator in found
    ]
    options = [f"--separator '{separator}'" for separator in found]
    raise DataError(
        f"{path}: column {name!r} can be read in {len(found) + 1} ways, for example {example[:60]!r}: "
        f"{len(set(texts) - {''}):,} classes if every cell is one label, {', '.join(readings)}. "
        f"Choose with --separator none or {' or '.join(options)}."
    )


def _is_doubtful(texts: Sequence[str], first: str, others: Sequence[str]) -> bool:
    distinct = set(texts)
    pieces = Counter(piece for text in distinct for piece in set(_split(text, first)))
    if first == ",":
        return not any(pieces[piece] > 1 for text in distinct if "," in text for piece in _split(text, ","))
    # Where `|` separates, a `;` or a comma belongs to a label, unless it stands where a `|` would be expected.
    return any(
        other in text and first not in text and pieces[text] < 2 for other in others for text in distinct
    )


def _count(texts: Sequence[str], separator: str) -> int:
    return len({piece for text in texts for piece in _split(text, separator)})


def _split(text: str, separator: str) -> list[str]:
    return [piece for part in text.split(separator) if (piece := part.strip())]


def _listed(cell: Cell) -> list[str] | None:
    """The labels of a cell that holds a list, of JSON or as Python prints one; None where it does not."""
    if isinstance(cell, tuple):
        return list(cell)
    text = cell.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > MOST_OF_A_LIST:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            items: Any = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return [str(cell_of(item)).strip() for item in items]
    return None


def target_of(
    name: str, column: Column, rows: NDArray[np.intp], separator: str | None
) -> tuple[Target, NDArray[np.integer[Any]]]:
    """The target that a column makes, and its labels in `rows`: int64 (rows,) or int8 (rows, classes).

    The classes are those of the whole column, so that an index means the same whichever rows are taken.
    An empty cell is UNKNOWN; an empty list says that none of the labels holds.

    Raises:
        DataError: no label at all is known.
    """
    places = column.places[rows]
    if separator is None:
        cells = [", ".join(cell) if isinstance(cell, tuple) else cell.strip() for cell in column.cells]
        target, labels = encode_labels(name, np.array(cells, dtype=object))
        return target, labels[places]
    lists = [_labels(cell, separator) for cell in column.cells]
    classes = sorted_classes({label for labels_ in lists if labels_ for label in labels_})
    if not classes:
        raise DataError(f"{name}: none of the {len(column.places):,} samples has a label.")
    index = {label: i for i, label in enumerate(classes)}
    found = [None if labels_ is None else [index[label] for label in labels_] for labels_ in lists]
    values = np.zeros((len(rows), len(classes)), dtype=np.int8)
    for row, place in enumerate(places.tolist()):
        if (indices := found[place]) is None:
            values[row] = UNKNOWN
        else:
            values[row, indices] = 1
    return Target(name, classes, "multilabel"), values


def _labels(cell: Cell, separator: str) -> list[str] | None:
    """None where the cell is empty."""
    listed = _listed(cell)
    if listed is not None:
        return [label for label in listed if label]
    text = str(cell)
    return ([text.strip()] if separator == LIST and text.strip() else _split(text, separator)) or None

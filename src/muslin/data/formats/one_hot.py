"""One-hot tables: a column for each class, whose cells say whether it holds, as in Roboflow's `_classes.csv`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.data.dataset import UNKNOWN, Target, sorted_classes
from muslin.data.tables.columns import Table

VALUES = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "-1": 0, "-1.0": 0, "false": 0, "": UNKNOWN}
"""Of cells in lower case."""

NAME = "label"
"""The target's name."""


def is_one_hot(table: Table, names: Sequence[str]) -> bool:
    """Whether there are several columns and each holds only yes and no."""
    cells = [{str(cell).lower() for cell in table.columns[name].categories} for name in names]
    return len(names) > 1 and all(each <= VALUES.keys() and any(each) for each in cells)


def encode_one_hot(
    table: Table, names: Sequence[str], rows: NDArray[np.intp]
) -> tuple[Target, NDArray[np.integer[Any]]]:
    """The target whose classes are the columns `names`, and its labels in `rows`, as in Dataset.

    It is multiclass where one class holds in each row of the table that is not empty.
    """
    classes = sorted_classes(names)
    values = np.empty((len(table), len(classes)), dtype=np.int8)
    for i, name in enumerate(classes):
        column = table.columns[name]
        of_category = np.array([VALUES[str(cell).lower()] for cell in column.categories], dtype=np.int8)
        values[:, i] = of_category[column.codes]
    is_known = (values != UNKNOWN).any(axis=1)
    if (np.count_nonzero(values[is_known] == 1, axis=1) == 1).all():
        return Target(NAME, classes), np.where(is_known, values.argmax(axis=1), UNKNOWN)[rows]
    return Target(NAME, classes, "multilabel"), values[rows]

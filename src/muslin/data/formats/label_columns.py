"""Which columns of a table can be labels."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from muslin.data.formats.multilabel_cells import SEPARATORS
from muslin.data.formats.one_hot import is_one_hot
from muslin.data.photos import IMAGE_SUFFIXES
from muslin.data.tables.columns import Column, Table
from muslin.data.tables.identifier_names import is_identifier
from muslin.data.tables.shop_columns import bookkeeping_columns, is_shop_export
from muslin.errors import DataError

LABEL_NAMES = frozenset({"label", "labels", "class", "category", "target", "tags", "attributes", "choice", "choices",
                         "ground_truth", "classificationannotation", "classificationannotations"})  # fmt: skip

ANNOTATION_NAMES = frozenset({"annotation_id", "annotator", "completed_by", "created_at", "lead_time", "updated_at"})
"""Columns of Label Studio that say who labelled a photo, and when."""

STYLES_TARGETS = ("gender", "masterCategory", "subCategory", "articleType", "baseColour", "season", "year",
                  "usage", "productDisplayName")  # fmt: skip
"""Targets in Kaggle's styles.csv."""

NUMBER = re.compile(r"[-+]?\d+(?:[.,' ]\d+)*")
DECIMAL_MARK = re.compile(r"\d[.,]\d")
CURRENCY = re.compile(r"^[^\w+.,-]{1,3}\s?|\s?(?:[A-Z]{3}|[^\w.,])$")
"""A sign before the number or after it, or a code such as EUR."""

REASONS = ("empty", "single", "distinct", "decimal", "text", "photos")
"""Why a column is no label: no cells, one value, almost only different cells, …"""

LABEL_SEPARATORS = re.compile(r"[|;,>/]")

MAX_LABEL_CHARACTERS = 60
"""Mean length, over the distinct cells, of the longest piece between separators: more is free text."""

MAX_CLASSES = 100_000
"""Different labels of a column. Each is compared and sorted; the largest public data sets have 22,000 classes."""

SHOWN_CELLS = 3
"""Cells that an error shows of a column."""


def label_columns(
    table: Table, excluded: Iterable[str | None], every: bool, listed: Sequence[str] = ()
) -> tuple[tuple[str, ...], list[str]]:
    """The one column that could be the label, or with `every` all of them; or the columns of a one-hot table.

    A column is one if it is called as labels are; or if its cells recur, and are neither decimal numbers nor free text
    nor names of photos. Identifiers such as `sample_id` and columns such as `Published` are none. Also returns the
    other columns that could be the label, where one was chosen because of its name.

    Args:
        listed: the columns whose classes the file lists; no other one is guessed.

    Raises:
        DataError: there is none, or several without `every`.
    """
    left_out = {*excluded, *(name for name in table.columns if name.lower() in ANNOTATION_NAMES)}
    identifiers = [n for n in table.columns if is_identifier(n) and n not in (*left_out, *listed)]
    bookkeeping = [n for n in bookkeeping_columns(table.columns) if n not in (*left_out, *listed, *identifiers)]
    left_out |= {*identifiers, *bookkeeping}
    columns = {name: column for name, column in table.columns.items() if name not in left_out}
    too_many = {name for name, column in columns.items() if has_too_many_classes(column)}
    recurring = [name for name, column in columns.items() if len(column.categories) < len(table)]  # the others are ids
    usable = {name: column for name, column in columns.items() if name not in too_many}
    unusable = {name: why for name, column in usable.items() if (why := _unusable(column, len(table)))}
    unusable |= dict.fromkeys(too_many, "distinct")
    possible = [name for name in columns if name not in unusable]
    is_shop = is_shop_export(table.columns)  # whose `Tags` are words to search by
    named = [] if is_shop else _called_as_labels(usable, unusable, constant=not possible)
    if set(STYLES_TARGETS) <= set(columns):
        named = list(STYLES_TARGETS)
    elif listed:
        named = [name for name in columns if name in listed]
    elif is_one_hot(table, recurring) and not named:
        return tuple(recurring), []
    elif every:  # to be listed by `look`, it is enough that one of the column's cells recurs
        ids = [n for n, why in unusable.items() if why != "distinct" or n not in recurring or n in too_many]
        named = [name for name in columns if name in named or name not in ids]
    others = [] if every or listed else [name for name in possible if name not in named]
    possible = named or possible
    if len(possible) == 1 or (every and possible):
        return tuple(possible), others if named else []
    if possible:
        shown = [f"{name} ({_shown_cells(columns[name])})" for name in possible]
        raise DataError("label_column_ambiguous", path=str(table.path), columns=possible, cells=shown)
    by_reason = {reason: [name for name, why in unusable.items() if why == reason] for reason in REASONS}
    none = {"identifiers": identifiers, "bookkeeping": bookkeeping}
    raise DataError("label_column_not_found", path=str(table.path), **none, **by_reason)


def _called_as_labels(columns: Iterable[str], unusable: Mapping[str, str], *, constant: bool) -> list[str]:
    """The columns with a name of LABEL_NAMES that are not empty; with `constant` also those of one value."""
    reasons = {"empty"} if constant else {"empty", "single"}
    return [name for name in columns if name.lower() in LABEL_NAMES and unusable.get(name) not in reasons]


def has_too_many_classes(column: Column) -> bool:
    """Whether each of its cells is one label, and more than MAX_CLASSES differ."""
    if len(column.categories) <= MAX_CLASSES:
        return False
    return all(isinstance(cell, str) and not any(mark in cell for mark in SEPARATORS) for cell in column.categories)


def _unusable(column: Column, rows: int) -> str | None:
    """The reason of REASONS for which a column is not guessed to be the label."""
    texts = [cell for cell in column.categories if isinstance(cell, str) and cell]
    distinct = _distinct(column)
    if distinct < 2:
        return "single" if distinct else "empty"
    if any(text.lower().endswith(tuple(IMAGE_SUFFIXES)) for text in texts[:SHOWN_CELLS]):
        return "photos"
    if texts and all(map(_is_number, texts)) and any(map(DECIMAL_MARK.search, texts)):
        return "decimal"
    if any("\n" in text for text in texts):
        return "text"
    if texts and np.mean([max(map(len, LABEL_SEPARATORS.split(text))) for text in texts]) > MAX_LABEL_CHARACTERS:
        return "text"
    return "distinct" if distinct > rows / 2 else None


def _distinct(column: Column) -> int:
    return sum(bool(cell) for cell in column.categories)


def _is_number(text: str) -> bool:
    return bool(NUMBER.fullmatch(CURRENCY.sub("", text)))


def _shown_cells(column: Column) -> str:
    cells = [", ".join(cell) if isinstance(cell, tuple) else cell for cell in column.categories if cell]
    return ", ".join(cell[:30] for cell in cells[:SHOWN_CELLS]) + (", …" if len(cells) > SHOWN_CELLS else "")

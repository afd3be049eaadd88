"""Samples named in a CSV file: what an audit suggests to leave out, and what a person decided to leave out."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from muslin.data.dataset import Dataset
from muslin.errors import DataError
from muslin.storage.atomic import write_atomically

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""A spreadsheet takes a cell that begins so for a formula, or for the mark that it is none."""


def write_names(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A CSV in UTF-8 in which no cell is a formula to a spreadsheet: such a one gets an apostrophe in front.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))


def guarded(cell: str) -> str:
    """`=1+1` as `'=1+1`, so that a spreadsheet shows it and does not reckon it."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def unguarded(cell: str) -> str:
    """What `guarded` was given."""
    return cell.removeprefix("'")


def read_names(path: Path) -> list[tuple[str, str]]:
    """Part (empty where there is none) and id of every sample that a CSV names in its columns `part` and `id`.

    Raises:
        DataError: there is no such file, it is no CSV, it lacks the column `id`, or a line lacks an id.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}). Check the path.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if "id" not in (reader.fieldnames or ()):
            raise DataError(
                f"{path}: has no column `id`. It should have the columns part and id, as exclude.csv of an audit does."
            )
        names = []
        for row in reader:
            if not row["id"]:
                raise DataError(
                    f"{path}: line {reader.line_num} names no id. Give one, or take out the line."
                )
            names.append((unguarded(row.get("part") or ""), unguarded(row["id"])))
        return names
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num} is no CSV ({error}).") from error


def without(dataset: Dataset, names: Sequence[tuple[str, str]], source: str) -> Dataset:
    """`dataset` without the samples named by part and id; an empty part stands for any.

    Args:
        source: where the names are from, for messages and the list of repairs.

    Raises:
        DataError: a name that the data do not have, or nothing is left.
    """
    places = {str(id_): i for i, id_ in enumerate(dataset.ids)}
    leave_out = np.zeros(len(dataset), dtype=bool)
    unknown = []
    for part, id_ in names:
        place = places.get(id_)
        if place is None or (part and (dataset.parts is None or dataset.parts[place] != part)):
            unknown.append(f"{id_} in {part}" if part else id_)
        else:
            leave_out[place] = True
    if unknown:
        more = f" and {len(unknown) - 3:,} more" if len(unknown) > 3 else ""
        raise DataError(
            f"{source}: names {', '.join(unknown[:3])}{more}, which {'is' if len(unknown) == 1 else 'are'} not in "
            f"{dataset.name}. Use the file that an audit of these data wrote."
        )
    if leave_out.all():
        raise DataError(f"{source}: names every sample of {dataset.name}, so nothing is left.")
    kept = dataset.take(np.flatnonzero(~leave_out))
    said = f"{int(leave_out.sum()):,} of {len(dataset):,} samples left out, as {source} says"
    return replace(kept, fixes=(*kept.fixes, said))

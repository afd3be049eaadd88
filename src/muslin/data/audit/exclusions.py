"""CSV files that name samples: those that an audit suggests to exclude, and those that a person decided to exclude."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from muslin.data.dataset import Dataset
from muslin.errors import DataError
from muslin.library_errors import reason_of
from muslin.messages import Message
from muslin.storage.outputs import Output
from muslin.text import ORDINARY_CHARACTERS, escape_controls

FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""A spreadsheet takes a cell that begins with one of these for a formula, or for the mark that it is none."""


def write_exclusions(out: str | Path | Output, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a new CSV in UTF-8 in which no cell is a formula to a spreadsheet, and control characters are text.

    Raises:
        StorageError: the file exists, the disk is full or the place cannot be written.
    """
    Output.of(out).write(csv_text(header, rows))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """What `write_exclusions` writes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([escape_formula(_written(cell)) for cell in row] for row in rows)
    return text.getvalue()


def _written(name: str) -> str:
    return escape_controls(name, keep=ORDINARY_CHARACTERS)


def escape_formula(cell: str) -> str:
    """`=1+1` as `'=1+1`, so that a spreadsheet shows it and does not compute it."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def unescape_formula(cell: str) -> str:
    """The argument of `escape_formula`."""
    return cell.removeprefix("'")


def read_exclusions(path: Path) -> list[tuple[str, str]]:
    """Part (empty if it has none) and id of every sample that a CSV names in its columns `part` and `id`.

    Raises:
        DataError: as `read_sample_rows`.
    """
    return [(row.get("part", ""), row["id"]) for _, row in read_sample_rows(path)]


def read_sample_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The line and the cells by column of every row of a CSV whose column `id` names a sample.

    Raises:
        DataError: there is no such file, it is no CSV, it lacks the column `id`, or a row lacks an id.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError("exclusions_unreadable", path=str(path), reason=reason_of(error)) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="", strict=True)
    try:
        if "id" not in (reader.fieldnames or ()):
            raise DataError("exclusions_without_id", path=str(path))
        rows = []
        for row in reader:
            if not row["id"]:
                raise DataError("exclusion_id_missing", path=str(path), row=reader.line_num)
            cells = {name: unescape_formula(cell) for name, cell in row.items() if name}
            rows.append((reader.line_num, cells))
        return rows
    except csv.Error as error:
        row_number = reader.reader.line_num
        raise DataError("exclusions_not_csv", path=str(path), row=row_number, reason=reason_of(error)) from error


def sample_indices(dataset: Dataset, names: Sequence[tuple[str, str]], path: str) -> list[int]:
    """The index in `dataset` of each sample named by part and id; an empty part stands for any.

    Args:
        path: where the names are from, for errors.

    Raises:
        DataError: a name that the data do not have.
    """
    indices = known_indices(dataset, names)
    unknown = [f"{part}/{id_}" if part else id_ for (part, id_), i in zip(names, indices, strict=True) if i is None]
    if unknown:
        count, first = len(unknown), unknown[:3]
        raise DataError("excluded_samples_unknown", path=path, dataset=dataset.name, count=count, names=first)
    return [index for index in indices if index is not None]


def known_indices(dataset: Dataset, names: Sequence[tuple[str, str]]) -> list[int | None]:
    """The index in `dataset` of each sample named by part and id, None of one that the data do not have.

    An empty part stands for any. Where `muslin.data.dataset.join` has put parts before the ids, an id without one is of
    the training set, so that decisions on the training data hold beside any test set.
    """
    ids = [str(id_) for id_ in dataset.ids]
    index_of = {_written(id_): i for i, id_ in enumerate(ids)} | {id_: i for i, id_ in enumerate(ids)}
    indices: list[int | None] = []
    for part, id_ in names:
        index = index_of.get(id_, index_of.get(f"{part or 'train'}/{id_}"))
        is_known = index is not None and (not part or (dataset.parts is not None and dataset.parts[index] == part))
        indices.append(index if is_known else None)
    return indices


def known_samples(dataset: Dataset, names: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the samples, named by part and id, that the data have."""
    return {name for name, index in zip(names, known_indices(dataset, names), strict=True) if index is not None}


def exclude_samples(dataset: Dataset, names: Sequence[tuple[str, str]], path: str) -> Dataset:
    """`dataset` without the samples named by part and id; an empty part stands for any.

    Args:
        path: where the names are from, for errors and the list of fixes.

    Raises:
        DataError: a name that the data do not have, or nothing is left.
    """
    excluded = np.zeros(len(dataset), dtype=bool)
    excluded[sample_indices(dataset, names, path)] = True
    if excluded.all():
        raise DataError("everything_excluded", path=path, dataset=dataset.name)
    kept = dataset.take(np.flatnonzero(~excluded))
    fix = Message("samples_excluded", excluded=int(excluded.sum()), count=len(dataset), path=path)
    return replace(kept, fixes=(*kept.fixes, fix))

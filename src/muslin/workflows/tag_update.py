"""What `--update` keeps: the tags of products that have not changed since the previous output.

The output has a column of fingerprints: of a product's cells, the content of its photos, the model, the precision and
whatever else its tags depend on. A product with the same fingerprint keeps the cells of the previous output, also those
that a person corrected there.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from muslin.catalogue.product_rows import ProductRows
from muslin.data.audit.exclusions import FORMULA, unescape_formula
from muslin.data.photo_roles import ProductPhoto
from muslin.data.tables import AddedColumn, Cell, Row, TableFile, open_table
from muslin.data.tables.cells import CellValue, format_cell
from muslin.data.tables.dataset_table import DatasetTable
from muslin.data.tables.delimited import Delimited
from muslin.errors import DataError
from muslin.strict_json import json_text
from muslin.workflows.product_catalogue import content_digest

COLUMN = "fingerprint"
FINGERPRINT_BYTES = 8
"""With 100,000 products, the probability that a change in one of them goes unnoticed is below 10⁻⁹."""


@dataclass(frozen=True)
class PreviousTags:
    """The previous output, and what the products are now.

    Attributes:
        path: where it is; it need not exist.
        digest: SHA-256 of it, in hexadecimal; empty where there is none.
        cells: by fingerprint the new cells of a product in it.
        n_rows: by fingerprint its rows in it; those without one have an empty text.
        common: digest of what all tags depend on.
        of_rows: per product a digest of all cells of its rows.
        n_written: per product the number of rows that get its cells; empty where each one gets them once.
    """

    path: Path
    digest: str
    cells: Mapping[str, Row]
    n_rows: Mapping[str, int]
    common: bytes
    of_rows: Sequence[bytes]
    n_written: Sequence[int]

    def known_cells(self, product: int, fingerprint: str | None) -> Row | None:
        """The cells of a product, by its number, in the previous output; None where it is to be tagged.

        A person empties a fingerprint to have a product tagged anew, maybe in one of its rows only.
        """
        if fingerprint is None or fingerprint not in self.cells:
            return None
        n_emptied = (self.n_written[product] if self.n_written else 1) - self.n_rows[fingerprint]
        return None if 0 < n_emptied <= self.n_rows[""] else self.cells[fingerprint]

    def fingerprint(self, product: int, photos: Sequence[ProductPhoto]) -> str:
        """Of a product, by its number, with these photos."""
        digest = hashlib.sha256(self.common + self.of_rows[product])
        for name, photo, role in photos:
            digest.update(repr((name, role)).encode("utf-8", "surrogateescape") + content_digest(photo))
        return "m" + digest.hexdigest()[: 2 * FINGERPRINT_BYTES]  # a spreadsheet takes some hexadecimals for numbers

    @property
    def is_changed(self) -> bool:
        """Whether the file has changed since it was read."""
        return digest_of(self.path) != self.digest


def read_previous(
    path: Path, rows: ProductRows, columns: Sequence[AddedColumn], inputs: Mapping[str, Any]
) -> PreviousTags:
    """The tags in the previous output at `path`, if there is one.

    Args:
        columns: the new columns, of which the last has the fingerprints.
        inputs: what all tags depend on, as JSON values.

    Raises:
        DataError: the file cannot be read, has no fingerprints, lacks a column that is to be copied, has a text for a
            number, or different cells in rows of one product.
    """
    digest = digest_of(path)
    if not digest:
        return PreviousTags(path, "", {}, {}, *_digests(rows, inputs), ())
    table = open_table(path)
    *names, last = (column.name for column in columns)
    if last not in table.columns:
        raise DataError("update_without_fingerprints", path=str(path), column=last)
    missing = [name for name in names if name not in table.columns]
    kept = [] if missing else list(columns)  # another model has other columns
    cells, n_rows = _read_cells(table, kept, last, rows.table)
    previous = PreviousTags(path, digest, cells, n_rows, *_digests(rows, inputs), _n_written(rows))
    if missing and any(
        previous.fingerprint(number, rows.find(product)) in previous.cells for number, product in enumerate(rows)
    ):
        raise DataError("update_columns_missing", path=str(path), names=missing)
    return previous


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_cells(
    table: TableFile, columns: Sequence[AddedColumn], fingerprints: str, new: TableFile | DatasetTable
) -> tuple[dict[str, Row], Counter[str]]:
    """By fingerprint the new cells, without the fingerprint itself, and the number of its rows; no cells where there
    are no `columns`."""
    is_text = isinstance(table, Delimited) and isinstance(new, Delimited)
    first: dict[str, tuple[int, tuple[Cell, ...]]] = {}
    found: dict[str, Row] = {}
    n_rows = Counter[str]()
    names = [column.name for column in columns] or [fingerprints]
    for number, cells in table.rows(names):
        fingerprint = str(cells[-1])
        n_rows[fingerprint] += 1
        if fingerprint and fingerprint not in first:
            first[fingerprint] = number, cells
            pairs = zip(cells, columns[:-1], strict=False)
            found[fingerprint] = [_value_of(table, number, cell, column, is_text) for cell, column in pairs]
        elif fingerprint:
            number_before, before = first[fingerprint]
            names_of_both = zip(columns, cells, before, strict=False)
            if differ := [c.name for c, cell, other in names_of_both if cell != other and c.kind in ("text", "list")]:
                where = {"path": str(table.path), "first": number_before, "second": number}
                raise DataError("update_rows_differ", **where, columns=differ)
    return found, n_rows


def _n_written(rows: ProductRows) -> Sequence[int]:
    """Per product the number of rows that `rows.spread` gives its cells; nothing where each one gets them once."""
    return [] if rows.numbers is None or rows.on_first_row else np.bincount(rows.numbers).tolist()


def _value_of(table: TableFile, number: int, cell: Cell, column: AddedColumn, is_text: bool) -> CellValue:
    """A cell in row `number` as it is written again: a value of the column's kind; as text if `is_text`."""
    if not cell:
        return None
    if isinstance(cell, str) and isinstance(table, Delimited) and cell[1:].startswith(FORMULA):
        cell = unescape_formula(cell)
    if is_text:
        return format_cell(cell)
    if column.kind == "number":
        text = format_cell(cell)
        with suppress(ValueError):
            if isfinite(value := float(text.replace(",", "."))):
                return value
        raise DataError("update_no_number", path=str(table.path), row=number, column=column.name, found=text)
    if column.kind == "text":
        return format_cell(cell)
    return cell.split("|") if isinstance(cell, str) else list(cell)


def _digests(rows: ProductRows, inputs: Mapping[str, Any]) -> tuple[bytes, list[bytes]]:
    return hashlib.sha256(json_text(inputs).encode()).digest(), _digests_of_rows(rows)


def _digests_of_rows(rows: ProductRows) -> list[bytes]:
    names = list(dict.fromkeys(name for name in rows.table.columns if name))
    numbers = None if rows.numbers is None else rows.numbers.tolist()
    digests: list[bytes] = []
    for index, (_, cells) in enumerate(rows.table.rows(names)):
        number = index if numbers is None else numbers[index]
        if number == len(digests):
            digests.append(repr(names).encode("utf-8", "surrogateescape"))
        digests[number] = hashlib.sha256(digests[number] + repr(cells).encode("utf-8", "surrogateescape")).digest()
    return digests

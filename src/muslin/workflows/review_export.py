"""A catalogue out of a review store: the shop's own table with what people decided. The work of `muslin review export`.

Read from `export_catalogue` down. The table is written as `muslin tag` writes it, with other columns.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from muslin.catalogue.product_rows import with_own_names
from muslin.data.dataset import Target
from muslin.data.tables import AddedColumn, Row, TableFile
from muslin.data.tables.cells import CellValue
from muslin.data.tables.delimited import Delimited
from muslin.data.tables.new_columns import free_names
from muslin.errors import DataError, unknown
from muslin.evaluation.selective import ACCEPT, DECISIONS
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.review.store import Store
from muslin.review.values import CatalogueRow, Decided, Filters, Item, label_set, labels_of
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output
from muslin.workflows.product_catalogue import check_no_photo, open_catalogue

PAGE = 2_000
"""Items that are read from the store together."""

CONFIRMED, CORRECTED, NOT_SURE, NOT_OURS = "confirmed", "corrected", "not sure", "not ours"
"""What a person decided, in the column `decision`; without a person it has one of DECISIONS."""

_KINDS = {"not_sure": NOT_SURE, "not_ours": NOT_OURS}


@dataclass(frozen=True)
class ExportedCatalogue:
    """A catalogue that was written.

    Attributes:
        path: where.
        catalogue: the one that was read again.
        products, rows: of the catalogue.
        decisions: per target's name how often the column `decision` says what.
        columns: names of the added columns.
        not_in_store: products of the catalogue that the store does not have; their new cells are empty.
        notes: what was found on the way.
    """

    path: Path
    catalogue: str
    products: int
    rows: int
    decisions: Mapping[str, Mapping[str, int]]
    columns: tuple[str, ...]
    not_in_store: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: plain(value) for name, value in asdict(self).items()}


def export_catalogue(
    store: Store, out: Output, catalogue: str | Path | None = None, *, log: Log = no_log
) -> ExportedCatalogue:
    """Write a catalogue of the store again, with columns for what people decided and the model predicts.

    Args:
        catalogue: which one, as it was added; by default the only one.

    Raises:
        DataError: there is no such catalogue, several where one is meant, or it cannot be read (any more).
        StorageError: the output exists or is an input, or cannot be written.
    """
    chosen = choose_catalogue(store, catalogue)
    options = dict(chosen.read_options)
    check_output(out, (), (store.name, chosen.path))
    read = open_catalogue(chosen.path, out.path, options, log, survey=False)
    check_no_photo(out, read.rows)
    targets = store.targets
    _check_encodable(store, read.table, targets)
    columns, renamed = free_names(read.table, _new_columns(targets))
    cells = _Cells(store, chosen.id, targets)
    counts = {"rows": 0}

    def cells_of_rows() -> Iterator[Row]:
        for row in read.rows.spread(map(cells.of_product, (each.name for each in with_own_names(read.rows)))):
            counts["rows"] += 1
            yield row

    with out.open() as file:
        read.table.write_with_columns(file, columns, cells_of_rows())
    notes = (*read.table.fixes, *renamed, *cells.notes(read.table))
    for note in notes:
        log(note)
    return ExportedCatalogue(
        out.path,
        chosen.path,
        read.products,
        counts["rows"],
        {name: dict(each) for name, each in cells.decisions.items()},
        tuple(column.name for column in columns),
        len(cells.missing),
        notes,
    )


def choose_catalogue(store: Store, catalogue: str | Path | None) -> CatalogueRow:
    """The catalogue that is meant.

    Raises:
        DataError: there is no such catalogue, or several where none is named.
    """
    known = store.catalogues()
    if catalogue is None and len(known) == 1:
        return known[0]
    names = [each.path for each in known]
    if not known:
        raise DataError("review_no_catalogue", path=store.name)
    if catalogue is None:
        raise DataError("review_catalogue_needed", path=store.name, names=names)
    asked = {str(catalogue), str(Path(catalogue).absolute())}
    found = [each for each in known if each.path in asked]
    if not found:
        raise DataError("review_catalogue_unknown", path=store.name, **unknown(str(catalogue), names))
    return found[0]


def _new_columns(targets: Sequence[Target]) -> list[AddedColumn]:
    columns = []
    for target in targets:
        prefix = f"{target.name}_" if len(targets) > 1 else ""
        value: Literal["list", "text"] = "list" if target.kind == "multilabel" else "text"
        columns += [
            AddedColumn(prefix + "tag", value),
            AddedColumn(prefix + "decision"),
            AddedColumn(prefix + "decided_by"),
            AddedColumn(prefix + "decided_at"),
            AddedColumn(prefix + "note"),
            AddedColumn(prefix + "predicted", value),
            AddedColumn(prefix + "probability", "number"),
        ]
    return [*columns, AddedColumn("error")]


COLUMNS_PER_TARGET = 7


class _Cells:
    """The new cells of each product of a catalogue, by its name.

    Attributes:
        decisions: per target's name how often what was decided.
        missing: names of products that the store does not have.
        texts: names and notes of people that were written.
    """

    def __init__(self, store: Store, catalogue: int, targets: Sequence[Target]) -> None:
        self.decisions = {target.name: Counter[str]() for target in targets}
        self.missing: list[str] = []
        self.texts: set[str] = set()
        self._changed: set[str] = set()
        self._n_cells = COLUMNS_PER_TARGET * len(targets)
        self._errors = {each.name: each.error for each in store.products(catalogue)}
        self._cells: dict[str, list[CellValue]] = {}
        for place, target in enumerate(targets):
            for item in _items(store, target, catalogue):
                row = self._cells.setdefault(item.name, [None] * self._n_cells)
                start = COLUMNS_PER_TARGET * place
                row[start : start + COLUMNS_PER_TARGET] = self._of_item(target, item)

    def of_product(self, name: str) -> Row:
        """The cells of a product."""
        if name not in self._errors:
            self.missing.append(name)
            return [None] * (self._n_cells + 1)
        return [*self._cells.get(name, [None] * self._n_cells), self._errors[name]]

    def _of_item(self, target: Target, item: Item) -> list[CellValue]:
        predicted = _cell(target, item.value)
        decided = None if item.has_changed else item.decided
        if item.has_changed:
            self._changed.add(item.name)
        if decided is None:
            self.decisions[target.name][item.decision] += 1
            tag = predicted if item.decision == DECISIONS[ACCEPT] else None
            return [tag, item.decision, None, None, None, predicted, item.probability]
        decision = _decision_of(target, item, decided)
        self.decisions[target.name][decision] += 1
        self.texts |= {decided.who, decided.note}
        tag = None if decided.value is None else _cell(target, decided.value)
        return [tag, decision, decided.who, decided.at, decided.note or None, predicted, item.probability]

    def notes(self, table: TableFile) -> list[Message]:
        """What a person should know of the written table."""
        notes = []
        if self.missing:
            notes.append(Message("review_products_not_in_store", **examples(self.missing)))
        if self._changed:
            notes.append(Message("review_decisions_outdated", **examples(sorted(self._changed))))
        if isinstance(table, Delimited):
            replaced = [text for text in sorted(self.texts) if not _is_encodable(text, table.encoding)]
            if replaced:
                notes.append(Message("review_texts_replaced", encoding=table.encoding, **examples(replaced)))
        return notes


def _items(store: Store, target: Target, catalogue: int) -> Iterator[Item]:
    start = 0
    while page := store.items(target.name, Filters(catalogue=catalogue), "added", start, PAGE):
        yield from page
        start += len(page)


def _decision_of(target: Target, item: Item, decided: Decided) -> str:
    if decided.value is None:
        return _KINDS[decided.kind]
    return CONFIRMED if label_set(target, decided.value) == label_set(target, item.value) else CORRECTED


def _cell(target: Target, value: str) -> CellValue:
    labels = labels_of(target, value)
    return labels if target.kind == "multilabel" else labels[0]


def _check_encodable(store: Store, table: TableFile, targets: Sequence[Target]) -> None:
    """Refuse to write classes for which the table's encoding has no characters."""
    if not isinstance(table, Delimited):
        return
    for name in (name for target in targets for name in store.classes(target.name)):
        if not _is_encodable(name, table.encoding):
            raise DataError("tag_not_encodable", path=str(table.path), encoding=table.encoding, name=name)


def _is_encodable(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True

"""The shop's own values: which products already have one, and where a prediction contradicts it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from muslin.catalogue.product_rows import ProductRows
from muslin.catalogue.taxonomy import Taxonomy
from muslin.data.dataset import Target
from muslin.data.tables import Cell, TableFile
from muslin.data.tables.cells import CellValue
from muslin.data.tables.columns import check_column
from muslin.errors import DataError, unknown
from muslin.messages import Message, examples

LIST_SEPARATORS = "|;,"
"""Between the labels in a cell of a target that can have several."""


@dataclass(frozen=True)
class TagNames:
    """The names of a target's tags: those of its classes, and the shop's.

    Attributes:
        exact: the tags that a name can mean.
        folded: the same by the name without its case, for values that are no name in their own case.
    """

    exact: Mapping[str, frozenset[str]]
    folded: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, target: Target, taxonomy: Taxonomy) -> "TagNames":
        exact: dict[str, frozenset[str]] = {}
        folded: dict[str, frozenset[str]] = {}
        for tag, name in ((taxonomy.name(name), name) for name in target.classes):
            for each in (tag, name):
                exact[each] = exact.get(each, frozenset()) | {tag}
                folded[each.casefold()] = folded.get(each.casefold(), frozenset()) | {tag}
        return cls(exact, folded)

    def meant(self, value: str) -> frozenset[str]:
        """The tags that a value can mean; none where it is no class."""
        return self.exact.get(value) or self.folded.get(value.casefold(), frozenset())


@dataclass(frozen=True)
class OwnValues:
    """What a catalogue says itself about its products.

    Attributes:
        columns: per target's name the column with the shop's own values.
        values: per target's name the values of each product, each once; none where its cells are empty.
        names: per target's name the names of its tags.
        foreign: per target's name values that are no name of a class, which no prediction can contradict.
    """

    columns: Mapping[str, str]
    values: Mapping[str, Sequence[tuple[str, ...]]]
    names: Mapping[str, "TagNames"]
    foreign: Mapping[str, Collection[str]]

    def is_filled(self, target: str, product: int) -> bool:
        """Whether a product, by its number, has a value of its own."""
        return target in self.values and bool(self.values[target][product])

    def contradicted(self, target: str, product: int, tags: CellValue) -> list[str]:
        """The values of a product that its tags, the cells with the shop's names, contradict.

        Args:
            tags: a tag, or several of a target that can have several; None where nothing was predicted.
        """
        values = self.values[target][product]
        own = [self.names[target].meant(value) for value in values]
        if tags is None or not all(own):
            return []
        predicted = {tags} if isinstance(tags, str) else set(tags if isinstance(tags, Sequence) else ())
        agrees = predicted <= frozenset().union(*own)
        if not isinstance(tags, str):
            agrees = agrees and all(predicted & meant for meant in own)
        return [] if agrees or not values else list(values)

    @property
    def notes(self) -> list[Message]:
        """Which columns they are, and values that are no classes."""
        notes = [Message("own_column", target=target, column=column) for target, column in self.columns.items()]
        for target, names in self.foreign.items():
            if names:
                column = self.columns[target]
                notes.append(Message("own_values_foreign", target=target, column=column, **examples(sorted(names))))
        return notes


def read_own_values(
    rows: ProductRows, targets: Sequence[Target], specs: Sequence[str], taxonomy: Taxonomy, *, only_empty: bool
) -> OwnValues | None:
    """The own values of the products; None where none are asked for.

    Args:
        specs: `COLUMN`, or `TARGET=COLUMN` for a model with several targets.
        only_empty: whether the columns with the targets' names are taken where no others are given.

    Raises:
        DataError: a column or a target is unknown or named twice, or there is no column for `only_empty`.
    """
    if not specs and not only_empty:
        return None
    columns = _own_columns(rows.table, targets, specs)
    if not columns:
        raise DataError("own_column_missing", path=str(rows.table.path), names=[target.name for target in targets])
    values, names, foreign = {}, {}, {}
    for target in (target for target in targets if target.name in columns):
        values[target.name] = _values_of_products(rows, columns[target.name], target.kind == "multilabel")
        names[target.name] = TagNames.of(target, taxonomy)
        found = {value for product in values[target.name] for value in product}
        foreign[target.name] = {value for value in found if not names[target.name].meant(value)}
    return OwnValues(columns, values, names, foreign)


def _own_columns(table: TableFile, targets: Sequence[Target], specs: Sequence[str]) -> dict[str, str]:
    names = [target.name for target in targets]
    columns: dict[str, str] = {}
    for spec in specs:
        target, equals, column = spec.partition("=")
        if len(names) == 1 and (spec in table.columns or target != names[0]):
            target, column = names[0], spec
        elif not equals or target not in names:
            raise DataError("own_column_target", text=spec, **unknown(target, names))
        if target in columns:
            raise DataError("own_column_twice", target=target, columns=[columns[target], column])
        check_column(table.path, column, table.columns)
        columns[target] = column
    if specs:
        return {name: columns[name] for name in names if name in columns}
    by_name = {name.strip().casefold(): name for name in reversed(table.columns) if name}
    return {name: by_name[name.casefold()] for name in names if name.casefold() in by_name}


def _values_of_products(rows: ProductRows, column: str, several: bool) -> list[tuple[str, ...]]:
    """The values of each product in the column, each once, in the order of its rows."""
    numbers = None if rows.numbers is None else rows.numbers.tolist()
    found: list[tuple[str, ...]] = []
    for index, (_, (cell,)) in enumerate(rows.table.rows([column])):
        number = index if numbers is None else numbers[index]
        if number == len(found):
            found.append(())
        new = tuple(value for value in _values_of(cell, several) if value not in found[number])
        found[number] += new
    return found


def _values_of(cell: Cell, several: bool) -> Sequence[str]:
    if not isinstance(cell, str):
        return cell
    separator = next((mark for mark in LIST_SEPARATORS if mark in cell), None) if several else None
    return [text for part in cell.split(separator) if (text := part.strip())] if separator else [cell] if cell else []

"""Decisions to a labelling tool and back: the work of `muslin review export --as` and `muslin review import`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from muslin.data.dataset import Target
from muslin.errors import DataError, MuslinError
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.review.exchange import EXCHANGE_FORMATS, read_exchange
from muslin.review.exchange.matching import ImportPlan, plan_import
from muslin.review.store import Store
from muslin.review.values import GONE, Filters, Item, NewDecision
from muslin.storage.local_path import check_local
from muslin.storage.outputs import Output
from muslin.workflows.inputs import check_output
from muslin.workflows.review_export import choose_catalogue

PAGE = 5_000
"""Items that are read of a store at once."""

CHUNK = 500
"""Decisions of one transaction."""


@dataclass(frozen=True)
class ExportedFile:
    """A file for a labelling tool.

    Attributes:
        path: of the file.
        settings: the file with the settings of the tool's project, or None.
        products: in the file; products without a readable photo are not.
        decisions: in the file.
    """

    path: str
    settings: str | None
    products: int
    decisions: int

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class ImportedFile:
    """What an import added to a store.

    Attributes:
        tool: that wrote the file: a name of `muslin.review.exchange.EXCHANGE_FORMATS`.
        added: decisions.
        same: decisions that the store had already.
        older, unknown, ambiguous, differing: numbers of the entries that were left out; see `ImportPlan` and
            `muslin.review.exchange.ReadFile`.
        changed: added decisions on products that have changed since, which do not count.
        classes: per target the classes that were added.
        notes: what was left out, and why.
    """

    tool: str
    added: int
    same: int
    older: tuple[int, ...]
    unknown: tuple[int, ...]
    ambiguous: tuple[int, ...]
    differing: tuple[int, ...]
    changed: int
    classes: Mapping[str, Sequence[str]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: plain(value) for name, value in asdict(self).items()}


def known_targets(store: Store) -> tuple[Target, ...]:
    """The targets of a store, with the classes of earlier models and those that people added."""
    return tuple(replace(target, classes=store.classes(target.name)) for target in store.targets)


@dataclass(frozen=True)
class StoredProducts:
    """The products of a store that are predicted and not gone; a page of them is in memory at a time.

    Iterated over, per product its items, one for each target, in the order in which they were added.
    """

    store: Store
    targets: Sequence[Target]
    catalogue: int | None = None

    def __iter__(self) -> Iterator[tuple[Item, ...]]:
        first, *others = (_items(self.store, target.name, self.catalogue) for target in self.targets)
        waiting = [next(items, None) for items in others]
        for item in first:
            for place, items in enumerate(others):  # in the same order, but a product may be new in one of them
                while (at := waiting[place]) is not None and at.product < item.product:
                    waiting[place] = next(items, None)
            same = [at for at in waiting if at is not None and at.product == item.product]
            if len(same) == len(others) and item.fingerprint != GONE:
                yield (item, *same)


def _items(store: Store, target: str, catalogue: int | None) -> Iterator[Item]:
    start = 0
    while page := store.items(target, Filters(catalogue=catalogue), sort="added", start=start, count=PAGE):
        yield from page
        start += len(page)


def export_for_tool(
    store: Store, tool: str, output: Output, *, catalogue: str | Path | None = None, photo_prefix: str = ""
) -> ExportedFile:
    """Write the products, predictions and decisions of a store for a labelling tool.

    Args:
        tool: a name of `muslin.review.exchange.EXCHANGE_FORMATS`.
        catalogue: the only one to write, as it was added; by default all.
        photo_prefix: what the tool needs before the name of each photo, such as a folder or an address.

    Raises:
        DataError: the store has no product, or no such catalogue.
        StorageError: the output exists or is an input, or cannot be written.
        MuslinError: its name does not end as the format's files do.
    """
    exchange = EXCHANGE_FORMATS[tool]
    if output.path.suffix.lower() != exchange.suffix:
        raise MuslinError("output_suffix", path=str(output.path), suffix=exchange.suffix)
    settings = output.beside(output.path.stem + exchange.settings_suffix) if exchange.settings else None
    for place in filter(None, (output, settings)):
        check_output(place, (), (store.name, *(each.path for each in store.catalogues())))
    chosen = None if catalogue is None else choose_catalogue(store, catalogue).id
    targets = known_targets(store)
    products = StoredProducts(store, targets, chosen)
    if next(iter(products), None) is None:
        raise DataError("exchange_no_products", path=store.name)
    if settings and exchange.settings:
        settings.write(exchange.settings(targets, products))
    with output.open() as file:
        for text in exchange.write(targets, products, photo_prefix):
            file.write(text.encode())
    counts = Counter(item.decided is not None and not item.has_changed for items in products for item in items)
    n_products = counts.total() // len(targets)
    return ExportedFile(str(output.path), str(settings.path) if settings else None, n_products, counts[True])


def import_decisions(
    store: Store, path: str | Path, who: str, *, add_classes: bool = False, log: Log = no_log
) -> ImportedFile:
    """Add the decisions in a file of Label Studio, FiftyOne or CVAT that a store does not have.

    Read twice, or after an interruption, a file adds nothing twice. Decisions keep who made them and when.

    Args:
        who: made the decisions of which the file does not tell it.
        add_classes: add labels that are no classes yet.
        log: called with each note.

    Raises:
        DataError: the file is damaged or of another tool, or has labels that are no classes; nothing is added then.
    """
    check_local(path)
    read = read_exchange(Path(path), known_targets(store))
    plan = plan_import(read.tool, read.decisions, known_targets(store), StoredProducts(store, store.targets))
    new_classes = plan.classes
    for target, names in new_classes.items():
        if not add_classes:
            raise DataError("exchange_new_classes", path=str(path), target=target, **examples(names))
        for name in names:
            store.add_class(target, name, who)
    if new_classes:
        targets = known_targets(store)
        plan = plan_import(read.tool, read.decisions, targets, StoredProducts(store, targets))
    added, changed = _decide(store, plan.decisions, who)
    notes = _notes(plan, read.differing, changed, str(path))
    for note in notes:
        log(note)
    return ImportedFile(
        read.tool,
        added,
        plan.same + len(plan.decisions) - added,
        tuple(plan.older),
        tuple(plan.unknown),
        tuple(plan.ambiguous),
        read.differing,
        changed,
        new_classes,
        tuple(notes),
    )


def _decide(store: Store, decisions: Sequence[tuple[str | None, NewDecision]], who: str) -> tuple[int, int]:
    """How many decisions were added, and how many of these are of products that have changed."""
    added = changed = 0
    for person, group in groupby(decisions, lambda pair: pair[0]):
        new = [decision for _, decision in group]
        for start in range(0, len(new), CHUNK):
            receipts = store.decide(new[start : start + CHUNK], person or who)
            added += sum(not receipt.is_repeated for receipt in receipts)
            changed += sum(receipt.has_changed and not receipt.is_repeated for receipt in receipts)
    return added, changed


def _notes(plan: ImportPlan, differing: Sequence[int], changed: int, path: str) -> list[Message]:
    """What was left out."""
    entries = {
        "exchange_older": plan.older,
        "exchange_unknown_products": plan.unknown,
        "exchange_ambiguous": plan.ambiguous,
        "exchange_differing": differing,
    }
    notes = [Message(code, path=path, **examples(numbers)) for code, numbers in entries.items() if numbers]
    return notes + ([Message("exchange_changed", count=changed)] if changed else [])

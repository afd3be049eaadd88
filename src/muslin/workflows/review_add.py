"""A catalogue into a review store: the work of `muslin review add`.

Read from `add_catalogue` down. Products go into the store a few hundred at a time, so an interrupted addition goes on
where it was. Products that are there already are changed where their photos or cells have changed.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from muslin.catalogue.product_rows import find_products, identifying_column
from muslin.errors import DataError, StoppedError
from muslin.messages import Log, Message, examples, no_log, plain
from muslin.models.predictor import CHUNK, Predictor
from muslin.review.store import Store
from muslin.review.values import GONE, AddedCounts, CatalogueRow, NewProduct
from muslin.storage.local_path import check_local
from muslin.workflows.product_catalogue import ProductCatalogue, open_catalogue
from muslin.workflows.review_export import choose_catalogue
from muslin.workflows.review_products import CatalogueProduct, open_store_model, predict_catalogue, read_products
from muslin.workflows.run_folder import absolute_source

SAMPLE = 200
"""Products of a new catalogue that are looked for in the others."""


@dataclass(frozen=True)
class AddOptions:
    """How to add a catalogue that the store does not know by its path.

    Attributes:
        instead_of: a catalogue of the store that it replaces: products with the same names are the same products.
        is_new: its products are new ones, also where another catalogue has the same.
    """

    instead_of: str | Path | None = None
    is_new: bool = False


@dataclass(frozen=True)
class AddedCatalogue:
    """What became of the products of a catalogue.

    Attributes:
        products: in the catalogue now.
        added: new in the store.
        changed: with other photos than before; decisions on the old ones do not count.
        returned: gone before, and in the catalogue again; decisions on the same photos count again.
        text_changed: with the same photos and other cells.
        unchanged: as they were.
        unreadable: without a readable photo, of all of these.
        gone: no longer in the catalogue since it was added last; decisions on them are kept.
        decisions: per target's name how often the model decides what, over the products that were predicted: the new
            and changed ones.
        precision: target of the accepted predictions.
        notes: what was found on the way.
    """

    path: str
    products: int
    added: int
    changed: int
    returned: int
    text_changed: int
    unchanged: int
    unreadable: int
    gone: int
    decisions: Mapping[str, Mapping[str, int]]
    precision: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {name: plain(value) for name, value in asdict(self).items()}


def add_catalogue(
    store: Store,
    data: str | Path,
    read_options: Mapping[str, Any] | None = None,
    *,
    options: AddOptions | None = None,
    log: Log = no_log,
    on_progress: Callable[[int, int], None] = lambda done, products: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> AddedCatalogue:
    """Predict the products of a catalogue and put them into the store; the same catalogue again updates them.

    Args:
        data: as of `muslin.workflows.tag.tag`.
        read_options: how to read the data, as `muslin.read` takes it; by default as the catalogue was read last.
        options: of a catalogue that is new to the store.
        log: called with each note as soon as it is known.
        on_progress: called with the numbers of finished and of all products.
        should_stop: called now and then; the work stops cleanly once it returns True.

    Raises:
        DataError: the data cannot be read, are another catalogue's products once more, or another model was promoted
            meanwhile.
        BundleError: the active model cannot be opened.
        StorageError: the store cannot be written. Finished work is kept.
        StoppedError: `should_stop` returned True; the same call continues.
    """
    options = options or AddOptions()
    read_options = _read_options(store, data, dict(read_options or {}), options)
    check_local(data, read_options.get("images"))
    catalogue, read_options = _open_catalogue(data, read_options, log)
    active, info = store.active, store.info
    predictor = open_store_model(store, active)
    chosen = predictor.rules.choose(info.precision, info.guarantee, per_product=catalogue.has_several)
    for note in (*catalogue.table.fixes, *catalogue.notes, *chosen.notes):
        log(note)
    source = absolute_source({"data": str(data), "test": None, "read_options": read_options})
    _place(store, source, catalogue, options, log)
    number = store.add_catalogue(source["data"], source["read_options"])
    work = _Work(
        catalogue, predictor, chosen.precision, info.guarantee, _known(store, number), on_progress, should_stop
    )
    counts = store.put_products(number, work.products(), active.digest)
    if work.is_stopped:
        raise StoppedError("review_add_stopped", path=store.name, done=work.done, count=catalogue.products)
    gone = [name for name, known in work.known.items() if name not in work.seen and known.fingerprint != GONE]
    n_gone = store.put_products(number, map(_gone_product, gone), active.digest).changed
    notes = _notes(work, gone)
    for note in notes:
        log(note)
    return _result(work, str(source["data"]), counts, n_gone, (*catalogue.notes, *chosen.notes, *notes))


def _read_options(store: Store, data: str | Path, given: dict[str, Any], options: AddOptions) -> dict[str, Any]:
    """How to read the catalogue: as the last time where nothing is given, and always by the same column of products."""
    if options.instead_of is not None:
        known = _options_after(_replaced(store, options.instead_of, data), Path(data).absolute())
    else:
        known = next((dict(row.read_options) for row in _rows_at(store, data)), {})
    if not given:
        return known
    return {name: value for name, value in known.items() if name == "product"} | given


def _rows_at(store: Store, path: str | Path) -> list[CatalogueRow]:
    return [row for row in store.catalogues() if row.path in (str(path), str(Path(path).absolute()))]


def _replaced(store: Store, old: str | Path, new: str | Path) -> CatalogueRow:
    """The catalogue that another one replaces, which has its place already where the addition was interrupted.

    Raises:
        DataError: there is no such catalogue.
    """
    try:
        return choose_catalogue(store, old)
    except DataError:
        if moved := _rows_at(store, new):
            return moved[0]
        raise


def _options_after(old: CatalogueRow, new: Path) -> dict[str, Any]:
    """How a catalogue is read that replaces another one: as that, but not with the photos of that one's own folder."""
    options, before = dict(old.read_options), Path(old.path)
    images = Path(options.get("images") or "")
    is_of_folder = before.parent != new.parent and images.is_relative_to(before.parent)
    if before != new and (is_of_folder or images.is_relative_to(before)):
        options.pop("images", None)
    return options


def _open_catalogue(
    data: str | Path, read_options: dict[str, Any], log: Log
) -> tuple[ProductCatalogue, dict[str, Any]]:
    """The catalogue, and the options by which its products have the same names when it has changed."""
    catalogue = open_catalogue(data, None, read_options, log)
    column = identifying_column(catalogue.rows)
    if column is None or "product" in read_options:
        return catalogue, read_options
    if catalogue.rows.numbers is None:
        rows, _ = find_products(catalogue.table, catalogue.rows.photos, column)
        note = Message("review_product_column", column=column)
        catalogue = replace(catalogue, rows=rows, notes=(*catalogue.notes, note))
    return catalogue, {**read_options, "product": column}


def _place(store: Store, source: Mapping[str, Any], catalogue: ProductCatalogue, options: AddOptions, log: Log) -> None:
    """Move the catalogue that this one replaces, or refuse products that another one has already."""
    path, paths = source["data"], {row.id: row.path for row in store.catalogues()}
    if options.instead_of is not None:
        old = _replaced(store, options.instead_of, path)
        if path in paths.values() and old.path != path:
            raise DataError("review_catalogue_known", path=path)
        if old.path == path and Path(options.instead_of).absolute() != Path(path):
            log(Message("review_catalogue_moved", path=path, other=str(options.instead_of)))
        store.move_catalogue(old.id, path, source["read_options"])
    elif path not in paths.values() and paths and not options.is_new:
        sample = {product.name: product.fingerprint for product in islice(read_products(catalogue), SAMPLE)}
        found = store.n_known(sample)
        most = max(found, key=lambda number: found[number], default=None)
        if most is not None and 2 * found[most] >= len(sample):
            params = {"count": found[most], "n": len(sample), "other": paths[most]}
            raise DataError("review_catalogue_repeats", path=path, **params)


@dataclass
class _Known:
    """A product that is in the store already."""

    fingerprint: str
    digest: bytes
    is_readable: bool


def _known(store: Store, number: int) -> dict[str, _Known]:
    return {
        each.name: _Known(each.fingerprint, _digest(each.photos, each.text), each.error is None)
        for each in store.products(number)
    }


def _digest(photos: tuple[str, ...], text: str) -> bytes:
    """Of what is shown of a product besides its photos' content."""
    return hashlib.blake2b(repr((photos, text)).encode("utf-8", "surrogateescape"), digest_size=16).digest()


@dataclass
class _Work:
    """The products of a catalogue on their way into the store, and what was counted."""

    catalogue: ProductCatalogue
    predictor: Predictor
    precision: float
    guarantee: str
    known: Mapping[str, _Known]
    on_progress: Callable[[int, int], None]
    should_stop: Callable[[], bool]
    is_stopped: bool = False

    def __post_init__(self) -> None:
        self.seen: set[str] = set()
        self.n_skipped = 0
        self.decisions = {target.name: Counter[str]() for target in self.predictor.targets}
        self.unreadable: list[str] = []

    @property
    def done(self) -> int:
        """Products that are finished."""
        return len(self.seen)

    def products(self) -> Iterator[NewProduct]:
        """The products that the store does not have as they are now."""
        new = self._new_products()
        for product in predict_catalogue(self.catalogue, self.predictor, new, self.precision, self.guarantee):
            self._count(product)
            yield product

    def _new_products(self) -> Iterator[CatalogueProduct]:
        for product in read_products(self.catalogue):
            self.seen.add(product.name)
            if not self._is_unchanged(product):
                yield product
            if self.done % CHUNK == 0 or self.done == self.catalogue.products:
                self.on_progress(self.done, self.catalogue.products)
            if self.done < self.catalogue.products and self.should_stop():
                self.is_stopped = True
                return

    def _is_unchanged(self, product: CatalogueProduct) -> bool:
        known = self.known.get(product.name)
        if known is None or known.fingerprint != product.fingerprint:
            return False
        is_equal = known.digest == _digest(product.photos, product.text)
        if is_equal:
            self.n_skipped += 1
            if not known.is_readable:
                self.unreadable.append(product.name)
        return is_equal

    def _count(self, product: NewProduct) -> None:
        if product.error is not None:
            self.unreadable.append(product.name)
        for name, prediction in product.predictions.items():
            self.decisions[name][prediction.decision] += 1


def _gone_product(name: str) -> NewProduct:
    return NewProduct(name, GONE, (), "", {}, error=str(Message("review_product_gone")))


def _notes(work: _Work, gone: list[str]) -> tuple[Message, ...]:
    notes = [Message("review_products_unreadable", **examples(work.unreadable))] if work.unreadable else []
    notes += [Message("review_products_gone", **examples(gone))] if gone else []
    return tuple(notes)


def _result(work: _Work, path: str, counts: AddedCounts, gone: int, notes: tuple[str, ...]) -> AddedCatalogue:
    return AddedCatalogue(
        path,
        work.catalogue.products,
        counts.added,
        counts.changed,
        counts.returned,
        counts.text_changed,
        work.n_skipped + counts.unchanged,
        len(work.unreadable),
        gone,
        {name: dict(each) for name, each in work.decisions.items()},
        work.precision,
        notes,
    )

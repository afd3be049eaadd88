"""The review store: products, what models predict for them, and what people decide. Start reading at `Store`.

A `Store` opens a database (`opening` and `database`; its tables are in `schema` and come about in `migrations`) and
hands each call to the module that knows its subject: `products` adds, `queue` chooses what to ask next, `search` finds,
`decisions` appends, `counts` counts. Its base class, in `store_models`, keeps models and promotions. `items` keeps the
table from which pages and counts are read, and `similar` finds what looks alike. Every write is one transaction, which
is on disk when the call returns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert

from muslin.data.dataset import Target
from muslin.errors import DataError, unknown
from muslin.messages import Message
from muslin.review import counts, decisions, items, model_rows, queue, search
from muslin.review import products as product_rows
from muslin.review.clock import now_text
from muslin.review.database import Database
from muslin.review.opening import create_database, open_database
from muslin.review.schema import CLASSES
from muslin.review.settings import check_who, clock_notes, find_target, raise_share, read_info
from muslin.review.similar import SimilarProducts
from muslin.review.store_models import StoreModels
from muslin.review.values import (
    SORTS,
    AddedCounts,
    CatalogueRow,
    Conflict,
    Counts,
    Decided,
    Filters,
    Item,
    NewDecision,
    NewProduct,
    Pace,
    Product,
    Receipt,
    SpotChecks,
    StoreInfo,
    StoreSettings,
    refused_at,
)
from muslin.text import is_safe_name

PACE_DECISIONS = 200
"""Last decisions of a person from which the pace is told."""

_ALL = Filters()
_DEFAULTS = StoreSettings()


class Store(StoreModels):
    """An open review store. Safe to use from several threads; other processes may have it open too.

    Every method raises:
        StorageError: the database is locked by another process, full, cannot be reached, read or written. Nothing of
            the call is in the store then, except where PostgreSQL broke the connection while it was committing:
            send the same requests again.
        DataError: the database is damaged, or a name or value is too long for it; where a person is named (`who`),
            that the name is empty.
    """

    def __init__(self, database: Database) -> None:
        """For `create` and `open`."""
        super().__init__(database)
        self._similar = SimilarProducts()

    @classmethod
    def create(cls, place: str | Path, model: Path, *, who: str, settings: StoreSettings = _DEFAULTS) -> "Store":
        """Make a store with a first model, which is active.

        Args:
            place: a path of a new SQLite file, or a URL of PostgreSQL: `postgresql://user@host/database`.

        Raises:
            StorageError: there is a store, or another file or table.
            BundleError: the model cannot be opened.
            DataError: a setting is out of range, or `who` is no name.
        """
        return cls(create_database(place, Path(model), check_who(who), settings))

    @classmethod
    def open(cls, place: str | Path) -> "Store":
        """Open a store, and bring its tables to this muslin's version.

        Raises:
            DataError: no store is there, or one of a later muslin.
        """
        return cls(open_database(place))

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def info(self) -> StoreInfo:
        """The settings."""
        with self._database.reading() as connection:
            return read_info(connection)

    def raise_spot_checks(self, share: float) -> None:
        """Make the random sample larger. What is in it stays in it.

        Raises:
            DataError: the share is not between 0 and 1, or is lower than before.
        """
        with self._database.writing() as connection:
            raise_share(connection, share)

    def notes(self) -> list[Message]:
        """What a person should know: that the clock was set back."""
        with self._database.reading() as connection:
            return clock_notes(connection, self.name)

    # Classes

    def classes(self, target: str) -> tuple[str, ...]:
        """The classes of a target, those of the active model first, then those of earlier models and of people."""
        with self._database.reading() as connection:
            find_target(connection, target)
            return model_rows.known_classes(connection, target)

    def add_class(self, target: str, name: str, who: str) -> None:
        """Add a class that no model knows yet; one that is there stays.

        Raises:
            DataError: no such target, or a name that no class can have.
        """
        if not name.strip() or name != name.strip() or not is_safe_name(name):
            raise DataError("review_class_name", name=name)
        check_who(who)
        with self._database.writing() as connection:
            find_target(connection, target)
            if name not in model_rows.known_classes(connection, target):
                row = {"target": target, "name": name, "who": who, "at": now_text()}
                connection.execute(insert(CLASSES), [row])

    # Catalogues and products

    def add_catalogue(self, path: str | Path, read_options: Mapping[str, Any]) -> int:
        """The id of a catalogue, which is added unless it is there; `path` is made absolute, unless it is the name of a
        data set."""
        with self._database.writing() as connection:
            return product_rows.add_catalogue(connection, path, read_options)

    def catalogues(self) -> list[CatalogueRow]:
        """In the order in which they were added."""
        with self._database.reading() as connection:
            return product_rows.read_catalogues(connection)

    def move_catalogue(self, old: int, path: str | Path, read_options: Mapping[str, Any]) -> None:
        """Let a catalogue stand at another path from now on; its products and decisions stay."""
        with self._database.writing() as connection:
            product_rows.move_catalogue(connection, old, path, read_options)

    def n_known(self, products: Mapping[str, str]) -> dict[int, int]:
        """Per catalogue how many of these products it has, by their names and fingerprints."""
        with self._database.reading() as connection:
            return product_rows.count_known(connection, products)

    def products(self, catalogue: int | None = None) -> Iterator[Product]:
        """All products, or those of a catalogue, in the order in which they were added."""
        return product_rows.read_products(self._database, catalogue)

    def product(self, product: int) -> Product:
        """
        Raises:
            DataError: no such product.
        """
        with self._database.reading() as connection:
            return product_rows.read_product(connection, product)

    def put_products(self, catalogue: int, products: Iterable[NewProduct], digest: str) -> AddedCounts:
        """Add products with the predictions of the active model, and change those that have changed.

        A few hundred are on disk before the next ones are asked for, so a killed process goes on where it was.

        Raises:
            DataError: `digest` is not the active model's (any more).
        """
        total = AddedCounts()
        for chunk in product_rows.chunks(products):
            with self._database.writing() as connection:
                if digest != model_rows.active_digest(connection):
                    raise DataError("review_model_changed", path=self.name)
                seed = read_info(connection).seed
                total += product_rows.add_products(connection, catalogue, chunk, digest, seed)
        return total

    # Work

    def next_items(self, target: str, who: str, count: int = 48, filters: Filters = _ALL, page: str = "") -> list[Item]:
        """The next items for a person, the least confident first, all with one predicted value; see `queue`.

        For `queue.LOCK_S` nobody gets them again, not even the same page, unless they are released; see `release`.

        Args:
            page: tells the pages of one person apart, such as two tabs.
        """
        check_who(who)
        with self._database.writing() as connection:
            filters = search.in_any_order(connection, find_target(connection, target), filters)
            spot_checks = read_info(connection).spot_checks
            found = queue.next_products(connection, target, who, page, count, filters, spot_checks)
            return self._items(connection, target, found)

    def release(self, who: str, page: str | None = None, products: Sequence[int] | None = None) -> None:
        """Give back what a person has: all of it, what one page has, or these products."""
        with self._database.writing() as connection:
            queue.release(connection, who, page, products)

    def items(
        self, target: str, filters: Filters = _ALL, sort: str = "confidence", start: int = 0, count: int = 48
    ) -> list[Item]:
        """A page of the search; `sort` is of SORTS.

        Raises:
            DataError: no such target or sort.
        """
        if sort not in SORTS:
            raise DataError("review_sort_unknown", **unknown(sort, SORTS))
        with self._database.reading() as connection:
            filters = search.in_any_order(connection, find_target(connection, target), filters)
            spot_checks = read_info(connection).spot_checks
            found = search.found_products(connection, target, filters, sort, start, count, spot_checks)
            return self._items(connection, target, found)

    def item(self, product: int, target: str) -> Item:
        """
        Raises:
            DataError: no such product, or one without a readable photo.
        """
        with self._database.reading() as connection:
            find_target(connection, target)
            found = self._items(connection, target, [product])
        if not found:
            raise DataError("review_product_missing", product=product)
        return found[0]

    def similar(self, product: int, target: str, count: int = 48) -> list[Item]:
        """The undecided items that look most like a product, the most similar first; see `similar`."""
        with self._database.reading() as connection:
            find_target(connection, target)
            return self._items(connection, target, self._similar.nearest(connection, product, target, count))

    def _items(self, connection: Connection, target: str, products: Sequence[int]) -> list[Item]:
        digest, spot_checks = model_rows.active_digest(connection), read_info(connection).spot_checks
        return items.read_items(connection, target, products, digest, spot_checks)

    # Decisions

    def decide(self, new: Sequence[NewDecision], who: str) -> list[Receipt]:
        """Append decisions, all or none of them. A request that is there already adds nothing.

        Raises:
            DataError: an unknown product, target, kind or value, or a request that was another decision's; its
                parameter `index` says which of the decisions it is about.
        """
        check_who(who)
        with self._database.writing() as connection:
            known: dict[str, tuple[Target, tuple[str, ...]]] = {}
            for index, decision in enumerate(new):
                with refused_at(index):
                    if decision.target not in known:
                        found = find_target(connection, decision.target)
                        known[found.name] = (found, model_rows.known_classes(connection, found.name))
                    decisions.check_decision(decision, *known[decision.target])
            spot_checks = read_info(connection).spot_checks
            return decisions.add_decisions(connection, new, who, spot_checks)

    def undo(self, decision: int, who: str, request: str) -> Receipt:
        """Append that a decision does not count; what counted before it counts again.

        Raises:
            DataError: no such decision, or a request that was another decision's.
        """
        return self.undo_all([(decision, request)], who)[0]

    def undo_all(self, undos: Sequence[tuple[int, str]], who: str) -> list[Receipt]:
        """The same for several decisions, each with its request: all or none of them.

        Raises:
            DataError: as `undo`.
        """
        check_who(who)
        with self._database.writing() as connection:
            return [decisions.undo_decision(connection, number, who, request) for number, request in undos]

    def history(self, product: int, target: str) -> list[Decided]:
        """All decisions on an item, undone ones and undos too, the first one first."""
        with self._database.reading() as connection:
            return decisions.history(connection, product, target)

    def decided(self, target: str) -> Iterator[Decided]:
        """The decisions that count for products as they are now, in the order of the products."""
        return decisions.read_decided(self._database, target)

    def conflicts(self, target: str) -> list[Conflict]:
        """Products on which people differ."""
        with self._database.reading() as connection:
            return decisions.conflicts(connection, find_target(connection, target))

    # How far the work is

    def counts(self, target: str) -> Counts:
        """How many items there are and how many are decided."""
        with self._database.reading() as connection:
            find_target(connection, target)
            return counts.count_items(connection, target, read_info(connection).spot_checks)

    def spot_checks(self, target: str, share: float | None = None) -> SpotChecks:
        """The spot checks: accepted members of the random sample, up to the first one that is not decided.

        Args:
            share: of the products in the random sample, where it was smaller than it is now.
        """
        with self._database.reading() as connection:
            now = read_info(connection).spot_checks
            found = find_target(connection, target)
            return counts.read_sample(connection, found, now if share is None else min(share, now), accepted_only=True)

    def random_sample(self, target: str) -> SpotChecks:
        """The random sample, accepted or not, up to the first member that is not decided."""
        with self._database.reading() as connection:
            found = find_target(connection, target)
            return counts.read_sample(connection, found, read_info(connection).spot_checks, accepted_only=False)

    def confidences(self, target: str) -> NDArray[np.float64]:
        """The active model's confidence in its prediction for each readable product, float64 (n,), in no order."""
        with self._database.reading() as connection:
            return counts.read_confidences(connection, target)

    def photos_per_product(self) -> float:
        """The mean, of a random thousand of the products; 1 without any."""
        with self._database.reading() as connection:
            return counts.mean_photos(connection)

    def pace(self, who: str) -> Pace:
        """How quick a person decides, from their last decisions."""
        with self._database.reading() as connection:
            seconds = sorted(decisions.last_seconds(connection, who, PACE_DECISIONS))
        return Pace(len(seconds), seconds[len(seconds) // 2] if seconds else None)

"""Catalogues and their products, added with predictions in pieces: each is on disk before the next one begins."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from muslin.data.registry import DATASETS
from muslin.errors import DataError
from muslin.review.clock import now_text
from muslin.review.database import Database
from muslin.review.items import make_items
from muslin.review.sampling import is_in_test, rank_of
from muslin.review.schema import CATALOGUES, PREDICTIONS, PRODUCTS, VECTORS, searchable
from muslin.review.values import GONE, AddedCounts, CatalogueRow, NewPrediction, NewProduct, Product

CHUNK = 500
"""Products in a transaction; in a search by number, SQLite takes 32,766 numbers and PostgreSQL 65,535."""


def chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def add_products(
    connection: Connection, catalogue: int, products: Sequence[NewProduct], digest: str, seed: int
) -> AddedCounts:
    """Add products, change those of which the fingerprint is another one, and write all their predictions."""
    by_name: dict[str, NewProduct] = {}
    for product in products:
        by_name.setdefault(product.name, product)
    here = PRODUCTS.c.catalogue == catalogue, PRODUCTS.c.name.in_(list(by_name))
    known = {row.name: product_of(row) for row in connection.execute(select(PRODUCTS).where(*here))}
    new = [product for name, product in by_name.items() if name not in known]
    _insert_products(connection, catalogue, new, seed)
    for name, old in known.items():
        _update_product(connection, old.id, by_name[name])
    ids = {row.name: row.id for row in connection.execute(select(PRODUCTS.c.name, PRODUCTS.c.id).where(*here))}
    of_products = {ids[name]: product for name, product in by_name.items()}
    add_predictions(connection, digest, {i: product.predictions for i, product in of_products.items()})
    add_vectors(connection, digest, {i: product.vector for i, product in of_products.items()})
    make_items(connection, list(of_products))
    return AddedCounts(
        added=len(new),
        **Counter(_what_became_of(old, by_name[name]) for name, old in known.items()),
        repeated=len(products) - len(by_name),
        unreadable=sum(product.error is not None for product in by_name.values()),
    )


def _what_became_of(old: Product, new: NewProduct) -> str:
    """Of a known product, as a field of `AddedCounts`."""
    if old.fingerprint != new.fingerprint:
        return "returned" if old.fingerprint == GONE else "changed"
    return "unchanged" if (old.photos, old.text) == (new.photos, new.text) else "text_changed"


def _insert_products(connection: Connection, catalogue: int, products: Sequence[NewProduct], seed: int) -> None:
    if not products:
        return
    path = str(connection.scalar(select(CATALOGUES.c.path).where(CATALOGUES.c.id == catalogue)))
    at = now_text()
    rows = [
        {
            **_columns_of(product),
            "catalogue": catalogue,
            "name": product.name,
            "rank": rank_of(seed, path, product.name),
            "in_test": is_in_test(seed, path, product.name),
            "added_at": at,
        }
        for product in products
    ]
    connection.execute(insert(PRODUCTS), rows)


def _update_product(connection: Connection, number: int, product: NewProduct) -> None:
    connection.execute(update(PRODUCTS).where(PRODUCTS.c.id == number).values(**_columns_of(product)))


def _columns_of(product: NewProduct) -> dict[str, Any]:
    return {
        "fingerprint": product.fingerprint,
        "photos": list(product.photos),
        "text": product.text,
        "search": searchable("\n".join([product.name, product.text, *product.photos])),
        "error": product.error,
    }


def add_predictions(
    connection: Connection, digest: str, predictions: Mapping[int, Mapping[str, NewPrediction]]
) -> None:
    """Write what the model `digest` predicts for products as they are now, in place of what is there."""
    ids = list(predictions)
    connection.execute(delete(PREDICTIONS).where(PREDICTIONS.c.product.in_(ids), PREDICTIONS.c.digest == digest))
    found = connection.execute(select(PRODUCTS.c.id, PRODUCTS.c.fingerprint).where(PRODUCTS.c.id.in_(ids)))
    rows = [
        {
            "product": number,
            "target": target,
            "digest": digest,
            "fingerprint": fingerprint,
            "value": prediction.value,
            "probability": prediction.probability,
            "decision": prediction.decision,
            "candidates": list(prediction.candidates),
        }
        for number, fingerprint in found
        for target, prediction in predictions[number].items()
    ]
    if rows:
        connection.execute(insert(PREDICTIONS), rows)


def add_vectors(connection: Connection, digest: str, vectors: Mapping[int, bytes | None]) -> None:
    """Write the vectors that the model `digest` gives for products; None leaves what is there."""
    rows = [
        {"product": number, "digest": digest, "vector": vector}
        for number, vector in vectors.items()
        if vector is not None
    ]
    if rows:
        here = VECTORS.c.product.in_([row["product"] for row in rows]), VECTORS.c.digest == digest
        connection.execute(delete(VECTORS).where(*here))
        connection.execute(insert(VECTORS), rows)


def add_catalogue(connection: Connection, path: str | Path, read_options: Mapping[str, Any]) -> int:
    """The id of a catalogue, which is added unless it is there."""
    absolute = str(path) if path in DATASETS else str(Path(path).absolute())
    found = connection.scalar(select(CATALOGUES.c.id).where(CATALOGUES.c.path == absolute))
    if found is not None:
        connection.execute(update(CATALOGUES).where(CATALOGUES.c.id == found).values(read_options=dict(read_options)))
        return int(found)
    row = {"path": absolute, "read_options": dict(read_options), "added_at": now_text()}
    return int(connection.execute(insert(CATALOGUES).values(row).returning(CATALOGUES.c.id)).scalar_one())


def read_catalogues(connection: Connection) -> list[CatalogueRow]:
    """In the order in which they were added."""
    rows = connection.execute(select(CATALOGUES).order_by(CATALOGUES.c.id))
    return [CatalogueRow(row.id, row.path, row.read_options, row.added_at) for row in rows]


def move_catalogue(connection: Connection, catalogue: int, path: str | Path, read_options: Mapping[str, Any]) -> None:
    """Let a catalogue stand at another path. Ranks of its products stay as they are."""
    row = {"path": str(path), "read_options": dict(read_options)}
    connection.execute(update(CATALOGUES).where(CATALOGUES.c.id == catalogue).values(row))


def count_known(connection: Connection, products: Mapping[str, str]) -> dict[int, int]:
    """Per catalogue how many of these products it has, by their names and fingerprints."""
    counts: Counter[int] = Counter()
    columns = PRODUCTS.c.catalogue, PRODUCTS.c.name, PRODUCTS.c.fingerprint
    for names in chunks(products):
        rows = connection.execute(select(*columns).where(PRODUCTS.c.name.in_(names)))
        counts.update(row.catalogue for row in rows if products[row.name] == row.fingerprint)
    return dict(counts)


def read_product(connection: Connection, product: int) -> Product:
    """
    Raises:
        DataError: no such product.
    """
    row = connection.execute(select(PRODUCTS).where(PRODUCTS.c.id == product)).one_or_none()
    if row is None:
        raise DataError("review_product_missing", product=product)
    return product_of(row)


def read_products(database: Database, catalogue: int | None) -> Iterator[Product]:
    """All products, or those of a catalogue. No transaction is open between two of them."""
    last = 0
    while True:
        query = select(PRODUCTS).where(PRODUCTS.c.id > last).order_by(PRODUCTS.c.id).limit(CHUNK)
        if catalogue is not None:
            query = query.where(PRODUCTS.c.catalogue == catalogue)
        with database.reading() as connection:
            found = [product_of(row) for row in connection.execute(query)]
        yield from found
        if not found:
            return
        last = found[-1].id


def product_of(row: Any) -> Product:
    """A row of `products`, read with all its columns."""
    return Product(
        id=row.id,
        catalogue=row.catalogue,
        name=row.name,
        fingerprint=row.fingerprint,
        photos=tuple(row.photos),
        text=row.text,
        rank=row.rank,
        in_test=row.in_test,
        error=row.error,
    )

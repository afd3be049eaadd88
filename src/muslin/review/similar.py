"""Products that look like another one, by the vectors of their photos' features."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from muslin.models.feature_vectors import DTYPE
from muslin.review.schema import ACTIVE_DIGEST, ITEMS, OPEN_ITEMS, VECTORS, active_items

ROWS = 16_384
"""Vectors that are compared at a time."""

MAX_CHECKED, CHECKED = 5_000, 500
"""Nearest products of which is looked up whether they are decided, in all and at a time."""


@dataclass(frozen=True, eq=False)
class _Vectors:
    """All vectors of the store that one model made; float16 (n, width), and int64 (n,) of their products."""

    state: tuple[str, int, int]
    products: NDArray[np.int64]
    vectors: NDArray[np.float16]


class SimilarProducts:
    """The vectors of a store in memory, 51 MB of 200,000 products; read when they are first needed. Thread-safe.

    They are those of the active model, read again when it is another one or when the store has more. A product that has
    changed since is found by its old photos.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: _Vectors | None = None

    def nearest(self, connection: Connection, product: int, target: str, count: int) -> list[int]:
        """Undecided products, the most similar first; none where the product has no vector."""
        of_active = (VECTORS.c.digest == ACTIVE_DIGEST).desc()  # where it gives no vectors, those of another model
        own = connection.execute(select(VECTORS).where(VECTORS.c.product == product).order_by(of_active)).first()
        if own is None:
            return []
        known = self._read(connection, own.digest)
        cosines = _cosines(known.vectors, np.frombuffer(own.vector, DTYPE))
        ordered = known.products[np.argsort(-cosines, kind="stable")]
        ordered, found = ordered[ordered != product][:MAX_CHECKED], list[int]()
        for start in range(0, len(ordered), CHECKED):
            some = ordered[start : start + CHECKED].tolist()
            is_open = select(ITEMS.c.product).where(active_items(target), OPEN_ITEMS, ITEMS.c.product.in_(some))
            left = set(connection.scalars(is_open))
            found += [each for each in some if each in left]
            if len(found) >= count:
                break
        return found[:count]

    def _read(self, connection: Connection, digest: str) -> _Vectors:
        of_model = VECTORS.c.digest == digest
        n, last = connection.execute(select(func.count(), func.max(VECTORS.c.product)).where(of_model)).one()
        with self._lock:
            if self._known is None or self._known.state != (digest, n, last):
                rows = connection.execute(
                    select(VECTORS.c.product, VECTORS.c.vector).where(of_model).order_by(VECTORS.c.product)
                ).all()
                vectors = np.frombuffer(b"".join(row.vector for row in rows), DTYPE).reshape(len(rows), -1)
                products = np.array([row.product for row in rows], np.int64)
                self._known = _Vectors((digest, n, last), products, vectors)
            return self._known


def _cosines(vectors: NDArray[np.float16], vector: NDArray[np.float16]) -> NDArray[np.float32]:
    """float32 (n,): the cosine of each of these vectors of unit length, float16 (n, width), and one more."""
    parts = [vectors[i : i + ROWS].astype(np.float32) @ vector.astype(np.float32) for i in range(0, len(vectors), ROWS)]
    return np.concatenate(parts)

"""Exact search: the products whose photos are nearest to a photo, among all."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.similarity.projection import Vectors

BLOCK = 16_384
"""Photos that are compared with the queries at a time: 16 MB of vectors, which stay in a processor's cache as they are
converted."""

QUERIES, QUERIED = 256, 4_096
"""Queries, and photos, at a time where there are many queries: 4 MB of cosines."""


class Nearest(NamedTuple):
    """The products nearest to a query, the nearest first.

    Attributes:
        products: int64 (k,).
        photos: int64 (k,): the product's nearest photo.
        cosines: float32 (k,).
    """

    products: NDArray[np.int64]
    photos: NDArray[np.int64]
    cosines: NDArray[np.float32]


class Search:
    """The vectors of a catalogue's photos in memory, in float32.

    Args:
        vectors: float (photos, width), of unit length.
        products: int64 (photos,), rising: the product of each photo; each product has a photo.
    """

    def __init__(self, vectors: NDArray[np.floating[Any]], products: NDArray[np.int64]) -> None:
        self.vectors = np.empty(vectors.shape, np.float32)
        for start in range(0, len(vectors), BLOCK):
            self.vectors[start : start + BLOCK] = vectors[start : start + BLOCK]
        self.products = products
        self.starts = np.flatnonzero(np.diff(products, prepend=-1))

    def cosines(self, queries: Vectors) -> NDArray[np.float32]:
        """Of each photo with each query, float32 (queries, photos)."""
        return np.asarray(queries @ self.vectors.T)

    def nearest(self, queries: Vectors, count: int, exclude: frozenset[int] = frozenset()) -> Nearest:
        """The products nearest to one thing that these photos show; a product counts by the best of its photos.

        Args:
            queries: float32 (queries, width), of unit length; of each photo the nearest counts.
            exclude: products that are left out.
        """
        cosines = self.cosines(queries)
        best = cosines[0] if len(cosines) == 1 else cosines.max(axis=0)
        of_product = maxima(best, self.starts)
        of_product[list(exclude)] = -np.inf
        count = min(count, len(of_product) - len(exclude))
        if count <= 0:
            return Nearest(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        chosen = np.argpartition(-of_product, count - 1)[:count]
        chosen = chosen[np.lexsort((chosen, -of_product[chosen]))]
        return Nearest(chosen, self.best_photos(best, chosen), of_product[chosen])

    def best_photos(self, cosines: NDArray[np.float32], products: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of each of these products the photo with the largest of `cosines`, float32 (photos,)."""
        ends = np.append(self.starts[1:], len(self.products))
        return np.array([self.starts[p] + cosines[self.starts[p] : ends[p]].argmax() for p in products], np.int64)

    def of_products(self, photos: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """For these photos as queries, some at a time: the photos, and the cosine of each product, its own photo left
        out: float32 (some, products); -2 of a product without another photo."""
        edges = np.unique(np.searchsorted(self.starts, np.arange(0, len(self.products), QUERIED)))
        for start in range(0, len(photos), QUERIES):
            some = photos[start : start + QUERIES]
            queries = self.vectors[some].T
            found = np.empty((len(some), len(self.starts)), np.float32)
            for first, end in pairwise([*edges.tolist(), len(self.starts)]):
                starts = self.starts[first:end]
                begin, stop = starts[0], self.starts[end] if end < len(self.starts) else len(self.products)
                cosines = self.vectors[begin:stop] @ queries
                own = np.flatnonzero((some >= begin) & (some < stop))
                cosines[some[own] - begin, own] = -2
                found[:, first:end] = maxima(cosines, starts - begin).T
            yield some, found


def maxima(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The largest value of each product, of float32 (photos,) or, column by column, (photos, queries).

    As `np.maximum.reduceat`, which takes ten times as long where a product has few photos.
    """
    counts = np.diff(starts, append=len(values))
    best = values[starts]
    for place in range(1, counts.max(initial=0)):
        several = np.flatnonzero(counts > place)
        best[several] = np.maximum(best[several], values[starts[several] + place])
    return np.asarray(best)

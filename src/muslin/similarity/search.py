"""Exact search: the products whose photos are nearest to a photo, among all."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.similarity.float16 import to_float32
from muslin.similarity.projection import Vectors

BLOCK = 16_384
"""Photos that are compared with the queries at a time: 16 MB of vectors, which stay in a processor's cache as they are
converted."""

QUERIES, QUERIED = 256, 4_096
"""Queries, and photos, at a time where there are many queries: 4 MB of cosines."""

CROWDED = 64
"""Near photos that a query may have among QUERIED, on average. Where there are more, only those of the best products
are kept, because a shop can have the same photo of very many products."""

ROUNDING = np.float32(1e-4)
"""More than the rounding by which a cosine depends on the other ones that are computed with it."""


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
            self.vectors[start : start + BLOCK] = to_float32(vectors[start : start + BLOCK])
        self.products = products
        self.starts = np.flatnonzero(np.diff(products, prepend=-1))
        self.ends = np.append(self.starts[1:], len(products))

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
        return np.array([self.starts[p] + cosines[self.starts[p] : self.ends[p]].argmax() for p in products], np.int64)

    def own_cosines(self, photos: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of each of these photos the cosine with the most similar other photo of its product, float32 (photos,); -2 of
        a product's only photo."""
        cosines = np.empty(len(photos), np.float32)
        for place, photo in enumerate(photos.tolist()):
            product = self.products[photo]
            of_product = self.vectors[self.starts[product] : self.ends[product]] @ self.vectors[photo]
            of_product[photo - self.starts[product]] = -2
            cosines[place] = of_product.max()
        return cosines

    def nearest_others(self, photos: NDArray[np.int64], count: int) -> Iterator[Nearest]:
        """For each of these photos the `count` products that are nearest to it beside its own."""
        count = min(count, len(self.starts) - 1)
        some_products = self.starts[:: max(1, len(self.starts) // QUERIED)]
        for start in range(0, len(photos), QUERIES) if count > 0 else ():
            some = photos[start : start + QUERIES]
            # `count` products of an even sample have at least this cosine, so no photo with less is among the nearest.
            least = np.partition(self._of_others(some, some_products), -count, axis=0)[-count] - ROUNDING
            query, photo, cosine = self._at_least(some, least, count)
            ends = np.cumsum(np.bincount(query, minlength=len(some)))
            for begin, end in pairwise([0, *ends.tolist()]):
                order = np.lexsort((photo[begin:end], -cosine[begin:end]))
                of_query, cosines = photo[begin:end][order], cosine[begin:end][order]
                _, best = np.unique(self.products[of_query], return_index=True)
                best = np.sort(best)[:count]
                yield Nearest(self.products[of_query[best]], of_query[best], cosines[best])

    def _at_least(
        self, photos: NDArray[np.int64], least: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Photos of other products whose cosine with a query is at least that, among them those of the `count` best
        products: the place of the query, rising, the photo and the cosine."""
        parts = []
        for start in range(0, len(self.products), QUERIED):
            cosines = self._of_others(photos, slice(start, start + QUERIED))
            places = np.flatnonzero(cosines >= least)
            if len(places) > CROWDED * len(photos):
                places = _of_best_products(cosines, self.products[start : start + QUERIED], count)
            parts.append((places % len(photos), start + places // len(photos), cosines.reshape(-1)[places]))
        query, photo, cosine = (np.concatenate(values) for values in zip(*parts, strict=True))
        order = np.argsort(query.astype(np.int16), kind="stable")
        return query[order], photo[order], cosine[order]

    def _of_others(self, photos: NDArray[np.int64], others: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """The cosine of each of these photos, float32 (others, photos); -2 with the photos of its own product."""
        cosines = np.asarray(self.vectors[others] @ self.vectors[photos].T)
        first, end = (np.searchsorted(self.products[others], self.products[photos], side) for side in ("left", "right"))
        for query in np.flatnonzero(first < end):
            cosines[first[query] : end[query], query] = -2
        return cosines


def _of_best_products(cosines: NDArray[np.float32], products: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places in `cosines`, float32 (photos, queries), of the best photo of each of the `count` best products of each
    query."""
    starts = np.flatnonzero(np.diff(products, prepend=-1))
    ends = np.append(starts[1:], len(products))
    of_product = maxima(cosines, starts)
    count = min(count, len(starts))
    places = []
    for query, chosen in enumerate(np.argpartition(-of_product, count - 1, axis=0)[:count].T.tolist()):
        photos = [starts[each] + int(cosines[starts[each] : ends[each], query].argmax()) for each in chosen]
        places += [photo * cosines.shape[1] + query for photo in photos]
    return np.array(places, np.int64)


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

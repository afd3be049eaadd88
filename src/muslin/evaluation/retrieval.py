"""How often a search finds the product that a photo shows, among the k most similar photos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.intervals import Interval, mean_with_interval

COUNTS = (1, 10, 20, 50)
"""Numbers of photos among which a photo of the same product is looked for."""

NOT_THERE = np.iinfo(np.int64).max
"""The rank of a query's own product where the gallery has no photo of it: among no number of photos."""

QUERIES = 256
"""Queries that are compared with the gallery at a time."""

Vectors = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Recall:
    """Recall@k: the share of queries with a photo of the same product among the k most similar ones of the gallery.

    Attributes:
        k: the number of photos.
        value: the share, 0 to 1.
        interval: its 95 % interval, of whole products, because photos of one product are not independent.
    """

    k: int
    value: float
    interval: Interval


def recalls(
    ranks: NDArray[np.int64], products: NDArray[np.int64], counts: Sequence[int] = COUNTS
) -> tuple[Recall, ...]:
    """Recall at each of `counts`.

    Args:
        ranks: int64 (queries,), at least one: how many photos of other products come before the first one of the
            query's own, as of `ranks_of_own`.
        products: int64 (queries,): the product of each query.
    """
    rows = []
    for k in counts:
        value, interval = mean_with_interval((ranks < k).astype(np.float64), products)
        assert value is not None
        rows.append(Recall(k, value, interval))
    return tuple(rows)


def ranks_of_own(
    queries: Vectors,
    query_products: NDArray[np.int64],
    gallery: Vectors,
    gallery_products: NDArray[np.int64],
    own_places: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Per query how many photos of other products are at least as similar as the most similar one of its own product,
    int64 (queries,); NOT_THERE where the gallery has no other photo of the product.

    Args:
        queries, gallery: float (n, width), of unit length.
        own_places: int64 (queries,): the place of each query in the gallery, which is left out; None where the gallery
            has none of them.
    """
    ranks = np.empty(len(queries), np.int64)
    transposed = np.asarray(gallery, np.float32).T
    for start in range(0, len(queries), QUERIES):
        block = slice(start, start + QUERIES)
        cosines = np.asarray(queries[block], np.float32) @ transposed
        is_own = query_products[block, np.newaxis] == gallery_products
        if own_places is not None:
            rows = np.arange(len(cosines))
            cosines[rows, own_places[block]] = -np.inf
            is_own[rows, own_places[block]] = False
        best = np.where(is_own, cosines, -np.inf).max(axis=1)
        others = np.where(is_own, -np.inf, cosines)
        ranks[block] = np.where(np.isfinite(best), (others >= best[:, np.newaxis]).sum(axis=1), NOT_THERE)
    return ranks

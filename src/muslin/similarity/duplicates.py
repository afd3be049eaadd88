"""Products that are listed twice: pairs of products with photos that show the same thing."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.similarity.projection import fit_projection
from muslin.similarity.search import Search

Kind = Literal["file", "photo"]
"""Why two products count as duplicates: equal files, or the same photo, changed."""

CANDIDATE_COSINE = 0.33
"""Between whitened features, above which two photos are laid over each other. Of 1,261 changed photos of clothing-small
98 % have more with their original, and 0.1 pairs of different photos for each photo."""

FEW_PRODUCTS = 2_000
"""Of so few products, each is compared with its nearest one, however far: whitening needs many photos."""

BLOCK = 2048
"""Pairs of photos whose features are whitened at a time."""

NEIGHBORS = 2
"""Nearest products of other photos that are candidates for each photo."""

SAME_PHOTO = 0.8
"""The least `registration.agreement` of photos that are the same one, changed. On clothing-small 95 % of 211 photos
that were cropped, tilted, mirrored and saved again have more with their original. Of its 350 most similar pairs of
photos, the three that show one thing in nearly one shot have more than 0.9, and no other one more than 0.64."""


class PhotoPair(NamedTuple):
    """Two photos of different products.

    Attributes:
        photos: numbers of the photos in the index, of the lower product first.
        cosine: between their whitened features.
    """

    photos: tuple[int, int]
    cosine: float


class Duplicate(NamedTuple):
    """Two products that are probably one.

    Attributes:
        products: their numbers, the lower one first.
        photos: of each the photo that shows it.
        kind: see Kind.
        cosine: between the photos' whitened features.
        agreement: of the photos laid over each other, `registration.agreement`; 1 of equal files.
    """

    products: tuple[int, int]
    photos: tuple[int, int]
    kind: Kind
    cosine: float
    agreement: float


def equal_files(
    digests: NDArray[np.uint8], products: NDArray[np.int64], not_same: Collection[tuple[int, int]] = ()
) -> Iterator[tuple[int, int]]:
    """Pairs of photos with equal files in different products: each with the first one whose product may be the same.

    Args:
        not_same: pairs of products, the lower number first, that are known to be two.
    """
    order = np.lexsort((np.arange(len(digests)), *digests.T))
    firsts: list[int] = []
    for photo in order.tolist():
        if firsts and (digests[photo] != digests[firsts[0]]).any():
            firsts = []
        product = int(products[photo])
        for first in firsts:
            other = int(products[first])
            if other == product or (min(other, product), max(other, product)) not in not_same:
                if other != product:
                    yield first, photo
                break
        else:
            firsts.append(photo)


def candidates(features: NDArray[np.floating[Any]], search: Search, digests: NDArray[np.uint8]) -> list[PhotoPair]:
    """Pairs of photos of different products that are alike enough to be laid over each other, the most alike first.

    Per pair of products the most similar photos.

    Args:
        features: (photos, width), of the index.
        search: of the index's vectors, by which neighbours are found.
        digests: uint8 (photos, 32): equal files are no candidates.
    """
    one, other, is_nearest = _neighbors(search)
    equal = (digests[one] == digests[other]).all(axis=1)
    one, other, is_nearest = (values[~equal] for values in (one, other, is_nearest))
    cosines = _whitened_cosines(features, one, other)
    takes_nearest = len(search.starts) <= FEW_PRODUCTS
    chosen = np.flatnonzero((cosines >= CANDIDATE_COSINE) | (is_nearest & takes_nearest))
    pairs: dict[tuple[int, int], PhotoPair] = {}
    for place in chosen[np.argsort(-cosines[chosen], kind="stable")].tolist():
        a, b = sorted((int(one[place]), int(other[place])))
        products = int(search.products[a]), int(search.products[b])
        pairs.setdefault(products, PhotoPair((a, b), float(cosines[place])))
    return list(pairs.values())


def _whitened_cosines(
    features: NDArray[np.floating[Any]], one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Of each pair of photos, float32 (pairs,)."""
    whitening = fit_projection(features, width=features.shape[1])
    cosines = np.empty(len(one), np.float32)
    for start in range(0, len(one), BLOCK):
        block = slice(start, start + BLOCK)
        pair = (whitening(np.asarray(features[places[block]])) for places in (one, other))
        cosines[block] = np.einsum("nf,nf->n", *pair)
    return cosines


def _neighbors(search: Search) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Each photo with the nearest photo of each of the NEIGHBORS nearest other products, and whether that is the
    nearest one: (pairs,) each."""
    nearest = list(search.nearest_others(np.arange(len(search.products)), NEIGHBORS))
    one = np.repeat(np.arange(len(nearest)), [len(each.photos) for each in nearest])
    other = np.concatenate([each.photos for each in nearest]) if nearest else one
    is_nearest = np.concatenate([np.arange(len(each.photos)) == 0 for each in nearest]) if nearest else one == 0
    return one, other, is_nearest


def groups_of(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The products that pairs link with each other, by rising numbers."""
    group: dict[int, set[int]] = {}
    for one, other in pairs:
        joined = group.get(one, {one}) | group.get(other, {other})
        for member in joined:
            group[member] = joined
    return sorted(sorted(members) for members in {id(each): each for each in group.values()}.values())

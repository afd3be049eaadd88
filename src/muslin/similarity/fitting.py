"""From the features of a catalogue's photos to vectors, and to what "the same product" can rest on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from muslin.evaluation.binomial import binomial_tail
from muslin.evaluation.retrieval import ranks_of_own
from muslin.similarity.projection import MAX_FITTED, Features, Projection, fit_projection
from muslin.similarity.same_product import MAX_CALIBRATED, SameProductData, calibrate
from muslin.similarity.search import Search

MIN_SEVERAL = 200
"""Products with several photos from which on a projection is learned from them; fewer are needed for calibration."""

LEARNED, CHOSEN = 0.5, 0.25
"""Shares of these products that a projection is learned from, and by which it is chosen. The others calibrate."""

MAX_LEARNED, MAX_CHOSEN = 5_000, 500
"""The most of each: more take longer, and hardly help."""

MAX_GALLERY = 20_000
"""Photos among which a projection is chosen, evenly drawn; one that finds more among these does so among all."""

FOLDS = 4
"""Parts of the calibrated products, each looked up with a projection that is fitted to all other photos."""

SIGNIFICANCE = 0.05
"""Of the sign test by which a learned projection is chosen."""

Products = NDArray[np.int64]


class Fitted(NamedTuple):
    """The projection of an index, its vectors, float16 (photos, width), and its calibration.

    `held_out` are products with several photos that neither the projection nor its choice has seen.
    """

    projection: Projection
    vectors: NDArray[np.float16]
    calibration: SameProductData | None
    held_out: Products


def fit_vectors(
    features: NDArray[np.float16], products: Products, same: frozenset[tuple[int, int]] = frozenset()
) -> Fitted:
    """Fit everything that an index needs beside features.

    Args:
        features: float16 (photos, width).
        products: int64 (photos,), rising from 0 without gaps: the product of each photo.
        same: pairs of products that a person found to be the same one, the lower number first.
    """
    projection, held_out = choose_projection(features, products)
    vectors = projection(features).astype(np.float16)
    known, unknown = looked_up(products, held_out)
    calibration = None
    if len(known):
        searches = _searches(features, products, projection, vectors, (known, unknown))
        calibration = calibrate(searches, known, unknown, same)
    return Fitted(projection, vectors, calibration, held_out)


def _searches(
    features: NDArray[np.float16],
    products: Products,
    projection: Projection,
    vectors: NDArray[np.float16],
    calibrated: tuple[Products, Products],
) -> list[Search]:
    """Searches to calibrate with, of which none was fitted to the products that are looked up in it, as of `calibrate`.

    Among the photos that a projection was fitted to, those of other products are less alike than a new photo and they
    are: with few photos, much less.
    """
    if projection.pairs or len(features) > MAX_FITTED:  # learned from other products; or fitted to very many photos
        return [Search(vectors, products)]
    searches = []
    for number in range(FOLDS):
        looked_up = np.concatenate([part[number::FOLDS] for part in calibrated])
        others = ~np.isin(products, looked_up)
        fitted = fit_projection(features[others] if others.any() else features)
        searches.append(Search(fitted(features).astype(np.float16), products))
    return searches


def looked_up(products: Products, held_out: Products) -> tuple[Products, Products]:
    """As many known as unknown products to calibrate with: those with several photos, and those with one, of which
    nothing could be learned; where these are too few, some of those with several."""
    alone = np.random.default_rng(1).permutation(np.flatnonzero(np.bincount(products) == 1))
    n_known = min(MAX_CALIBRATED, len(held_out), (len(held_out) + len(alone)) // 2)
    return held_out[:n_known], np.concatenate([alone, held_out[n_known:]])[:n_known]


def choose_projection(features: NDArray[np.float16], products: Products) -> tuple[Projection, Products]:
    """The projection of these photos; and the products with several photos that it has not seen, in random order.

    One that is learned from products with several photos is chosen where it finds significantly more other products of
    this kind; otherwise the one that is fitted without products.
    """
    plain = fit_projection(features)
    several = np.random.default_rng(0).permutation(np.flatnonzero(np.bincount(products) > 1))
    if len(several) < MIN_SEVERAL:
        return plain, several
    n_learned, n_chosen = (int(share * len(several)) for share in (LEARNED, CHOSEN))
    learned, chosen = several[:n_learned], several[n_learned : n_learned + n_chosen]
    held_out = several[n_learned + n_chosen :]
    rows = np.flatnonzero(np.isin(products, learned[:MAX_LEARNED]))
    supervised = fit_projection(features[rows], products[rows])
    is_better = pays(plain, supervised, features, products, chosen[:MAX_CHOSEN])
    return (supervised if is_better else plain), held_out


def pays(plain: Projection, supervised: Projection, features: Features, products: Products, chosen: Products) -> bool:
    """Whether the second projection finds more products than the first, by a sign test.

    Args:
        chosen: products with several photos, of each of which the first photo is looked up among others.
    """
    others = np.arange(0, len(products), max(1, len(products) // MAX_GALLERY))
    gallery = np.union1d(np.flatnonzero(np.isin(products, chosen)), others)
    of_gallery, places = products[gallery], np.searchsorted(products[gallery], chosen)
    found = []
    for projection in (plain, supervised):
        vectors = projection(features[gallery])
        found.append(ranks_of_own(vectors[places], chosen, vectors, of_gallery, places) == 0)
    gained, lost = int((found[1] & ~found[0]).sum()), int((found[0] & ~found[1]).sum())
    return gained > lost and binomial_tail(gained, gained + lost, 0.5) <= SIGNIFICANCE

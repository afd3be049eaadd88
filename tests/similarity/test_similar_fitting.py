"""What is learned from products, and what "the same product" guarantees, on features whose noise is known."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from muslin.errors import DataError
from muslin.evaluation.ood import normalize_rows
from muslin.evaluation.retrieval import ranks_of_own
from muslin.similarity.fitting import choose_projection, fit_vectors
from muslin.similarity.float16 import to_float32
from muslin.similarity.projection import fit_projection
from muslin.similarity.same_product import same_product_rule
from muslin.similarity.search import Search

WIDTH = 40


def features_of(
    products: int, views: int, random: np.random.Generator, *, noise: float = 0.5, only_noise: int = 0
) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Features of `views` photos of each product: what it is, and each photo's noise; in the first `only_noise`
    directions as much noise and nothing else."""
    centres = random.normal(0, 1, (products, WIDTH))
    centres[:, :only_noise] = 0
    scale = np.where(np.arange(WIDTH) < only_noise, 1.0, noise)
    photos = centres.repeat(views, axis=0) + random.normal(0, 1, (products * views, WIDTH)) * scale
    return photos.astype(np.float16), np.arange(products).repeat(views)


def test_a_projection_is_learned_where_it_pays() -> None:
    features, products = features_of(600, 2, np.random.default_rng(0), only_noise=25)
    learned, held_out = choose_projection(features, products)
    assert learned.pairs == 600, "two photos of each of half the products"
    places = np.flatnonzero(np.isin(products, held_out))
    found = []
    for projection in (fit_projection(features), learned):
        vectors = projection(features)
        ranks = ranks_of_own(vectors[places], products[places], vectors, products, places)
        found.append((ranks == 0).mean())
    assert found[1] > found[0] + 0.05


def test_no_projection_is_learned_where_it_does_not_pay() -> None:
    for products in (600, 100):  # nothing to learn; too few
        features, numbers = features_of(products, 2, np.random.default_rng(1), only_noise=0 if products == 600 else 25)
        assert choose_projection(features, numbers)[0].pairs == 0


def test_what_calibrates_was_not_learned_from() -> None:
    features, products = features_of(800, 2, np.random.default_rng(2), only_noise=25)
    fitted = fit_vectors(features, products)
    assert fitted.projection.pairs == 800
    assert fitted.calibration is not None
    assert len(fitted.held_out) == 200
    assert fitted.calibration.n_products == 75, "half are looked up as unknown, a quarter fits the confidence"


def test_the_same_product_is_correct_as_often_as_guaranteed() -> None:
    kept = said = 0
    for seed in range(12):
        features, products = features_of(400, 3, np.random.default_rng([seed, 3]), noise=0.6)
        place = np.arange(1200) % 3
        # in the index are two photos of each of 120 products, and one of each of 120 others
        indexed = np.flatnonzero((products < 120) & (place > 0) | (products >= 120) & (products < 240) & (place == 1))
        fitted = fit_vectors(features[indexed], products[indexed])
        rule = same_product_rule(fitted.calibration, 0.9)
        assert rule.n_products == 90, "a quarter fits the confidence"
        search = Search(fitted.vectors, products[indexed])
        looked_up = np.concatenate([np.arange(0, 360, 3), np.arange(840, 1200, 3)])  # as many unknown as known ones
        cosines = search.cosines(fitted.projection(features[looked_up]))
        is_said = np.maximum.reduceat(cosines, search.starts, axis=1) >= rule.threshold
        correct = int(is_said[np.arange(120), np.arange(120)].sum())
        said += int(is_said.sum())
        kept += correct >= 0.9 * is_said.sum()
    assert said > 12 * 60, "most of the 120 known products are found"
    assert kept >= 10, "the guarantee holds with 95 % confidence"


def test_guarantee_holds_with_fewer_photos_than_features() -> None:
    """Photos that the projection is fitted to are less alike than a new one and they are, and must not calibrate it."""
    width, kept = 240, 0
    scale = 1 / np.sqrt(1 + np.arange(width))
    for seed in range(8):
        random = np.random.default_rng([seed, 7])
        centres = random.normal(0, 1, (240, width)) * scale
        noise = random.normal(0, 1.15 * scale.mean(), (720, width))
        features, products = (centres.repeat(3, axis=0) + noise).astype(np.float16), np.arange(720) // 3
        place = np.arange(720) % 3
        indexed = np.flatnonzero((products < 120) & (place > 0) | (products >= 120) & (products < 160) & (place == 1))
        fitted = fit_vectors(features[indexed], products[indexed])
        rule = same_product_rule(fitted.calibration, 0.9)
        search = Search(fitted.vectors, products[indexed])
        looked_up = np.flatnonzero((place == 0) & ((products < 80) | (products >= 160)))
        cosines = search.cosines(fitted.projection(features[looked_up]))
        is_said = np.maximum.reduceat(cosines, search.starts, axis=1) >= rule.threshold
        kept += int(is_said[np.arange(80), np.arange(80)].sum()) >= 0.9 * is_said.sum()
    assert kept >= 7


def test_few_products_are_told_what_they_lack() -> None:
    features, products = features_of(12, 2, np.random.default_rng(4), noise=0.1)
    rule = same_product_rule(fit_vectors(features, products).calibration)
    assert (rule.precision, rule.threshold) == (None, np.inf)
    assert rule.unsupported is not None
    assert (rule.unsupported.code, rule.unsupported.params["n"]) == ("same_product_few", 6)
    alone = same_product_rule(fit_vectors(features[::2], products[::2]).calibration)
    assert alone.unsupported is not None
    assert alone.unsupported.code == "same_product_no_data"
    with pytest.raises(DataError) as refused:
        same_product_rule(None, 1.0)
    assert refused.value.code == "precision_range"


def test_one_product_can_be_indexed() -> None:
    features, products = features_of(1, 1, np.random.default_rng(5))
    fitted = fit_vectors(features, products)
    nearest = Search(fitted.vectors, products).nearest(fitted.projection(features), 5)
    assert nearest.products.tolist() == [0]
    assert nearest.cosines[0] == pytest.approx(1, abs=2e-3)


def test_search_is_exact_and_counts_a_product_once() -> None:
    random = np.random.default_rng(6)
    vectors = fit_projection(random.normal(0, 1, (500, WIDTH)))(random.normal(0, 1, (500, WIDTH)))
    products = np.sort(random.integers(0, 120, 500))
    products = np.unique(products, return_inverse=True)[1].astype(np.int64)
    query = vectors[:3]
    nearest = Search(vectors, products).nearest(query, 10, frozenset({5}))
    cosines = (vectors @ query.T).max(axis=1)
    best = {p: cosines[products == p].max() for p in range(products.max() + 1) if p != 5}
    expected = sorted(best, key=lambda p: -best[p])[:10]
    assert nearest.products.tolist() == expected
    assert nearest.cosines == pytest.approx([best[p] for p in expected], abs=1e-6)
    assert products[nearest.photos].tolist() == expected


def test_float16_becomes_float32_bit_by_bit() -> None:
    every = np.arange(65536, dtype=np.uint16).view(np.float16).reshape(-1, 128)
    expected = every.astype(np.float32)
    finite = np.isfinite(expected)
    converted = to_float32(every)
    assert np.array_equal(converted[finite].view(np.int32), expected[finite].view(np.int32))
    assert np.isfinite(converted).all()
    assert (np.abs(converted[~finite]) >= 65536).all()
    assert np.array_equal(to_float32(every[::3, ::2])[:10], expected[::3, ::2][:10])


@pytest.mark.parametrize("n_products", [2, 40, 9000])
def test_nearest_other_products_are_those_of_all_cosines(n_products: int) -> None:
    random = np.random.default_rng(n_products)
    kinds = random.normal(0, 1, (5, WIDTH)).repeat(n_products // 5 + 1, axis=0)[:n_products]  # sorted, as a shop's
    products = np.sort(random.integers(0, n_products, n_products)) if n_products > 2 else np.array([0, 1])
    products = np.unique(np.concatenate([np.arange(n_products), products]), return_inverse=True)[1]
    products = np.sort(products).astype(np.int64)
    vectors = normalize_rows(kinds[products] + random.normal(0, 1, (len(products), WIDTH)))
    search = Search(vectors, products)
    photos = random.permutation(len(products))[:300]
    cosines = search.vectors[photos] @ search.vectors.T
    cosines[np.arange(len(photos)), photos] = -2
    of_product = np.maximum.reduceat(cosines, search.starts, axis=1)
    own = of_product[np.arange(len(photos)), products[photos]]
    assert search.own_cosines(photos) == pytest.approx(own, abs=1e-5)
    of_product[np.arange(len(photos)), products[photos]] = -2
    nearest = list(search.nearest_others(photos, 5))
    assert len(nearest) == len(photos)
    for row, found in zip(of_product, nearest, strict=True):
        assert found.cosines == pytest.approx(np.sort(row)[::-1][: min(5, n_products - 1)], abs=1e-5)
        assert found.cosines == pytest.approx(row[found.products], abs=1e-5)
        assert products[found.photos].tolist() == found.products.tolist()


def test_one_photo_of_very_many_products_takes_little_memory() -> None:
    """As where a shop has a placeholder for each photo that is still to be taken."""
    count = 12_000
    vectors = normalize_rows(np.random.default_rng(0).normal(0, 1, (count, WIDTH)))
    vectors[500:] = vectors[500]
    search = Search(vectors, np.arange(count))
    photos = np.arange(400, 656)
    tracemalloc.start()
    nearest = list(search.nearest_others(photos, 5))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 30e6
    assert len(nearest) == len(photos)
    for photo, found in list(zip(photos.tolist(), nearest, strict=True))[::16]:
        cosines = np.delete(search.vectors @ search.vectors[photo], photo)
        assert found.cosines == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-5)
        assert len(set(found.products.tolist()) - {photo}) == 5

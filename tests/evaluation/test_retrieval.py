"""Recall@k, by numbers worked out by hand."""

import numpy as np
import pytest

from muslin.evaluation.retrieval import NOT_THERE, ranks_of_own, recalls


def unit(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_ranks_count_photos_of_other_products_before_the_own() -> None:
    gallery, products = unit(0, 10, 20, 90), np.array([7, 8, 7, 9])
    queries = unit(1, 11, 90, 45)
    ranks = ranks_of_own(queries, np.array([7, 7, 9, 5]), gallery, products)
    assert ranks.tolist() == [0, 1, 0, NOT_THERE]  # at 11 degrees the photo at 10 of product 8 is first; 5 is not there


def test_a_query_in_the_gallery_does_not_find_itself() -> None:
    gallery, products = unit(0, 10, 20, 90), np.array([7, 8, 7, 9])
    ranks = ranks_of_own(gallery, products, gallery, products, np.arange(4))
    assert ranks.tolist() == [1, NOT_THERE, 1, NOT_THERE]


def test_a_product_that_is_not_in_the_gallery_is_not_found() -> None:
    ranks = ranks_of_own(unit(0, 5), np.array([1, 5]), unit(0, 10), np.array([1, 2]))
    assert [(row.k, row.value) for row in recalls(ranks, np.arange(2))] == [(1, 0.5), (10, 0.5), (20, 0.5), (50, 0.5)]


def test_equal_photos_of_another_product_count_against() -> None:
    ranks = ranks_of_own(unit(0), np.array([1]), unit(0, 0), np.array([2, 1]))
    assert ranks.tolist() == [1]


def test_recall_is_the_share_of_queries_within_k() -> None:
    found = recalls(np.array([0, 0, 3, 9, 10, 60]), np.arange(6), (1, 10, 20, 50))
    assert [(row.k, row.value) for row in found] == [
        (1, pytest.approx(2 / 6)), (10, pytest.approx(4 / 6)), (20, pytest.approx(5 / 6)), (50, pytest.approx(5 / 6))
    ]  # fmt: skip
    assert all(0 <= row.interval[0] <= row.value <= row.interval[1] <= 1 for row in found)


def test_intervals_are_wider_where_products_have_many_queries() -> None:
    ranks = np.repeat([0, 5], 50).repeat(1)
    alone = recalls(ranks, np.arange(100), (1,))[0].interval
    ten_each = recalls(ranks, np.arange(100) // 10, (1,))[0].interval
    assert ten_each[1] - ten_each[0] > 2 * (alone[1] - alone[0])

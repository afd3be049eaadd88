from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.data.copies import unit_numbers
from muslin.data.dataset import Dataset, PixelImages, Target, join
from muslin.data.folds import fold_numbers
from muslin.data.split import split
from muslin.errors import DataError, TrainingError


def table(labels: list[int], products: list[str] | None, groups: list[str] | None = None) -> Dataset:
    count = len(labels)
    return Dataset(
        name="table",
        format="table",
        images=PixelImages(np.arange(count, dtype=np.uint16).view(np.uint8).reshape(count, 1, 2, 1)),
        targets=(Target("label", ("a", "b", "c", "d")),),
        labels={"label": np.array(labels, dtype=np.int64)},
        ids=np.array([str(i) for i in range(count)], dtype=object),
        groups=None if groups is None else np.array(groups, dtype=object),
        products=None if products is None else np.array(products, dtype=object),
    )


@st.composite
def tables(draw: Any) -> Dataset:
    count = draw(st.integers(4, 80))
    products = draw(st.lists(st.integers(0, draw(st.integers(1, 40))), min_size=count, max_size=count))
    groups = draw(st.none() | st.lists(st.integers(0, 20), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    return table(labels, [f"p{p}" for p in products], groups and [f"g{g}" for g in groups])


@settings(max_examples=300, deadline=None)
@given(tables(), st.sampled_from([0.0, 0.2, 0.5]), st.integers(0, 99), st.booleans())
def test_no_product_is_ever_in_two_parts(data: Dataset, fraction: float, seed: int, stratified: bool) -> None:
    try:
        parts = split(data, validation_fraction=fraction, seed=seed, stratified=stratified)
    except TrainingError:
        return
    for values in filter(lambda values: values is not None, (data.products, data.groups)):
        of = [set(values[i]) for i in (parts.train, parts.validation, parts.test)]
        assert sum(map(len, of)) == len(set().union(*of))


@settings(max_examples=100, deadline=None)
@given(tables(), st.integers(2, 6), st.integers(0, 99))
def test_no_product_is_ever_in_two_folds(data: Dataset, n_folds: int, seed: int) -> None:
    indices = np.flatnonzero(data.labels["label"] >= 0)
    try:
        folds, _ = fold_numbers(data, indices, n_folds, seed)
    except (TrainingError, ValueError):
        return
    assert data.products is not None
    for product in set(data.products[indices]):
        assert len(set(folds[data.products[indices] == product])) == 1


def test_groups_that_share_a_product_are_one_cluster() -> None:
    data = table([0] * 6, ["p", "p", "q", "q", "r", "s"], ["a", "b", "b", "c", "d", "e"])
    clusters = data.clusters
    assert clusters is not None
    assert np.array_equal(np.unique(clusters, return_inverse=True)[1], [0, 0, 0, 0, 1, 2])


@settings(max_examples=100, deadline=None)
@given(tables())
def test_clusters_are_connected_components(data: Dataset) -> None:
    units = unit_numbers(len(data), np.empty((0, 2), dtype=np.int64), data.groups, data.products)
    if data.clusters is None:
        assert len(set(units)) == len(data)
        return
    pairs = set(zip(units.tolist(), map(str, data.clusters), strict=True))
    assert len(pairs) == len({unit for unit, _ in pairs}) == len({cluster for _, cluster in pairs})


def test_products_of_one_photo_each_are_no_clusters() -> None:
    assert table([0, 1, 0], ["p", "q", "r"]).clusters is None
    assert table([0, 1, 0], None).clusters is None


def test_take_and_join_keep_products() -> None:
    data = table([0, 1, 0], ["p", "q", "p"])
    assert data.take(np.array([2, 1])).products.tolist() == ["p", "q"]  # type: ignore[union-attr]
    both = join({"train": data, "test": data.take(np.array([1]))})
    assert both.products is not None
    assert both.products.tolist() == ["p", "q", "p", "q"]


def test_join_keeps_products_that_only_one_part_has() -> None:
    data, other = table([0, 1, 0], ["p", "q", "(row 4)"], ["g", "g", "(row 4)"]), table([0, 1], None)
    joined = join({"train": replace(data, roles=np.array(["front", "", ""], dtype=object)), "test": other})
    assert joined.products is not None
    assert joined.groups is not None
    assert joined.roles is not None
    assert joined.products.tolist() == ["p", "q", "train/(row 4)", "test/0", "test/1"]
    assert joined.groups.tolist() == ["g", "g", "train/(row 4)", "test/0", "test/1"]
    assert joined.roles.tolist() == ["front", "", "", "", ""]
    assert join({"train": other, "test": other}).products is None


def test_products_must_be_as_many_as_images() -> None:

    with pytest.raises(DataError) as error:
        table([0, 1, 0], ["p", "q"])
    assert error.value.code == "field_length"
    assert error.value.params["field"] == "products"


def test_fewer_products_than_folds_and_a_lone_class_are_said() -> None:
    data = table([0, 1, 0, 1, 0, 2], ["p", "p", "q", "q", "r", "r"])
    folds, notes = fold_numbers(data, np.arange(6), 5, seed=0)
    assert len(set(folds)) == 3
    assert [note.code for note in notes] == ["fewer_groups_than_folds", "classes_of_one_fold"]
    with pytest.raises(TrainingError) as error:
        fold_numbers(table([0, 1], ["p", "p"]), np.arange(2), 5, seed=0)
    assert error.value.code == "one_group"

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.data.dataset import Dataset, PixelImages, Target
from muslin.data.split import split
from muslin.errors import TrainingError


@st.composite
def tables(draw: Any) -> Dataset:
    count = draw(st.integers(4, 80))
    groups = draw(st.lists(st.integers(0, draw(st.integers(1, 40))), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    return Dataset(
        name="table",
        format="table",
        images=PixelImages(np.zeros((count, 1, 1, 1), dtype=np.uint8)),
        targets=(Target("label", ("a", "b", "c", "d")),),
        labels={"label": np.array(labels, dtype=np.int64)},
        ids=np.array([str(i) for i in range(count)], dtype=object),
        groups=np.array([f"g{g}" for g in groups], dtype=object),
    )


@settings(max_examples=400, deadline=None)
@given(tables(), st.sampled_from([0.0, 1 / 12, 0.2, 0.5, 0.7]), st.integers(0, 99), st.booleans())
def test_no_group_is_ever_in_two_parts(table: Dataset, fraction: float, seed: int, stratified: bool) -> None:
    try:
        parts = split(table, validation_fraction=fraction, seed=seed, stratified=stratified)
    except TrainingError:
        return
    assert table.groups is not None
    of = [set(table.groups[i]) for i in (parts.train, parts.validation, parts.test)]
    assert not of[0] & of[1]
    assert not of[0] & of[2]
    assert not of[1] & of[2]
    together = np.sort(np.concatenate([parts.train, parts.validation, parts.test]))
    assert np.array_equal(together, np.flatnonzero(table.labels["label"] >= 0))


def test_groups_are_drawn_in_the_proportions_of_the_classes() -> None:
    labels = np.repeat(np.arange(2), [400, 100])
    table = Dataset(
        name="table",
        format="table",
        images=PixelImages(np.zeros((500, 1, 1, 1), dtype=np.uint8)),
        targets=(Target("label", ("a", "b")),),
        labels={"label": labels},
        ids=np.arange(500).astype(str).astype(object),
        groups=np.array([f"g{i // 2}" for i in range(500)], dtype=object),
    )
    parts = split(table, validation_fraction=0.25, seed=3)
    assert abs(len(parts.test) - 100) <= 4
    assert abs(labels[parts.test].mean() - 0.2) < 0.03
    assert abs(labels[parts.validation].mean() - 0.2) < 0.03

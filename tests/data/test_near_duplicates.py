"""The search for near pairs leaves out nothing and adds nothing, whatever the images are like."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muslin.data import read
from muslin.data.audit import near_duplicates
from muslin.data.audit.near_duplicates import close_pairs
from muslin.data.dataset import pixel_array


def by_comparing_all(images, radius):  # (count, width)
    flat = images.astype(np.int64)
    squared = ((flat[:, np.newaxis] - flat[np.newaxis]) ** 2).sum(axis=2)
    return {(i, j) for i, j in np.argwhere(np.sqrt(squared) < radius).tolist() if i < j}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 120),
    width=st.integers(1, 60),
    spread=st.sampled_from([1, 3, 20, 255]),
    radius=st.floats(0.5, 900),
)
def test_exactly_the_pairs_below_the_radius_are_found(seed, count, width, spread, radius):
    random = np.random.default_rng(seed)
    images = random.integers(0, spread + 1, (count, width), dtype=np.uint8)
    images[count // 2 :] = np.clip(
        images[: count - count // 2] + random.integers(0, 3, (count - count // 2, width)), 0, 255
    )
    pairs, distances = close_pairs(images, radius)
    assert set(map(tuple, pairs.tolist())) == by_comparing_all(images, radius)
    assert len(pairs) == len(set(map(tuple, pairs.tolist())))
    assert (np.diff(distances) >= 0).all()
    difference = images[pairs[:, 0]].astype(float) - images[pairs[:, 1]]
    assert distances == pytest.approx(np.sqrt((difference**2).sum(axis=1)))


def test_pairs_in_different_blocks_are_found(monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (301, 8, 8, 3), dtype=np.uint8)
    images[300] = images[7]
    images[300, 0, 0, 0] ^= 1
    monkeypatch.setattr(near_duplicates, "BLOCK", 16)
    pairs, distances = close_pairs(images, 30.0)
    assert pairs.tolist() == [[7, 300]]
    assert distances.tolist() == [1.0]


def test_only_the_rows_asked_for_are_compared():
    images = np.zeros((40, 6), dtype=np.uint8)
    images[:, 0] = np.arange(40) * 5
    pairs, _ = close_pairs(images, 11.0, indices=np.array([3, 4, 9, 30, 32]))
    assert pairs.tolist() == [[3, 4], [30, 32]]


def test_a_pair_at_exactly_the_radius_is_not_nearer_than_it():
    images = np.zeros((2, 25), dtype=np.uint8)
    images[1, :] = 2
    assert len(close_pairs(images, 10.0)[0]) == 0
    assert len(close_pairs(images, 10.001)[0]) == 1


def test_ten_thousand_copies_of_one_image_end_the_search_instead_of_the_memory(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK", 256)
    images = np.random.default_rng(0).integers(0, 3, (10_000, 64), dtype=np.uint8)
    tracemalloc.start()
    pairs, _ = close_pairs(images, 1e3, most=100_000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 100_000 <= len(pairs) < 300_000
    assert most < 400e6


def test_how_far_it_is_is_told_and_ends_at_all_of_it():
    told = []
    close_pairs(np.zeros((5000, 4), dtype=np.uint8), 1.0, most=10**9, log=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.slow
def test_the_near_pairs_known_in_fashion_mnist_are_all_found():
    dataset = read("fashion-mnist")
    pairs, distances = close_pairs(pixel_array(dataset), 200.0)
    in_test = (dataset.parts == "test")[pairs].sum(axis=1)
    known = {50: (13, 1, 1), 100: (21, 1, 6), 200: (39, 1, 14)}  # train, test, across
    for limit, counts in known.items():
        assert tuple(int(((in_test == n) & (distances < limit)).sum()) for n in (0, 2, 1)) == counts
    found = {tuple(dataset.ids[pair]): float(d) for pair, d in zip(pairs, distances, strict=True)}
    assert found["train/20554", "train/36357"] == pytest.approx(18.8, abs=0.1)
    assert found["test/2115", "test/4926"] == pytest.approx(41.5, abs=0.1)
    assert found["train/13360", "test/4998"] == pytest.approx(20.8, abs=0.1)

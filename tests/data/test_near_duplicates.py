"""The search for near pairs is exact, whatever the images are like."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compared_pairs import noted_comparisons
from muslin.data import read
from muslin.data.audit import near_duplicates
from muslin.data.audit.near_duplicates import close_pairs
from muslin.data.dataset import pixel_array


def brute_force_pairs(images, radius):  # (count, width)
    flat = images.astype(np.int64)
    squared = ((flat[:, np.newaxis] - flat[np.newaxis]) ** 2).sum(axis=2)
    return {(i, j) for i, j in np.argwhere(np.sqrt(squared) < radius).tolist() if i < j}


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 120),
    width=st.integers(1, 60),
    spread=st.sampled_from([1, 3, 20, 255]),
    radius=st.floats(0.5, 900),
    few=st.sampled_from([0, near_duplicates.FEW_IMAGES]),
)
def test_pairs_equal_those_of_brute_force(seed, count, width, spread, radius, few):
    random = np.random.default_rng(seed)
    images = random.integers(0, spread + 1, (count, width), dtype=np.uint8)
    images[count // 2 :] = np.clip(
        images[: count - count // 2] + random.integers(0, 3, (count - count // 2, width)), 0, 255
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "FEW_IMAGES", few)
        pairs, distances = close_pairs(images, radius)
    assert set(map(tuple, pairs.tolist())) == brute_force_pairs(images, radius)
    assert len(pairs) == len(set(map(tuple, pairs.tolist())))
    assert (np.diff(distances) >= 0).all()
    difference = images[pairs[:, 0]].astype(float) - images[pairs[:, 1]]
    assert distances == pytest.approx(np.sqrt((difference**2).sum(axis=1)))


@pytest.mark.parametrize("few", [0, near_duplicates.FEW_IMAGES])
def test_pairs_in_different_blocks_are_found(few, monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (301, 8, 8, 3), dtype=np.uint8)
    images[300] = images[7]
    images[300, 0, 0, 0] ^= 1
    monkeypatch.setattr(near_duplicates, "BLOCK", 16)
    monkeypatch.setattr(near_duplicates, "FEW_IMAGES", few)
    pairs, distances = close_pairs(images, 30.0)
    assert pairs.tolist() == [[7, 300]]
    assert distances.tolist() == [1.0]


def test_few_pairs_are_compared_over_all_values(monkeypatch):
    random, compared = np.random.default_rng(0), noted_comparisons(monkeypatch)
    images = random.integers(0, 256, (2_000, 60), dtype=np.uint8)
    images[1_990:] = images[:10] ^ 1
    assert len(close_pairs(images, 30.0)[0]) == 10
    assert 10 <= sum(compared) < 2_000**2 / 2 / 1_000


def test_only_the_given_rows_are_compared():
    images = np.zeros((40, 6), dtype=np.uint8)
    images[:, 0] = np.arange(40) * 5
    pairs, _ = close_pairs(images, 11.0, indices=np.array([3, 4, 9, 30, 32]))
    assert pairs.tolist() == [[3, 4], [30, 32]]


def test_a_pair_at_exactly_the_radius_is_not_found():
    images = np.zeros((2, 25), dtype=np.uint8)
    images[1, :] = 2
    assert len(close_pairs(images, 10.0)[0]) == 0
    assert len(close_pairs(images, 10.001)[0]) == 1


def test_ten_thousand_copies_end_the_search_not_the_memory(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK", 256)
    images = np.random.default_rng(0).integers(0, 3, (10_000, 64), dtype=np.uint8)
    tracemalloc.start()
    pairs, _ = close_pairs(images, 1e3, max_pairs=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 100_000 <= len(pairs) < 300_000
    assert peak < 400e6


def test_progress_rises_to_one():
    shares = []
    close_pairs(np.zeros((2100, 4), dtype=np.uint8), 1.0, max_pairs=10**9, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.slow
def test_known_near_pairs_of_fashion_mnist_are_found():
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

import numpy as np
import pytest
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from muslin.data.draws import draw_count, draw_fraction, draw_stratified

FRACTIONS = (0.1, 0.2, 0.25, 0.37, 0.5)


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_fraction_is_that_of_train_test_split(fraction: float) -> None:
    for n in (2, 3, 10, 59, 1000):
        expected = train_test_split(np.arange(n), test_size=fraction, random_state=n)
        assert [part.tolist() for part in draw_fraction(n, fraction, seed=n)] == [part.tolist() for part in expected]


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_stratified_draw_is_that_of_train_test_split(fraction: float) -> None:
    random = np.random.default_rng(0)
    for seed in range(60):
        labels = np.concatenate([np.repeat(np.arange(5), 2), random.integers(0, random.integers(1, 5), 40 + seed)])
        expected = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels)
        drawn = draw_stratified(labels, fraction, seed)
        assert [part.tolist() for part in drawn] == [part.tolist() for part in expected]


def test_drawn_groups_are_those_of_group_shuffle_split() -> None:
    for seed in range(60):
        groups = np.random.default_rng(seed).permutation(np.concatenate([np.arange(9), np.arange(30) % 7]))
        shuffle = GroupShuffleSplit(1, test_size=1 + seed % 8, random_state=seed)
        _, expected = next(shuffle.split(groups, None, groups))
        drawn = np.isin(groups, draw_count(9, 1 + seed % 8, seed)[1])
        assert np.flatnonzero(drawn).tolist() == expected.tolist()

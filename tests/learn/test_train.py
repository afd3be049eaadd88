"""Evenly spaced samples of images."""

import numpy as np
import pytest

from muslin.data.dataset import Split
from muslin.data.draws import evenly_spaced
from muslin.learn.train import MAX_VALIDATION_IMAGES, validation_subset


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_evenly_spaced_indices_reach_from_first_to_last(count):
    indices = evenly_spaced(count, 16)
    assert len(indices) == min(count, 16)
    if count:
        assert indices[0] == 0
        assert indices[-1] == count - 1
    assert np.all(np.diff(indices) >= 1)
    assert count < 2 or np.ptp(np.diff(indices)) <= 1


def test_validation_subset_has_images_of_every_class():
    validation = np.arange(100, 30_100)
    split = Split(train=np.arange(100), validation=validation, test=np.arange(0), notes=("in order",))
    subset = validation_subset(split)
    assert len(subset) == MAX_VALIDATION_IMAGES
    assert set(subset) <= set(validation)
    counts = np.bincount((subset - 100) // 1000)  # thirty classes of a thousand
    assert counts.min() >= MAX_VALIDATION_IMAGES // 30

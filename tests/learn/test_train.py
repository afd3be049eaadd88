"""Which images stand for many."""

import numpy as np
import pytest

from muslin.data.dataset import Split
from muslin.learn.train import MAX_VALIDATION_IMAGES, evenly_spaced, validation_subset


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 1000])
def test_places_are_spread_from_the_first_to_the_last(count):
    places = evenly_spaced(count, 16)
    assert len(places) == min(count, 16)
    if count:
        assert places[0] == 0
        assert places[-1] == count - 1
    assert np.all(np.diff(places) >= 1)
    assert count < 2 or np.ptp(np.diff(places)) <= 1


def test_an_epoch_is_judged_by_some_validation_images_of_every_class_although_folders_come_one_by_one():
    validation = np.arange(100, 30_100)
    split = Split(train=np.arange(100), validation=validation, test=np.arange(0), notes=("in order",))
    checked = validation_subset(split)
    assert len(checked) == MAX_VALIDATION_IMAGES
    assert set(checked) <= set(validation)
    counts = np.bincount((checked - 100) // 1000)  # thirty classes of a thousand
    assert counts.min() >= MAX_VALIDATION_IMAGES // 30

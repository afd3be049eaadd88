"""Random splits where some classes are rare."""

from dataclasses import replace

import numpy as np
import pytest

from muslin.data.dataset import UNKNOWN, Target
from muslin.data.split import split
from muslin.data.synthetic import make_garments


@pytest.mark.parametrize("grouped", [False, True])
def test_a_class_with_one_photo_is_in_the_training_set(grouped):
    synthetic = make_garments(100, seed=1).dataset
    groups = np.array([str(i // 3) for i in range(100)], dtype=object) if grouped else None
    colours = Target("colour", tuple(f"colour {i}" for i in range(30)))
    labels = np.arange(100) % 2
    labels[:28] = np.arange(2, 30)
    labels[28:40] = UNKNOWN
    both = replace(
        synthetic,
        targets=(*synthetic.targets, colours),
        labels={**synthetic.labels, "colour": labels.astype(np.int64)},
        groups=groups,
    )
    for seed in range(5):
        parts = split(both, validation_fraction=0.1, seed=seed)
        assert set(range(30)) <= set(labels[parts.train])
        together = np.concatenate([parts.train, parts.validation, parts.test])
        assert sorted(together) == list(range(100))
        assert "moved_to_training" in [note.code for note in parts.notes]
        if groups is not None:
            assert not set(groups[parts.train]) & set(groups[parts.test])

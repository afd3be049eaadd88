"""The graph of OOD scores computes `OODDetector.ood_score`."""

import numpy as np
import pytest
from numpy.typing import NDArray

from muslin.evaluation.ood import OODDetector, fit_ood_detector
from muslin.models.ood_graph import OODScorer


def random_features(count: int, width: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.5, 1, (count, width)).astype(np.float32)


def detector_of(references: int, width: int) -> OODDetector:
    detector = fit_ood_detector(random_features(references, width, 0), random_features(50, width, 1))
    assert detector is not None
    return detector


@pytest.mark.parametrize(("references", "width"), [(1, 3), (9, 1), (10, 5), (300, 32), (1000, 1280)])
def test_graph_scores_equal_the_formula(references: int, width: int) -> None:
    detector, features = detector_of(references, width), random_features(70, width, 2)
    features[3] = 0
    found = OODScorer(detector, 2).score(features)
    np.testing.assert_allclose(found[:, 0], detector.ood_score(features), atol=1e-6)
    assert found.dtype == np.float32
    assert OODScorer(detector, 1).score(features[:0]).shape == (0, 1)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_scores_do_not_depend_on_the_batch(threads: int) -> None:
    scorer, features = OODScorer(detector_of(1000, 1280), threads), random_features(64, 1280, 2)
    expected = OODScorer(detector_of(1000, 1280), 1).score(features)
    for size in (1, 2, 5, 16, 64):
        parts = [scorer.score(features[i : i + size]) for i in range(0, 64, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)

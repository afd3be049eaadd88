"""Spearman's rank correlation against SciPy's."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from muslin.evaluation.rank_correlation import rank_correlation


@pytest.mark.parametrize("distinct", [2, 3, 10, 1000])
def test_rank_correlation_is_scipys_also_with_ties(distinct: int) -> None:
    random = np.random.default_rng(distinct)
    a, b = random.integers(0, distinct, 60).astype(float), random.normal(size=60).round(1)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)

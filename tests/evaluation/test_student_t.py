"""Student's t distribution against SciPy's."""

import numpy as np
import pytest
from scipy.stats import sem, t

from muslin.evaluation.student_t import student_t_interval, two_sided_quantile


@pytest.mark.parametrize("degrees", [1, 1.5, 2, 3, 4, 7, 10, 30, 100])
@pytest.mark.parametrize("level", [0.01, 0.1, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999])
def test_two_sided_quantile_is_scipys(level: float, degrees: float) -> None:
    assert two_sided_quantile(level, degrees) == pytest.approx(t.ppf((1 + level) / 2, degrees), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 8, 20])
def test_interval_of_a_mean_is_scipys(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    expected = t.interval(0.95, n - 1, values.mean(), sem(values))
    assert student_t_interval(values.tolist()) == pytest.approx(expected, rel=1e-9)

"""Which inspections stay in memory."""

import numpy as np
import pytest

from muslin.explain.inspection import InspectedModel, Inspection
from muslin.models.predictor import Predictor
from muslin.studio import inspection_cache
from muslin.studio.inspection_cache import MAX_INSPECTIONS, InspectionCache
from small_models import small_bundle


@pytest.fixture(scope="module")
def model() -> InspectedModel:
    return InspectedModel.of(Predictor(small_bundle(), 1))


def inspection(model: InspectedModel, side: int = 8) -> Inspection:
    return Inspection(model, np.zeros((side, side, 1), np.uint8))


def kept(cache: InspectionCache, *keys: str) -> list[bool]:
    """Whether each inspection is kept; one that is not is refused."""

    def refuse() -> Inspection:
        raise LookupError

    found = []
    for key in keys:
        try:
            cache.get(key, refuse)
            found.append(True)
        except LookupError:
            found.append(False)
    return found


def test_the_last_inspections_are_kept(model: InspectedModel) -> None:
    cache = InspectionCache()
    first = cache.get("first", lambda: inspection(model))
    for number in range(MAX_INSPECTIONS - 1):
        cache.get(str(number), lambda: inspection(model))
    assert cache.get("first", lambda: inspection(model)) is first
    cache.get("last", lambda: inspection(model))
    assert kept(cache, "first", "last", "0") == [True, True, False]


def test_large_images_leave_less_room(model: InspectedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection_cache, "MAX_INSPECTION_BYTES", 3_000_000)
    cache = InspectionCache()
    for key in ("a", "b", "c"):
        found = cache.get(key, lambda: inspection(model, side=1000))
        assert found.computed_bytes == 0
        assert found.predictions
        assert 1_000_000 < found.computed_bytes < 1_500_000
    assert kept(cache, "b", "c") == [True, True]
    cache.get("d", lambda: inspection(model, side=1000)).predictions  # noqa: B018
    assert kept(cache, "d", "a", "b") == [True, False, False]

"""A server whose clients never pause, while it is stopped."""

from pathlib import Path

import pytest

from http_load import REFUSED
from muslin.models.bundle import seal
from small_models import small_bundle
from stop_under_load import stop_under_load

STOPS = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "clothes.muslin"
    seal(small_bundle(), path)
    return path


@pytest.mark.long
@pytest.mark.parametrize("attempt", range(STOPS))
def test_no_stop_loses_a_request(model: Path, attempt: int) -> None:
    delay_s = 0.05 + 0.037 * attempt
    outcomes = stop_under_load(model, 1 + attempt % 2, keeps_alive=attempt % 4 < 2, delay_s=delay_s)
    assert outcomes.keys() == {200, REFUSED}

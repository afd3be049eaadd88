"""A stop under load: what was sent is answered, whatever the moment."""

from pathlib import Path

import pytest

from http_load import REFUSED
from stop_under_load import CLIENTS, stop_under_load


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("keeps_alive", [True, False], ids=["open connections", "new connections"])
def test_stop_loses_no_request(small_model: Path, workers: int, keeps_alive: bool) -> None:
    outcomes = stop_under_load(small_model, workers, keeps_alive=keeps_alive, delay_s=0.2)
    assert outcomes.keys() == {200, REFUSED}
    assert outcomes[REFUSED] == CLIENTS
    assert outcomes[200] > CLIENTS

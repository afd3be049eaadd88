"""A server whose clients never pause: while it is stopped, and ten times too many."""

import os
from pathlib import Path

import pytest
from slow_clients import slow_clients

from flooded_server import flooded, memory_mb, on_cores
from http_load import REFUSED
from muslin.models.bundle import seal
from server_process import gray, running_server
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


@pytest.mark.long
def test_ten_times_too_many_clients_are_refused(model: Path) -> None:
    """The clients have a core of their own, as they would on other machines."""
    *others, last = sorted(os.sched_getaffinity(0))
    for workers in (1, 2):  # one after the other, because each needs the whole machine
        words = (str(model), "--max-requests", "64", "--workers", str(workers))
        with on_cores(others or [last]), running_server(*words) as server:
            assert server.predict(gray(200)).status_code == 200
            before = memory_mb(server)
            with on_cores([last]):
                outcomes, probes = flooded(server, clients=640, seconds=20)
            assert outcomes.keys() == {"200", "503"}
            assert memory_mb(server) < before + 100
            assert probes  # each was answered; benchmarks/overloaded_server.py says how soon


@pytest.mark.long
def test_a_thousand_slow_clients_do_not_stop_a_fast_one(model: Path) -> None:
    with running_server(str(model)) as server:
        assert server.predict(gray(200)).status_code == 200
        before = memory_mb(server)
        with slow_clients(server.address.removeprefix("http://"), "", 64, 1_000) as clients:
            for _ in range(40):
                for client in clients:
                    client.step()
                assert server.predict(gray(200)).status_code == 200
        assert memory_mb(server) < before + 100

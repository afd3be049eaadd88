"""A server whose clients never pause: while it is stopped, while its model is replaced, and ten times too many."""

import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from slow_clients import slow_clients

from flooded_server import flooded, memory_mb, on_cores
from http_load import REFUSED, Client, Response, post, running
from muslin.data.dataset import Target
from muslin.models.bundle import seal
from muslin.models.prediction_digest import prediction_digest
from server_process import gray, running_server
from small_models import small_bundle
from stop_under_load import stop_under_load

STOPS = 20
REPLACEMENTS = 50
REQUESTS = 10_000
TOKEN = "a-token-of-tests"


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
            probes.sort()
            assert probes[len(probes) * 99 // 100] < 0.1, probes[-10:]


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_no_prediction_is_mixed_up_by_replacements(tmp_path: Path, workers: int) -> None:
    """10,000 requests on 64 connections, while 50 models follow each other."""
    models = models_by_digest(tmp_path)
    path = tmp_path / "served" / "clothes.muslin"
    path.parent.mkdir()
    path.write_bytes(next(iter(models.values()))[1])
    seen: Counter[str] = Counter()

    def note(outcome: Response | str) -> None:
        assert isinstance(outcome, Response), outcome
        found = json.loads(outcome.body)
        assert found["results"][0]["predictions"]["label"]["label"] == models[found["digest"]][0]
        seen[found["digest"]] += 1

    with running_server(str(path), "--workers", str(workers), environment={"MUSLIN_TOKEN": TOKEN}) as server:
        port = int(server.address.rpartition(":")[2])
        request = post("/v1/predict", gray(255), port, ["Content-Type: image/png", f"Authorization: Bearer {TOKEN}"])
        server.client.headers["authorization"] = f"Bearer {TOKEN}"
        with running([Client(port, request, note) for _ in range(64)]) as faults:
            for turn in range(REPLACEMENTS):
                while seen.total() < turn * REQUESTS // REPLACEMENTS:
                    time.sleep(0.01)
                    assert not faults, faults
                content = list(models.values())[turn % len(models)][1]
                assert server.client.post("/v1/models/clothes", content=content).status_code == 200
            while seen.total() < REQUESTS:
                time.sleep(0.01)
        assert not faults, faults
    assert seen.keys() == models.keys()


def models_by_digest(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Five models by their digests: the class that each predicts for white, and its file's content."""
    models = {}
    for number in range(5):
        path = folder / f"{number}.muslin"
        bundle = small_bundle(Target("label", ("black", "gray", f"white {number}")))
        seal(bundle, path)
        models[prediction_digest(bundle)] = f"white {number}", path.read_bytes()
    return models


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

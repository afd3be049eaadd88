"""Workers of a server that are killed, one after the other, while clients never pause."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx

from flooded_server import worker_pids
from http_load import LOST, Client, Response, post, running
from server_process import WAIT_S, Served, gray, running_server

CLIENTS = 16
SHORT, LONG = 2, 20
"""Workers that are killed."""

PNG = {"Content-Type": "image/png"}


def test_killed_workers_are_replaced_while_others_answer(small_model: Path, is_long: bool) -> None:
    with running_server(str(small_model), "--workers", "2") as server:
        workers = worker_pids(server)
        for _ in range(LONG if is_long else SHORT):
            kill_under_load(server, workers.pop(0))  # the oldest, so that the new one has to answer alone next
            workers += set(worker_pids(server)) - set(workers)
        assert len(workers) == 2


def kill_under_load(server: Served, worker: int) -> None:
    """Kill a worker while clients send requests, until another one has taken its place."""
    port, outcomes = int(server.address.rpartition(":")[2]), Counter[int | str]()
    request = post("/v1/predict", gray(200), port, ["Content-Type: image/png"])

    def note(outcome: Response | str) -> None:
        outcomes[outcome if isinstance(outcome, str) else outcome.status] += 1

    with running([Client(port, request, note) for _ in range(CLIENTS)]):
        wait_until(lambda: outcomes[200] > CLIENTS)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in worker_pids(server))
        assert {predict_on_new_connection(server) for _ in range(CLIENTS)} == {200}
        wait_until(lambda: len(worker_pids(server)) == 2)
    assert outcomes.keys() <= {200, LOST}, outcomes
    assert outcomes[LOST] <= CLIENTS


def predict_on_new_connection(server: Served) -> int:
    url = f"{server.address}/v1/predict"
    return httpx.post(url, content=gray(200), headers=PNG, timeout=WAIT_S, trust_env=False).status_code


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)

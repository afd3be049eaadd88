"""A real server that is told to stop while clients send requests."""

import signal
import threading
import time
from collections import Counter
from pathlib import Path

from http_load import LOST, REFUSED, Client, Response, post, running
from server_process import WAIT_S, gray, running_server

CLIENTS = 32
PNG = ["Content-Type: image/png"]


def stop_under_load(model: Path, workers: int, *, keeps_alive: bool, delay_s: float = 0) -> Counter[int | str]:
    """What clients got from a server that was told to stop; how often.

    Args:
        delay_s: from when there were more responses than clients.
    """
    outcomes: Counter[int | str] = Counter()
    enough, lock = threading.Event(), threading.Lock()

    def note(outcome: Response | str) -> None:
        with lock:
            outcomes[outcome if isinstance(outcome, str) else outcome.status] += 1
        if outcomes[200] > CLIENTS:
            enough.set()

    with running_server(str(model), "--workers", str(workers)) as server:
        port = int(server.address.rpartition(":")[2])
        request = post("/v1/predict", gray(200), port, PNG)
        clients = [Client(port, request, note, keeps_alive) for _ in range(CLIENTS)]
        with running(clients):
            assert enough.wait(WAIT_S), outcomes
            time.sleep(delay_s)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(WAIT_S) == 0
            wait_for_all(outcomes)
    return outcomes


def wait_for_all(outcomes: Counter[int | str]) -> None:
    """Wait until each client was refused or lost a request."""
    end = time.monotonic() + WAIT_S
    while outcomes[REFUSED] + outcomes[LOST] < CLIENTS and time.monotonic() < end:
        time.sleep(0.02)

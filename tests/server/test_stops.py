"""A stop under load: what was sent is answered, whatever the moment."""

import signal
import time
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from http_load import REFUSED
from server_process import WAIT_S, gray, running_server
from stop_under_load import CLIENTS, stop_under_load


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("keeps_alive", [True, False], ids=["open connections", "new connections"])
def test_stop_loses_no_request(small_model: Path, workers: int, keeps_alive: bool) -> None:
    outcomes = stop_under_load(small_model, workers, keeps_alive=keeps_alive)
    assert outcomes.keys() == {200, REFUSED}
    assert outcomes[REFUSED] == CLIENTS


def test_stopping_server_is_alive_but_not_ready(small_model: Path) -> None:
    """A balancer then sends requests elsewhere, while what was sent is answered."""
    with running_server(str(small_model)) as served, ExitStack() as stack:

        def connect() -> HTTPConnection:
            host = served.address.removeprefix("http://")
            return stack.enter_context(closing(HTTPConnection(host, timeout=WAIT_S)))

        probes = [connect() for _ in range(50)]
        for probe in probes:
            assert asked(probe, "/v2/health/ready") == 200
        slow = connect()
        slow.putrequest("POST", "/v1/predict")
        slow.putheader("Content-Length", str(len(gray(60))))
        slow.endheaders(gray(60)[:-1])
        served.process.send_signal(signal.SIGTERM)
        while asked(probes.pop(), "/v2/health/ready") == 200:
            time.sleep(0.01)  # the signal has not arrived yet
        assert asked(probes.pop(), "/v2/health/ready") == 503
        assert asked(probes.pop(), "/v2/health/live") == 200
        slow.send(gray(60)[-1:])
        assert slow.getresponse().status == 200
        assert served.process.wait(WAIT_S) == 0


def asked(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    with connection.getresponse() as response:
        response.read()
        return response.status

"""Many slow connections do not stop a client that is fast."""

import os
import time
from pathlib import Path

import pytest

from flooded_server import memory_mb
from server_process import WAIT_S, Served, gray, running_server
from slow_http import KINDS, slow_connections

SHORT, LONG = (150, 3), (1000, 30)
"""Connections, and seconds."""

MAX_MORE_MB = 100


def open_files(server: Served) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize(
    "kinds", [tuple(KINDS), *(pytest.param((kind,), marks=pytest.mark.long) for kind in KINDS)], ids="-".join
)
def test_slow_connections_take_nothing_from_a_fast_client(
    small_model: Path, is_long: bool, kinds: tuple[str, ...]
) -> None:
    count, seconds = LONG if is_long else SHORT
    with running_server(str(small_model), "--grace", "5") as server:
        expected = server.predict(gray(200)).json()["results"]
        before, files = memory_mb(server), open_files(server)
        with slow_connections(server.address, kinds, count, seconds + WAIT_S):
            deadline = time.monotonic() + WAIT_S
            while (n_open := open_files(server) - files) <= count // 4:  # slow heads end after ten seconds
                assert time.monotonic() < deadline, n_open
                time.sleep(0.02)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                response = server.predict(gray(200))
                assert (response.status_code, response.json().get("results")) == (200, expected)
        assert memory_mb(server) < before + MAX_MORE_MB

"""A real server that is flooded by clients in another process, and probed meanwhile."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import overload
from server_process import WAIT_S, Served, gray


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """What this thread starts in the block runs on these cores alone, and so does the thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory_mb(server: Served) -> int:
    """Of the largest process of a server, which is a worker where it has several."""
    return max(_memory_mb(pid) for pid in [server.process.pid, *worker_pids(server)])


def _memory_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) >> 10


def worker_pids(server: Served) -> list[int]:
    """The processes of its workers; none where it is a single process."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def flooded(server: Served, clients: int, seconds: float) -> tuple[dict[str, int], list[float]]:
    """What clients got, and the seconds that each probe took meanwhile."""
    port = int(server.address.rpartition(":")[2])
    command = ["nice", sys.executable, overload.__file__, str(port), str(clients), str(seconds)]  # a probe comes first
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(gray(200))
        process.stdin.close()
        probes = []
        while process.poll() is None:
            probes.append(probe(port))
            time.sleep(0.05)
        outcomes: dict[str, int] = json.loads(process.stdout.read())
    return outcomes, probes


def probe(port: int) -> float:
    """The seconds that a liveness probe on a new connection takes."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request("GET", "/v2/health/live")
        assert connection.getresponse().status == 200
    finally:
        connection.close()
    return time.monotonic() - began

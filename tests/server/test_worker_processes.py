"""Several workers behind one socket: real processes, and requests over real connections."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muslin.server.processes import HANG_S, WorkerFolder

WAIT_S = 20
GRACE_S = 5.0
SUPERVISOR = """
import json, os, socket, sys
from pathlib import Path
from muslin.server.processes import Supervisor, WorkerFolder, WorkerPlan

folder, argument, count = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
listening = socket.create_server(("127.0.0.1", 0), backlog=256)
plan = WorkerPlan("tiny_worker:run", argument, count, argument["grace_s"], hang_s=argument["hang_s"])
log = lambda message: print(message.code, message.params, flush=True)
supervisor = Supervisor(plan, listening, WorkerFolder(folder, os.getpid()), log)
supervisor.run(lambda: print(listening.getsockname()[1], flush=True))
"""


@dataclass
class Group:
    """A supervisor that runs, and its workers."""

    process: "subprocess.Popen[str]"
    port: int
    folder: WorkerFolder

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)

    def ask(self, path: str = "/pid") -> int:
        """The number of the process that answers a request on a new connection."""
        connection = self.connect()
        try:
            return ask(connection, path)
        finally:
            connection.close()


def ask(connection: http.client.HTTPConnection, path: str = "/pid") -> int:
    connection.request("GET", path)
    return int(connection.getresponse().read())


@contextmanager
def group(folder: Path, count: int, **argument: Any) -> Iterator[Group]:
    folder.mkdir(exist_ok=True)
    arguments = [str(folder), json.dumps({"grace_s": GRACE_S, "hang_s": HANG_S} | argument), str(count)]
    search = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search},
    ) as process:
        assert process.stdout
        try:
            first = process.stdout.readline()
            assert first, "the supervisor ended before its workers were ready"
            yield Group(process, int(first), WorkerFolder(folder, process.pid))
        finally:
            process.terminate()
            process.wait(WAIT_S)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_each_worker_answers(tmp_path: Path) -> None:
    with group(tmp_path, 2) as server:
        found: set[int] = set()

        def all_have_answered() -> bool:
            with ExitStack() as open_connections:  # whichever worker is awake takes the next one
                for _ in range(16):
                    found.add(ask(open_connections.enter_context(closing(server.connect()))))
            return found == set(server.folder.states())

        wait_until(all_have_answered)


def test_killed_worker_is_replaced_while_another_answers(tmp_path: Path) -> None:
    with group(tmp_path, 2) as server:
        dead, other = server.folder.states()
        os.kill(dead, signal.SIGKILL)
        assert server.ask() in server.folder.states()
        wait_until(lambda: len(server.folder.states().keys() - {dead}) == 2)
        assert other in server.folder.states()
        assert dead not in server.folder.states()
        assert server.ask() != dead


def test_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with group(tmp_path, 2, hang_s=3.0) as server:
        hung, other = server.folder.states()
        os.kill(hung, signal.SIGSTOP)
        assert server.process.stdout
        assert words(server.process.stdout.readline()) >= {"worker_hung", str(hung)}
        assert words(server.process.stdout.readline()) >= {"worker_replaced", "SIGKILL"}
        wait_until(lambda: len(server.folder.states().keys() - {hung}) == 2)
        assert other in server.folder.states()


def test_worker_whose_model_hangs_is_replaced(tmp_path: Path) -> None:
    with group(tmp_path, 1, hang_s=3.0) as server:
        hung = server.ask("/hang")
        assert server.ask() == hung, "its event loop turns"
        assert server.process.stdout
        assert words(server.process.stdout.readline()) >= {"worker_hung", str(hung)}
        assert words(server.process.stdout.readline()) >= {"worker_replaced", "SIGKILL"}
        wait_until(lambda: server.folder.states().keys() - {hung})
        assert server.ask() != hung


def test_hangup_reaches_each_worker_without_a_restart(tmp_path: Path) -> None:
    with group(tmp_path, 2) as server:
        before = set(server.folder.states())
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: all(state["hangups"] == 1 for state in server.folder.states().values()))
        assert set(server.folder.states()) == before


def test_stop_answers_requests_in_progress(tmp_path: Path) -> None:
    with group(tmp_path, 2) as server, ThreadPoolExecutor(8) as threads:
        held = [threads.submit(server.ask, "/hold") for _ in range(8)]
        wait_until(lambda: n_held(server) == 8)
        workers = set(server.folder.states())
        server.process.terminate()
        assert {request.result() for request in held} <= workers
        assert server.process.wait(WAIT_S) == 0
        assert all(has_ended(pid) for pid in workers)


def test_stop_answers_the_next_request_of_an_open_connection(tmp_path: Path) -> None:
    with group(tmp_path, 1) as server:
        connection = server.connect()
        ask(connection)
        server.process.terminate()
        wait_until(lambda: is_refused(server))
        connection.request("GET", "/pid")
        response = connection.getresponse()
        assert response.getheader("connection") == "close"
        assert response.status == 200
        connection.close()
        assert server.process.wait(WAIT_S) == 0


def n_held(server: Group) -> int:
    """How many requests the workers have taken to hold them."""
    return sum(state["held"] for state in server.folder.states().values())


def words(line: str) -> set[str]:
    return set(re.findall(r"\w+", line))


def is_refused(server: Group) -> bool:
    connection = server.connect()
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    finally:
        connection.close()
    return False


def test_stop_ends_what_takes_longer_than_the_grace(tmp_path: Path) -> None:
    with group(tmp_path, 1, grace_s=0.3) as server, ThreadPoolExecutor(1) as threads:
        held = threads.submit(server.ask, "/hold-on")
        wait_until(lambda: n_held(server) == 1)
        server.process.terminate()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            held.result()
        assert server.process.wait(WAIT_S) == 0


def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with group(tmp_path / "states", 2) as server:
        workers = list(server.folder.states())
        server.process.kill()
        wait_until(lambda: all(has_ended(pid) for pid in workers))
        assert not (tmp_path / "states").exists()


def test_worker_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="before its workers were ready"), group(tmp_path, 2, fails=True):
        pass


def test_replacement_that_cannot_start_is_tried_again(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with group(tmp_path / "states", 2, fails_if=str(marker)) as server:
        marker.touch()
        dead, other = server.folder.states()
        os.kill(dead, signal.SIGKILL)
        assert server.process.stdout
        assert {"worker_replaced", "SIGKILL"} <= words(server.process.stdout.readline())
        assert {"worker_replaced", "exit", "4"} <= words(server.process.stdout.readline())
        assert server.ask() == other
        marker.unlink()
        wait_until(lambda: len(server.folder.states()) == 2)

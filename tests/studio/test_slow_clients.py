"""Slow, silent and many clients of a real studio take no place from others, and a stop finishes what was accepted."""

import http.client
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from PIL import Image

from muslin.cli.output import EXIT_CODES
from muslin.errors import MuslinError
from muslin.studio.request_guard import MAX_REQUESTS
from muslin.studio.routes import MAX_QUEUED
from studio_server import WAIT_S, running_studio, studio_process, write_shop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[str]:
    with running_studio(folder) as address:
        yield address.removeprefix("http://")


def connect(studio: str, receive_buffer: int | None = None) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(WAIT_S)
    host, port = studio.split(":")
    connection.connect((host, int(port)))
    return connection


def get(studio: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(studio, timeout=WAIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def token_of(studio: str) -> str:
    found = re.search(rb'muslin-token" content="([^"]+)"', get(studio, "/")[1])
    assert found
    return found[1].decode()


def head(studio: str, method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {studio}", *lines, "", "")).encode()


def test_clients_that_never_read_hold_no_place_of_others(studio: str) -> None:
    request = head(studio, "GET", "/api/thumbnail?image=file:noise.png&side=512")
    clients = [connect(studio, receive_buffer=2048) for _ in range(MAX_REQUESTS + 6)]
    try:
        for client in clients:
            client.sendall(request * 8)  # pipelined: 6 MB, more than the system keeps
        for client in clients:
            assert client.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 503")
        assert get(studio, "/api/models")[0] == 200
    finally:
        for client in clients:
            client.close()


def test_bodies_that_do_not_arrive_hold_no_place_of_others(studio: str) -> None:
    lines = (f"X-Muslin-Token: {token_of(studio)}", "Content-Length: 1000")
    clients = [connect(studio) for _ in range(300)]
    try:
        for client in clients:
            try:
                client.sendall(head(studio, "POST", "/api/model", *lines) + b"{")
            except OSError:
                continue  # ended, because others came later
        assert get(studio, "/api/models")[0] == 200
    finally:
        for client in clients:
            client.close()


def send_prediction(studio: str, token: str, model: str) -> socket.socket:
    """A connection that has sent a whole request and awaits its response."""
    body = json.dumps({"inspection": {"model": model, "image": "file:noise.png"}}).encode()
    connection = connect(studio)
    lines = (f"X-Muslin-Token: {token}", f"Content-Length: {len(body)}")
    connection.sendall(head(studio, "POST", "/api/predict", *lines) + body)
    return connection


def response_on(connection: socket.socket) -> tuple[int, str | None]:
    """The status of the next response, and when to come again."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status, answer.getheader("retry-after")


def test_more_requests_than_the_limit_are_told_when_to_come_again(tmp_path: Path) -> None:
    write_shop(tmp_path)
    shutil.copy(tmp_path / "first.muslin", tmp_path / "second.muslin")
    extra = 6
    with studio_process(tmp_path) as (address, process), ExitStack() as opened:
        studio = address.removeprefix("http://")
        token = token_of(studio)
        with send_prediction(studio, token, "first.muslin") as connection:
            assert response_on(connection) == (200, None)
        (opener,) = (pid for pid in children_of(process) if "model_worker" in command_of(pid))
        os.kill(opener, signal.SIGSTOP)  # all that need the other model wait for it
        opened.callback(os.kill, opener, signal.SIGCONT)
        waiting = {
            opened.enter_context(send_prediction(studio, token, "second.muslin")) for _ in range(MAX_REQUESTS + extra)
        }
        for _ in range(extra):
            ready, _, _ = select.select(waiting, [], [], WAIT_S)
            assert ready
            assert response_on(ready[0]) == (503, "1")
            waiting.remove(ready[0])
        assert get(studio, "/api/models")[0] == 503
        assert select.select(waiting, [], [], 0)[0] == []
        os.kill(opener, signal.SIGCONT)
        answers = Counter(response_on(connection) for connection in waiting)
    assert set(answers) <= {(200, None), (503, "1")}
    assert answers[200, None] >= MAX_QUEUED


def upload_in_two_parts(studio: str, token: str, content: bytes) -> tuple[socket.socket, bytes]:
    """A connection that has sent half of an upload, and the other half."""
    connection = connect(studio)
    lines = (f"X-Muslin-Token: {token}", f"Content-Length: {len(content)}")
    connection.sendall(head(studio, "POST", "/api/images", *lines) + content[: len(content) // 2])
    return connection, content[len(content) // 2 :]


def test_a_stop_finishes_what_was_accepted(folder: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(file, "PNG")
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        token, silent = token_of(studio), connect(studio)
        connection, rest = upload_in_two_parts(studio, token, file.getvalue())
        with connection, silent:
            assert get(studio, "/api/models")[0] == 200  # so the half before has arrived
            process.send_signal(signal.SIGTERM)
            assert silent.recv(1) == b""  # the stop has begun
            time.sleep(6)  # longer than uvicorn was given before
            connection.sendall(rest)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["width"]) == (200, 40)
        assert process.wait(WAIT_S) == -signal.SIGTERM


def test_a_second_interrupt_waits_for_nothing(folder: Path) -> None:
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        silent = connect(studio)
        connection, _ = upload_in_two_parts(studio, token_of(studio), b"x" * 1000)
        with connection, silent:
            assert get(studio, "/api/models")[0] == 200
            process.send_signal(signal.SIGINT)
            assert silent.recv(1) == b""
            assert process.poll() is None  # it waits for the other half
            process.send_signal(signal.SIGINT)
            assert connection.recv(12) in (b"", b"HTTP/1.1 500")  # a stop that waits answers 408 in the end
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        assert process.wait(WAIT_S) == EXIT_CODES["interrupted"]


def test_an_upload_that_is_broken_off_prints_nothing(folder: Path) -> None:
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        connection, _ = upload_in_two_parts(studio, token_of(studio), b"x" * 1000)
        assert get(studio, "/api/models")[0] == 200
        connection.close()
        assert get(studio, "/api/models")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read().strip() == f"muslin: {MuslinError('interrupted')}"


def test_no_process_is_left_when_the_studio_is_killed(folder: Path) -> None:
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        assert get(studio, "/api/thumbnail?image=file:noise.png&side=64")[0] == 200
        children = children_of(process)
        assert children
        process.kill()
        process.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while any(Path(f"/proc/{child}/cmdline").exists() and is_running(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    """The processes that one has started, and that have not ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent, *_ = status.read_text(errors="replace").rpartition(")")[2].split()
            if int(parent) == process.pid and state != "Z":
                found.append(int(status.parent.name))
    return found


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody has waited for still has a row."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False

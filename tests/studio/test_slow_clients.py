"""Slow, silent and many clients of a real studio take no place from others, and a stop finishes what was accepted."""

import http.client
import io
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from muslin.studio.request_guard import MAX_REQUESTS
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


def test_more_requests_than_the_limit_are_told_when_to_come_again(studio: str) -> None:
    statuses: list[tuple[int, str | None]] = []
    body = json.dumps({"inspection": {"model": "first.muslin", "image": "file:noise.png"}})
    headers = {"X-Muslin-Token": token_of(studio)}

    def ask() -> None:
        connection = http.client.HTTPConnection(studio, timeout=WAIT_S)
        connection.request("POST", "/api/predict", body, headers)
        answer = connection.getresponse()
        statuses.append((answer.status, answer.getheader("retry-after")))
        answer.read()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 120
    assert set(statuses) <= {(200, None), (503, "1")}
    assert (200, None) in statuses


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
        assert process.wait(WAIT_S) is not None


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
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()


def test_an_upload_that_is_broken_off_prints_nothing(folder: Path) -> None:
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        connection, _ = upload_in_two_parts(studio, token_of(studio), b"x" * 1000)
        assert get(studio, "/api/models")[0] == 200
        connection.close()
        assert get(studio, "/api/models")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_no_process_is_left_when_the_studio_is_killed(folder: Path) -> None:
    with studio_process(folder) as (address, process):
        studio = address.removeprefix("http://")
        assert get(studio, "/api/thumbnail?image=file:noise.png&side=64")[0] == 200
        children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        children += [
            int(pid)
            for thread in Path(f"/proc/{process.pid}/task").iterdir()
            for pid in (thread / "children").read_text().split()
        ]
        assert children
        process.kill()
        process.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while any(Path(f"/proc/{child}/cmdline").exists() and is_running(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody has waited for still has a row."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False

"""When a client sends a request again: with a server that answers as a test says."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import muslin
from muslin.client.retries import MAX_WAIT_S, Retries, asked_s
from muslin.errors import ServerError
from refusals import refuses

MODELS = {"models": [{"model": "a", "digest": "0"}]}
FULL = {"error": {"code": "server_full", "message": "Full.", "hint": "Later.", "params": {}}}


class Scripted(ThreadingHTTPServer):
    """Answers each request with the next (status, headers, JSON or bytes); None closes the connection."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.arrivals = list(answers), []
        self.heads: list[Any] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.arrivals.append(time.monotonic())
        self.server.heads.append(self.headers)
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[Any]:
    servers: list[Scripted] = []

    def start(*answers: Any) -> Scripted:
        server = Scripted(*answers)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def models_awaited(address: str, **options: Any) -> Any:
    async with muslin.AsyncClient(address, **options) as client:
        return await client.models()


def models(address: str, *, is_async: bool, **options: Any) -> Any:
    if is_async:
        return asyncio.run(models_awaited(address, **options))
    with muslin.Client(address, **options) as client:
        return client.models()


@pytest.mark.parametrize(("status", "is_async"), [(429, False), (502, True), (503, True)])
def test_full_server_is_asked_again_after_its_time(scripted: Any, status: int, is_async: bool) -> None:
    server = scripted((status, {"retry-after": "1"}, FULL), None, (200, {}, MODELS))
    assert [each.name for each in models(server.address, is_async=is_async)] == ["a"]
    first, second, _ = server.arrivals
    assert second - first >= 1


def test_retries_end_when_the_server_asks_for_more_time(scripted: Any) -> None:
    server = scripted((503, {"retry-after": "3600"}, FULL))
    with refuses("server_full", ServerError):
        models(server.address, is_async=False, retry_s=30)
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_other_refusals_are_not_asked_again(scripted: Any, status: int) -> None:
    server = scripted((status, {"retry-after": "0"}, FULL))
    with refuses("server_full"):
        models(server.address, is_async=False)
    assert len(server.arrivals) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>It works</html>"),
        (200, {}, [1]),
        (200, {}, {"models": [{"name": "a"}]}),
        (404, {}, b"nothing here"),
        (500, {}, {"error": "of another kind"}),
        (302, {"location": "http://127.0.0.1:1/"}, b""),
    ],
)
def test_response_of_another_server_is_told(scripted: Any, answer: Any) -> None:
    server = scripted(answer)
    with refuses("serve_response", ServerError, status=answer[0]):
        models(server.address, is_async=False)


def test_token_is_sent_and_control_characters_are_escaped(scripted: Any) -> None:
    server = scripted((403, {}, {"error": {"code": "x", "message": "red \x1b[31m", "hint": None, "params": {}}}))
    with pytest.raises(ServerError) as caught:
        models(server.address, is_async=False, token="of this server")
    assert server.heads[0]["authorization"] == "Bearer of this server"
    assert str(caught.value) == r"red \x1b[31m"


def test_waits_grow_and_end_in_time() -> None:
    now = [0.0]
    retries = Retries(20, lambda: now[0])
    waits = []
    while (wait_s := retries.wait_s()) is not None:
        waits.append(wait_s)
        now[0] += wait_s
    assert 0.05 <= waits[0] <= 0.1
    assert all(wait_s <= MAX_WAIT_S for wait_s in waits)
    assert 20 - MAX_WAIT_S <= now[0] <= 20


def test_retry_after_is_a_number_or_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3000 < asked_s(in_an_hour) <= 3600
    for text in (None, "", "soon", "-5", "1.5", "²", "Sun, 06 Nov 1994 08:49:37 GMT", "9" * 5000):
        assert asked_s(text) in (0.0, float("inf"))

"""A host of photos: a real server on this machine, which stands behind public addresses by the way of the connection.

`Network.connect` of the tests leads each public address here. The check of addresses stays as it is for users: nothing
in muslin can be told to connect to an address that is not public.
"""

import io
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import numpy as np
from PIL import Image

from muslin.fetching.connection import FetchLimits, Network
from muslin.fetching.public_addresses import IPAddress

PUBLIC = ip_address("93.184.216.34")
"""An address on the public internet, to which no test connects."""

QUICK = FetchLimits(connect_s=10, idle_s=10, photo_s=30, retry_s=0.01)
"""Limits that a host on a busy machine keeps, and second attempts at once."""


def photo(shade: int, kind: str = "JPEG", side: int = 32) -> bytes:
    """A photo of one colour."""
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


class PhotoHost:
    """Answers by path. What is no Answer is called with the handler, and writes to the connection itself.

    Attributes:
        asked: how often each path was asked for.
        requests: the headers of each request.
        connections: how many were made.
    """

    def __init__(self, answers: Mapping[str, Any], tls: ssl.SSLContext | None = None) -> None:
        self.answers = dict(answers)
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self.hosts: Mapping[str, Sequence[IPAddress]] = {}
        self.connected: list[tuple[IPAddress, int]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self), tls)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def network(self) -> Network:
        """One in which every host is here, unless `hosts` says otherwise."""

        def resolve(host: str, port: int) -> Sequence[IPAddress]:
            return self.hosts.get(host, [PUBLIC])

        def connect(address: IPAddress, port: int, timeout_s: float) -> socket.socket:
            with self._lock:
                self.connected.append((address, port))
            return socket.create_connection(("127.0.0.1", self.port), timeout_s)

        return Network(resolve, connect)

    def note(self, path: str, headers: Mapping[str, str]) -> None:
        with self._lock:
            self.asked[path] += 1
            self.requests.append(dict(headers))

    @contextmanager
    def running(self) -> Iterator["PhotoHost"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, place: Any, handler: Any, tls: ssl.SSLContext | None) -> None:
        super().__init__(place, handler)
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the request's own thread, so that one handshake does not hold up the others."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with suppress(OSError), self.tls.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients leave early on purpose."""


def _handler(host: PhotoHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            host.connections += 1

        def do_GET(self) -> None:
            host.note(self.path, self.headers)
            answer = host.answers.get(self.path, (404, {}, b"no such photo"))
            if callable(answer):
                answer = answer(self)
            if answer is None:
                self.close_connection = True
                return
            if isinstance(answer, bytes):
                answer = 200, {}, answer
            status, headers, body = answer
            self.send_response_only(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def photo_host(answers: Mapping[str, Any], tls: ssl.SSLContext | None = None) -> Iterator[PhotoHost]:
    """A running PhotoHost; with `tls`, all connections to it are encrypted."""
    with PhotoHost(answers, tls).running() as host:
        yield host


def by_turns(*answers: Any) -> Callable[[Any], Any]:
    """An answer that is another one each time; the last one stays."""
    left = list(answers)
    lock = threading.Lock()

    def answer(handler: Any) -> Any:
        with lock:
            found = left.pop(0) if len(left) > 1 else left[0]
        return found(handler) if callable(found) else found

    return answer

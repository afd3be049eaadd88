"""Clients that send one request after another to a server, and note what comes back."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

TIMEOUT_S = 60

REFUSED, LOST = "refused", "lost"
"""What may come of a request beside a response: nobody listens any more; or it was sent, and nothing came back."""


@dataclass(frozen=True)
class Response:
    """A whole response; its headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """Sends `request`, whole HTTP/1.1 with its head, to a port of this machine until it is stopped or refused.

    Attributes:
        keeps_alive: whether it uses a connection as long as the server lets it.
        note: called with each response, or with REFUSED or LOST, after which it ends.
    """

    port: int
    request: bytes
    note: Callable[[Response | str], object]
    keeps_alive: bool = True
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)
            except ConnectionRefusedError:
                self.note(REFUSED)
                return
            with connection:
                if not self._use(connection):
                    self.note(LOST)
                    return

    def _use(self, connection: socket.socket) -> bool:
        """Send requests on one connection, as many as the server lets; whether each got its response."""
        with connection.makefile("rb") as stream:
            while not self.stop.is_set():
                try:
                    connection.sendall(self.request)
                    response = read_response(stream)
                except OSError:
                    return False
                if response is None:
                    return False
                self.note(response)
                if not self.keeps_alive or response.headers.get("connection") == "close":
                    return True
        return True


def read_response(stream: BinaryIO) -> Response | None:
    """A response of a stream of bytes; None where it ends before."""
    head = read_head(stream)
    if head is None:
        return None
    status, headers = head
    length = int(headers.get("content-length", "0"))
    body = stream.read(length)
    return Response(status, headers, body) if len(body) == length else None


def read_head(stream: BinaryIO) -> tuple[int, dict[str, str]] | None:
    lines = []
    while (line := stream.readline()) != b"\r\n":
        if not line:
            return None
        lines.append(line.decode("latin-1").strip())
    named = (line.partition(":") for line in lines[1:])
    return int(lines[0].split()[1]), {name.lower(): value.strip().lower() for name, _, value in named}


def post(path: str, body: bytes, port: int, headers: Sequence[str] = ()) -> bytes:
    """A whole request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def running(clients: Sequence[Client]) -> Iterator[list[Exception]]:
    """The clients send during the block, each in a thread of its own; afterwards they have ended. The list gets what
    their `note` raises.
    """
    faults: list[Exception] = []

    def run(client: Client) -> None:
        try:
            client.run()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        for client in clients:
            client.stop.set()
        for thread in threads:
            thread.join()

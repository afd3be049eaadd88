"""Clients of the studio that send nothing, or a byte at a time, or read nothing, and come again when they are ended."""

import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice

RECEIVE_BUFFER = 2048
PATIENCE_S = 30
STEPS_OF_REST = 20  # before a client that was ended comes again


@dataclass
class SlowClient:
    """One of them.

    Attributes:
        address: of the studio, host and port.
        at_once: what it sends as soon as it is connected.
        slowly: what it sends byte by byte.
    """

    address: tuple[str, int]
    at_once: bytes = b""
    slowly: bytes = b""
    _socket: socket.socket | None = field(default=None, init=False)
    _sent: int = field(default=0, init=False)
    _rest: int = field(default=0, init=False)

    def step(self) -> None:
        """Connect where it is not connected; else send one byte."""
        try:
            if self._rest:
                self._rest -= 1
            elif self._socket is None:
                self._connect()
            elif self._sent < len(self.slowly):
                self._socket.send(self.slowly[self._sent : self._sent + 1])
                self._sent += 1
            elif not self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self.close()
        except BlockingIOError:
            pass  # still connected
        except OSError:
            self.close()

    def close(self) -> None:
        if self._socket:
            self._socket.close()
        self._socket, self._sent, self._rest = None, 0, STEPS_OF_REST

    def _connect(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(self.address)
        self._socket.sendall(self.at_once)


@contextmanager
def slow_clients(studio: str, token: str, n_silent: int, n_slow: int) -> Iterator[Sequence[SlowClient]]:
    """Silent clients of `studio`, a host and a port; and slow ones of each kind in turn."""
    host, port = studio.split(":")
    head = f"GET /api/models HTTP/1.1\r\nHost: {studio}\r\n"
    post = f"POST /api/predict HTTP/1.1\r\nHost: {studio}\r\nX-Muslin-Token: {token}\r\nContent-Length: 100000\r\n\r\n"
    page = f"GET /static/texts/zh.json HTTP/1.1\r\nHost: {studio}\r\n\r\n".encode()
    reader = {"at_once": page * 200}
    senders = [
        {"slowly": head.encode() + b"X-Slow: " + b"x" * 10_000},
        {"at_once": post.encode(), "slowly": b" " * 100_000},
    ]
    clients = [SlowClient((host, int(port))) for _ in range(n_silent)]
    clients += [SlowClient((host, int(port)), **kind) for kind in islice(cycle([*senders * 5, reader]), n_slow)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, soft + len(clients)), hard))
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

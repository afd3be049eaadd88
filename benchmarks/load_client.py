"""A client that keeps a server busy over some connections, for `http_servers.py`."""

import asyncio
import socket
import time
from typing import Any

MAX_WAIT_S = 60
"""Seconds for the last answers of a window to come."""


class Client(asyncio.Protocol):
    """One connection: it sends a request, waits for the response, and sends the next."""

    def __init__(self, message: bytes, taken: list[float]) -> None:
        self._message, self._taken, self._buffer = message, taken, b""
        self._transport: Any = None
        self.failed, self.is_last, self.is_done = "", False, asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        start = lowered.index(b"content-length:") + 15
        if len(body) < int(lowered[start:].split(b"\r", 1)[0]):
            return
        if b" 200 " not in head[:15]:
            self.failed = self._buffer[:300].decode("latin-1")
            self._transport.close()
            return
        self._taken.append(time.perf_counter() - self._sent)
        self._buffer = b""
        if self.is_last:
            self.is_done.set()
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed = self.failed or f"closed: {error}"
        self.is_done.set()


async def window(port: int, message: bytes, connections: int, seconds: float) -> tuple[float, list[float]]:
    """How long a window took, and the time of each request that was sent in it; all of them are answered."""
    taken: list[float] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [await loop.create_connection(lambda: Client(message, taken), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    for _, client in made:
        client.is_last = True
    async with asyncio.timeout(MAX_WAIT_S):
        await asyncio.gather(*(client.is_done.wait() for _, client in made))
    lasted = time.perf_counter() - began
    if failed := [client.failed for _, client in made if client.failed]:
        raise RuntimeError(failed[0])
    for transport, _ in made:
        transport.close()
    await asyncio.sleep(0.05)
    return lasted, taken

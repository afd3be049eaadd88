"""HTTP connections that cannot wait forever, so that a client which sends nothing holds no place of another."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_HEAD_S = 10.0
"""Seconds for the head of a request to arrive; a browser sends it at once."""

MAX_CONNECTIONS = 256
"""Open connections. One more closes the one that has waited longest for its request."""


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, but a connection is closed where its request is late, or others need its place."""

    _timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [other for other in self.connections if isinstance(other, Connection) and other.is_waiting]
            min(waiting, key=lambda other: other.waiting_since).transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self.waiting_since = self.loop.time()
        self._timer = self.loop.call_later(REQUEST_HEAD_S, self._close_if_waiting)

    def _close_if_waiting(self) -> None:
        if self.is_waiting:
            self.transport.close()

"""HTTP connections that cannot wait forever, so that a slow or silent client holds no place and no memory of others."""

import asyncio
import socket
from typing import Any

REQUEST_HEAD_S = 10.0
"""Seconds for the head of a request to arrive; a browser sends it at once."""

READ_S = 30.0
"""Seconds for the client to read what is left of a response; on this machine it takes a fraction of one."""

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TimeLimits(asyncio.Protocol):
    """Goes before one of uvicorn's protocols: a connection ends where its client is late, or where others need its
    place.
    """

    # uvicorn's
    cycle: Any
    flow: Any
    loop: asyncio.AbstractEventLoop
    transport: Any
    connections: set[Any]

    max_connections: int  # open ones; one more ends the one whose client has kept the server waiting longest
    patience_s = 0.0  # that a connection waits for its client before others may have its place

    _timer: asyncio.TimerHandle | None = None
    _late_at = 0.0
    waiting_since = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn: to send the rest of a request, or to read a response."""
        return self._awaits_head_or_reading or self.cycle.more_body

    @property
    def _awaits_head_or_reading(self) -> bool:
        return self.cycle is None or self.cycle.response_complete or self.flow.write_paused

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # asyncio does this only for sockets that were made with a protocol number; without it a body waits for the
        # acknowledgement of its head, 40 ms on a connection that is used again
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._await_client(REQUEST_HEAD_S)
        if len(self.connections) > self.max_connections:
            self._free_slot()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # type: ignore[misc]
        if not self.flow.write_paused:
            self._await_client(REQUEST_HEAD_S)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_client(READ_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._await_client(REQUEST_HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def _free_slot(self) -> None:
        others = [other for other in self.connections if isinstance(other, TimeLimits) and other is not self]
        before = self.loop.time() - self.patience_s
        waiting = [other for other in others if other.is_waiting and other.waiting_since <= before]
        if waiting:
            slowest = min(waiting, key=lambda other: other.waiting_since)
            slowest.transport.abort()
            self.connections.discard(slowest)  # the next one may come before asyncio reports this one as lost
        else:
            self._refuse()

    def _refuse(self) -> None:
        self.transport.write(REFUSAL)
        self.transport.close()

    def _await_client(self, seconds: float) -> None:
        self.waiting_since = self.loop.time()
        self._late_at = self.waiting_since + seconds
        # a timer that comes too early begins anew: one for each request of a busy connection takes longer
        if self._timer is None or self._timer.when() > self._late_at:
            self._begin_timer()

    def _begin_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_at(self._late_at, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self.loop.time() < self._late_at:
            self._begin_timer()
        else:
            self._end_if_late()

    def _end_if_late(self) -> None:
        if self._awaits_head_or_reading:  # the request guard awaits a body
            self.transport.abort()  # close() would wait until the client has read everything

"""uvicorn's server, whose stop answers what was sent to it, and ends with status 0.

uvicorn closes the connections that are idle when a stop begins. A client that sent its next request a moment before
would never learn whether it was answered. Here such a connection stays open until its client has been silent for a
second, and each response says `Connection: close`.
"""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import uvicorn

from muslin.messages import Log, Message
from muslin.server.connections import has_unread
from muslin.server.event_loop import event_loop
from muslin.server.processes import let_signals_in

SILENCE_S = 1.0
"""Seconds without a request after which a stop closes a connection."""

ACCEPT_PAUSE_S = 0.1
"""Seconds without new connections after the system had no place for one."""

ACCEPTED_WHEN_BUSY = 128
"""Connections taken at a time while requests are being answered."""

TICK_S = 0.02
"""Seconds between two looks at the connections while a server stops."""


class GracefulServer(uvicorn.Server):
    """A server in the main thread of its process, with connections of `FastConnection`.

    Attributes:
        is_stopping: whether a stop has begun; the server then is alive, but not ready.

    Args:
        grace_s: seconds in which a stop finishes what was sent; then it is cancelled.
        when_ready: called in the event loop once connections are accepted.
        on_hangup: called in the event loop at SIGHUP.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        grace_s: float,
        log: Log,
        when_ready: Callable[[], object] = lambda: None,
        on_hangup: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._grace_s, self._log, self._when_ready, self._on_hangup = grace_s, log, when_ready, on_hangup
        self._connecting: set[asyncio.Task[Any]] = set()
        self.is_stopping = False

    def stop(self) -> None:
        """Begin to stop; a second call ends at once."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(self.serve(sockets))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):  # Windows: uvicorn's own way
            loop.add_signal_handler(signal.SIGTERM, self._begin_stop)
            loop.add_signal_handler(signal.SIGINT, self.stop)
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
            let_signals_in()
            await self._serve(sockets)
            return
        await super().serve(sockets)

    def _begin_stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        self.servers = []  # this server accepts connections itself
        for listening in sockets or ():
            listening.setblocking(False)
            self._listen(listening)
        self.started = True
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.is_stopping = True
        if count := len(self.server_state.tasks):
            self._log(Message("finishing_requests", count=count))
        for listening in sockets or ():
            self._stop_listening(listening)
        headers = self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for connection in self._open_connections():
            if connection.cycle is not None:
                connection.cycle.default_headers = headers  # of the request that is being answered
        try:
            async with asyncio.timeout(self._grace_s):
                await self._connections_closed()
        except TimeoutError:
            self._cancel_requests()
        await self.lifespan.shutdown()

    def _listen(self, listening: socket.socket) -> None:
        if not self.is_stopping:
            asyncio.get_running_loop().add_reader(listening, self._accept_some, listening)

    def _accept_some(self, listening: socket.socket) -> None:
        """Take one connection, so that other workers have their share; several where each turn of the loop is long."""
        for _ in range(ACCEPTED_WHEN_BUSY if self.server_state.tasks else 1):
            if not self._accept(listening):
                return

    def _accept(self, listening: socket.socket) -> bool:
        """Take a connection; whether there was one."""
        loop = asyncio.get_running_loop()
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker took it, or its client has gone
            return False
        except OSError:  # too many open files
            loop.remove_reader(listening)
            loop.call_later(ACCEPT_PAUSE_S, self._listen, listening)
            return False
        accepted.setblocking(False)
        connecting = loop.create_task(loop.connect_accepted_socket(self._new_connection, accepted))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)
        return True

    def _stop_listening(self, listening: socket.socket) -> None:
        """Take the connections that the system holds, because their clients may have sent requests."""
        asyncio.get_running_loop().remove_reader(listening)
        while self._accept(listening):
            pass
        listening.close()

    def _new_connection(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    async def _connections_closed(self) -> None:
        while (self._connecting or self.server_state.connections or self.server_state.tasks) and not self.force_exit:
            silent_since = asyncio.get_running_loop().time() - SILENCE_S
            silent = [
                connection
                for connection in self._open_connections()
                if is_idle(connection) and connection.waiting_since < silent_since
            ]
            for connection in silent:
                if not has_unread(connection.transport):
                    connection.shutdown()
            await asyncio.sleep(TICK_S)

    def _open_connections(self) -> list[Any]:
        """The connections, of whichever HTTP parser."""
        return list(self.server_state.connections)

    def _cancel_requests(self) -> None:
        for task in self.server_state.tasks:
            task.cancel()
        for connection in self._open_connections():
            connection.transport.abort()


def is_idle(connection: Any) -> bool:
    """Whether a connection has no request that is not answered."""
    return connection.cycle is None or connection.cycle.response_complete

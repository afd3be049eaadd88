"""The studio's HTTP/1.1 connections, and how it stops."""

import asyncio
import logging
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from muslin.messages import Log
from muslin.text import plural
from muslin.web.connections import TimeLimits

MAX_CONNECTIONS = 256
"""Open connections. One more ends the one whose client has kept the studio waiting longest."""

STOP_S = 60
"""Seconds in which a stop finishes the requests that were accepted."""

TICK_S = 0.1
"""Seconds between two looks for a second Ctrl-C."""


class StudioServer(uvicorn.Server):
    """uvicorn's server, which says what a stop waits for."""

    def __init__(self, config: uvicorn.Config, log: Log) -> None:
        super().__init__(config)
        self._log = log
        logging.getLogger("uvicorn.error").addFilter(_is_fault)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if count := len(self.server_state.tasks):
            self._log(f"finishing {plural(count, 'request', 'requests')}  (Ctrl-C again ends at once)")
        aborting = asyncio.create_task(self._abort_when_forced())
        try:
            await super().shutdown(sockets)
        finally:
            aborting.cancel()

    async def _abort_when_forced(self) -> None:
        """End all connections at a second Ctrl-C: with Python 3.12 and later, uvicorn waits for them even then."""
        while not self.force_exit:
            await asyncio.sleep(TICK_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a log record is more than a request that a stop has cancelled."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class Connection(TimeLimits, H11Protocol):
    """uvicorn's HTTP/1.1 by h11."""

    max_connections = MAX_CONNECTIONS

"""The outermost ASGI layer: it gives each request an id, measures it, and writes what became of it."""

import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muslin.errors import MuslinError
from muslin.server.access import HEALTH_PATHS
from muslin.server.metrics import Metrics
from muslin.server.openapi import OPERATIONS
from muslin.server.request_log import RequestLog
from muslin.server.request_record import begin_record

QUIET_ROUTES = HEALTH_PATHS | {"/metrics"}
"""Asked for every few seconds; in the log only where they are not answered as usual."""


PATHS = frozenset(path for _, path in OPERATIONS if "{" not in path)


class Observer:
    """An ASGI application around the guard and what is behind it.

    Args:
        refuse: makes the response to a request in which a bug showed itself.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, log: RequestLog, refuse: Callable[[Scope, MuslinError], Response]
    ) -> None:
        self._app, self._metrics, self._log, self._refuse = app, metrics, log, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        record, has_begun, is_complete = begin_record(scope), False, False
        request_id = (b"x-request-id", record.id.encode())

        async def send_counted(event: Message) -> None:
            nonlocal has_begun, is_complete
            if event["type"] == "http.response.start":
                has_begun, record.status = True, event["status"]
                event["headers"] = [*event.get("headers", ()), request_id]
            else:
                record.sent_bytes += len(event.get("body", b""))
                is_complete = not event.get("more_body", False)
            await send(event)

        async def receive_counted() -> Message:
            event = await receive()
            record.received_bytes += len(event.get("body", b""))
            return event

        self._metrics.request_began()
        try:
            await self._app(scope, receive_counted, send_counted)
        except Exception as error:
            record.error = type(error).__name__
            self._log.fault(error, record.id)
            if not has_begun:
                await self._refuse(scope, MuslinError("server_fault"))(scope, receive, send_counted)
            elif not is_complete:
                raise ResponseBrokenError from None  # its text, which uvicorn would log, could quote a request
        finally:
            record.route = _route_of(scope, record.route)
            record.seconds = time.perf_counter() - record.began
            self._metrics.request_ended(record)
            if record.status >= 400 or record.route not in QUIET_ROUTES:
                self._log.request(record)


def _route_of(scope: Scope, known: str) -> str:
    """The path with the names of its variable parts, also of a request that never came to its route."""
    route = getattr(scope.get("route"), "path", None)
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return str(route) if route else path if path in PATHS else known


class ResponseBrokenError(Exception):
    """A response that had begun could not be completed; the connection is closed."""

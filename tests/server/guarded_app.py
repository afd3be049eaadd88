"""A tiny application behind the server's guard and observer, on a real socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from muslin.errors import MuslinError
from muslin.server.access import AccessGuard
from muslin.server.connections import FastConnection
from muslin.server.metrics import Metrics, metrics_text
from muslin.server.observer import Observer
from muslin.server.request_log import RequestLog
from muslin.server.request_record import record_of
from muslin.server.settings import Settings

WAIT_S = 20


@dataclass
class GuardedApp:
    """The application while it runs.

    Attributes:
        address: `127.0.0.1:PORT`.
        lines: of its log.
        released: until when `/hold` does not answer.
    """

    address: str = ""
    lines: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    metrics: Metrics = field(default_factory=Metrics)
    guard: AccessGuard | None = None

    def metrics_text(self) -> str:
        return metrics_text(self.metrics.collector()).decode()


def settings_of(**values: Any) -> Settings:
    return Settings({"m": Path("m.muslin")}, **values)


def refuse(scope: Scope, error: MuslinError) -> Response:
    record_of(scope).error = error.code
    return JSONResponse({"error": error.to_dict()}, error.status)


@contextmanager
def running_app(settings: Settings, log_format: str = "json", **limits: Any) -> Iterator[GuardedApp]:
    """The application with these settings, until the block ends."""
    running = GuardedApp()

    async def echo(request: Request) -> Response:
        body = await request.body()
        return JSONResponse({"bytes": len(body), "path": request.url.path, "scheme": request.url.scheme})

    async def hold(request: Request) -> Response:
        await request.body()
        while not running.released.is_set():
            await asyncio.sleep(0.01)
        return Response("held")

    async def fail(request: Request) -> Response:
        raise ValueError("ada@example.com has sent dress.jpg")

    async def handle(request: Request, error: Exception) -> Response:
        return refuse(request.scope, error if isinstance(error, MuslinError) else MuslinError("server_fault"))

    paths = ("/", "/v2/health/live", "/v1/predict", "/v1/models/{name}", "/static/{name:path}", "/metrics")
    routes = [Route(path, echo, methods=["GET", "POST"]) for path in paths]
    routes += [Route("/hold", hold, methods=["POST"]), Route("/fail", fail)]
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys((MuslinError, Exception), handle))
    running.guard = AccessGuard(app, settings, refuse, **limits)
    log = RequestLog(log_format, write=running.lines.append, on_drop=running.metrics.lines_dropped)
    observer = Observer(running.guard, running.metrics, log, refuse)
    config = uvicorn.Config(
        observer, port=0, log_level="critical", http=FastConnection, ws="none", lifespan="off", proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        running.address = f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield running
    finally:
        running.released.set()
        server.should_exit = True
        thread.join(WAIT_S)
        log.close()

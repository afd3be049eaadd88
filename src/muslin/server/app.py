"""The server as an ASGI application: its routes, and errors as JSON."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from muslin.errors import MuslinError
from muslin.machine import physical_cores
from muslin.server.access import AccessGuard
from muslin.server.decoding import Decoder
from muslin.server.metrics import MEDIA_TYPE, Metrics, metrics_text
from muslin.server.model_routes import Replacing
from muslin.server.model_updates import ModelUpdates
from muslin.server.models import ModelTable
from muslin.server.observer import Observer
from muslin.server.open_inference.errors import protocol_response
from muslin.server.open_inference.routes import OpenInference
from muslin.server.openapi import allowed_methods, openapi_route
from muslin.server.predict_routes import PREDICT, Predicting
from muslin.server.request_log import RequestLog
from muslin.server.request_record import record_of
from muslin.server.responses import error_response, language_in
from muslin.server.settings import Settings
from muslin.server.shadows import Shadows
from muslin.web.page_files import page_routes
from muslin.web.responses import exception_handlers

PAGE = Path(__file__).with_name("page")
"""The files of the page on which a person tries the models; it needs nothing but this server."""


def create_app(
    settings: Settings,
    models: ModelTable,
    updates: ModelUpdates,
    shadows: Shadows,
    metrics: Metrics,
    log: RequestLog,
    is_stopping: Callable[[], bool],
) -> ASGIApp:
    """The application that serves `models`, which `updates` replaces, and with which `shadows` are compared."""
    decoder = Decoder(settings.threads or physical_cores(), settings.max_image_bytes)
    predicting = Predicting(settings, models, decoder, shadows)
    routes: Sequence[BaseRoute] = [
        *predicting.routes(),
        *OpenInference(settings, models, decoder, shadows, is_stopping).routes(),
        *Replacing(settings, models, updates).routes(),
        _metrics_route(metrics),
        *page_routes(PAGE, "no-cache"),
        openapi_route(),
    ]
    routed = Starlette(routes=routes, exception_handlers=exception_handlers(handle_error))
    routed.router.redirect_slashes = False  # to an address that a client behind a proxy may not reach
    app = PredictFirst(predicting, routed)
    return Observer(AccessGuard(app, settings, refuse), metrics, log, refuse)


def _metrics_route(metrics: Metrics) -> Route:
    async def show(request: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(None, metrics_text, metrics.collector())
        return Response(text, headers={"content-type": MEDIA_TYPE})

    return Route("/metrics", show)


class PredictFirst:
    """`POST /v1/predict`, and before it no routing; other requests go to `app`."""

    def __init__(self, predicting: Predicting, app: Starlette) -> None:
        self._predicting, self._app = predicting, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or path_of(scope) != PREDICT:
            await self._app(scope, receive, send)
            return
        record_of(scope).route = PREDICT
        try:
            response = await self._predicting.predict(scope, receive)
        except ClientDisconnect:
            return
        except MuslinError as error:
            response = refuse(scope, error)
        await response(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path of a request, without what a proxy has taken from its start."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def handle_error(request: Request, error: Exception) -> Response:
    """An error as JSON. Of other errors than muslin's, the log tells where they arose."""
    if isinstance(error, HTTPException):
        shown = MuslinError("route_missing" if error.status_code == 404 else "method_not_allowed")
    elif isinstance(error, MuslinError):
        shown = error
    else:
        shown = MuslinError("server_fault")
    response = refuse(request.scope, shown)
    if response.status_code == 405:
        response.headers["allow"] = ", ".join(allowed_methods(request.scope["route"].path))
    return response


def refuse(scope: Scope, error: MuslinError) -> Response:
    """The response to a request that is not answered, as the protocol of its path wants it."""
    record_of(scope).error = error.code
    language = language_in(scope["headers"])
    if path_of(scope).startswith("/v2"):
        return protocol_response(error, error.status, language)
    return error_response(error, language)

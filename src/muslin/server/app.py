"""The server as an ASGI application: its routes, and errors as JSON."""

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from muslin.errors import MuslinError
from muslin.machine import physical_cores
from muslin.server.decoding import Decoder
from muslin.server.model_routes import Replacing
from muslin.server.model_updates import ModelUpdates
from muslin.server.models import ModelTable
from muslin.server.open_inference.errors import protocol_response
from muslin.server.open_inference.routes import OpenInference
from muslin.server.predict_routes import Predicting
from muslin.server.responses import error_response, language_in
from muslin.server.settings import Settings

log = logging.getLogger("muslin.server")


def create_app(settings: Settings, models: ModelTable, updates: ModelUpdates) -> ASGIApp:
    """The application that serves `models`, which are ready, and which `updates` replaces."""
    decoder = Decoder(settings.threads or physical_cores(), settings.max_image_bytes)
    routes: Sequence[BaseRoute] = [
        *Predicting(settings, models, decoder).routes(),
        *OpenInference(settings, models, decoder).routes(),
        *Replacing(settings, models, updates).routes(),
    ]
    handlers = dict.fromkeys((MuslinError, HTTPException, Exception), handle_error) | {ClientDisconnect: drop}
    return Starlette(routes=routes, exception_handlers=handlers)


async def handle_error(request: Request, error: Exception) -> Response:
    """An error as JSON. Other errors than muslin's may hold paths of this machine, and are only logged."""
    if isinstance(error, HTTPException):
        shown = MuslinError("route_missing" if error.status_code == 404 else "method_not_allowed")
    elif isinstance(error, MuslinError):
        shown = error
    else:
        log.error("error in the response to %s", request.url.path, exc_info=error)
        shown = MuslinError("server_fault")
    language = language_in(request.scope["headers"])
    if request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/v2"):
        response = protocol_response(shown, shown.status, language)
    else:
        response = error_response(shown, language)
    response.headers.update(getattr(error, "headers", None) or {})  # those of Starlette: which methods are allowed
    return response


async def drop(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # which nobody receives

"""The studio as an ASGI application: the page with its files, the API, and errors as JSON."""

import logging
import secrets
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from muslin.errors import MuslinError
from muslin.studio.imports import MAX_PIECE_BYTES
from muslin.studio.request_guard import RequestGuard
from muslin.studio.review_routes import ReviewRoom
from muslin.studio.routes import routes
from muslin.studio.uploads import MAX_UPLOAD_BYTES
from muslin.web.page_files import page_routes
from muslin.web.requests import language_of
from muslin.web.responses import error_response, exception_handlers

log = logging.getLogger("muslin.studio")


def studio(folder: Path, port: int, room: ReviewRoom | None = None) -> RequestGuard:
    """The application for `folder` and the stores of `room`. It serves only requests to this machine's own names on
    `port`."""
    token = secrets.token_urlsafe(32)  # a secret that only pages served by this process know

    async def handle_error(request: Request, error: Exception) -> Response:
        language = language_of(request.headers.get("accept-language", ""))
        response = error_response(_shown_error(request, error, folder.resolve()), language)
        response.headers.update(getattr(error, "headers", None) or {})  # those of Starlette: which methods are allowed
        return response

    page = page_routes(Path(__file__).with_name("static"), "no-store", {"{{token}}": token})
    app = Starlette(routes=[*page, *routes(folder, room)], exception_handlers=exception_handlers(handle_error))
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return RequestGuard(app, hosts, token, {"/api/images": MAX_UPLOAD_BYTES, "/api/imports/add": MAX_PIECE_BYTES})


def _shown_error(request: Request, error: Exception, root: Path) -> MuslinError:
    """The error without paths of this machine. Other errors than muslin's may hold such paths, and are only logged."""
    if isinstance(error, HTTPException):
        return MuslinError("page_missing" if error.status_code == 404 else "method_unknown")
    if not isinstance(error, MuslinError):
        log.error("error in the response to %s", request.url.path, exc_info=error)
        return MuslinError("studio_fault")
    path = error.params.get("path")
    if isinstance(path, str) and Path(path).is_absolute():
        is_within = Path(path).is_relative_to(root)
        shown = Path(path).relative_to(root).as_posix() if is_within else Path(path).name
        return type(error)(error.code, error.hint_code, **error.params | {"path": shown})
    return error

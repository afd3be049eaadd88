"""The studio as an ASGI application: the page with its files, the API, and errors as JSON."""

import json
import logging
import secrets
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from muslin.errors import MuslinError
from muslin.messages import LANGUAGES
from muslin.reporting.colours import DARK, LIGHT, blue_to_orange, viridis
from muslin.reporting.svg.svg import FONT
from muslin.strict_json import json_text
from muslin.studio.imports import MAX_PIECE_BYTES
from muslin.studio.request_guard import Guard, error_response
from muslin.studio.requests import language_of
from muslin.studio.review_routes import ReviewRoom
from muslin.studio.routes import routes
from muslin.studio.uploads import MAX_UPLOAD_BYTES

log = logging.getLogger("muslin.studio")

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def studio(folder: Path, port: int, room: ReviewRoom | None = None) -> Guard:
    """The application for `folder` and the stores of `room`. It serves only requests to this machine's own names on
    `port`."""
    token = secrets.token_urlsafe(32)  # a secret that only pages served by this process know

    async def handle_error(request: Request, error: Exception) -> Response:
        language = language_of(request.headers.get("accept-language", ""))
        response = error_response(_shown_error(request, error, folder.resolve()), language)
        response.headers.update(getattr(error, "headers", None) or {})  # those of Starlette: which methods are allowed
        return response

    async def drop(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # which nobody receives

    handlers = dict.fromkeys((MuslinError, HTTPException, Exception), handle_error) | {ClientDisconnect: drop}
    app = Starlette(routes=[*_page_routes(token), *routes(folder, room)], exception_handlers=handlers)
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return Guard(app, hosts, token, {"/api/images": MAX_UPLOAD_BYTES, "/api/imports/add": MAX_PIECE_BYTES})


def _page_routes(token: str) -> list[Route]:
    static = Path(__file__).with_name("static")
    files = {
        path.relative_to(static).as_posix(): (MEDIA_TYPES[path.suffix], path.read_bytes())
        for path in static.rglob("*")
        if path.suffix in MEDIA_TYPES
    }
    for language in LANGUAGES:
        files[f"texts/{language}.json"] = (MEDIA_TYPES[".json"], json_text(page_texts(static, language)).encode())
    index = files.pop("index.html")[1].replace(b"{{token}}", token.encode())
    files["colours.css"] = (MEDIA_TYPES[".css"], colours_css().encode())
    ramps = {"VIRIDIS": viridis(), "BLUE_TO_ORANGE": blue_to_orange()}
    lines = [f"export const {name} = {json.dumps(ramp.tolist())};\n" for name, ramp in ramps.items()]
    files["ramps.js"] = (MEDIA_TYPES[".js"], "".join(lines).encode())

    async def home(request: Request) -> Response:
        return Response(index, media_type=MEDIA_TYPES[".html"], headers={"cache-control": "no-store"})

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise MuslinError("page_missing")
        kind, content = files[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return [Route("/", home), Route("/favicon.ico", Response(status_code=204)), Route("/static/{name:path}", file)]


def page_texts(static: Path, language: str) -> dict[str, str]:
    """All texts of the pages in one language, by their keys: those of every room.

    Raises:
        ValueError: two rooms use one key.
    """
    texts: dict[str, str] = {}
    for path in sorted((static / "texts" / language).glob("*.json")):
        room = json.loads(path.read_text(encoding="utf-8"))
        if both := texts.keys() & room.keys():
            raise ValueError(f"{path}: keys of another room: {sorted(both)}")
        texts |= room
    return texts


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


def colours_css() -> str:
    """The colours and the font of reports as a style sheet: light, dark, and as the person has chosen."""

    def rule(selector: str, colours: dict[str, str], scheme: str) -> str:
        names = "".join(f"--{name.replace('_', '-')}:{value};" for name, value in colours.items())
        return f"{selector}{{{names}color-scheme:{scheme}}}\n"

    return (
        f":root{{--font:{FONT}}}\n"
        + rule(":root", LIGHT, "light")
        + f"@media (prefers-color-scheme:dark){{{rule(':root', DARK, 'dark')}}}\n"
        + rule(":root[data-theme=light]", LIGHT, "light")
        + rule(":root[data-theme=dark]", DARK, "dark")
    )

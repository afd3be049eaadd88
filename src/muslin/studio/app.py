"""The studio as an ASGI application: pages, and the answers that they ask for."""

import json
import logging
from importlib import resources
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muslin.errors import DataError, ImageError, MuslinError
from muslin.reporting.colours import DARK, LIGHT, blue_to_orange, viridis
from muslin.reporting.svg.svg import FONT
from muslin.studio.guard import App, Guard, TooLargeError, new_token
from muslin.studio.routes import routes

log = logging.getLogger("muslin.studio")

MOST_IMAGE_BYTES = 20_000_000  # as muslin.images.decode
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


def studio(folder: Path, port: int) -> App:
    """The application for `folder`, answering only to this machine's own names on `port`."""
    token = new_token()
    app = Starlette(routes=[*_page_routes(token), *routes(folder)], exception_handlers=_HANDLERS)
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    return Guard(app, hosts, token, {"/api/images": MOST_IMAGE_BYTES})


def _page_routes(token: str) -> list[Route]:
    files = _static_files()
    index = files.pop("index.html")[1].replace(b"{{token}}", token.encode())
    files["colours.css"] = (KINDS[".css"], colours_css().encode())
    ramps = {"VIRIDIS": viridis(), "BLUE_TO_ORANGE": blue_to_orange()}
    lines = [f"export const {name} = {json.dumps(ramp.tolist())};\n" for name, ramp in ramps.items()]
    files["ramps.js"] = (KINDS[".js"], "".join(lines).encode())

    async def home(request: Request) -> Response:
        return Response(index, media_type=KINDS[".html"], headers={"cache-control": "no-store"})

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            raise HTTPException(404, "There is no such page.")
        kind, content = files[name]
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    async def icon(request: Request) -> Response:
        return Response(status_code=204)

    return [Route("/", home), Route("/favicon.ico", icon), Route("/static/{name:path}", file)]


async def _refused(request: Request, error: Exception) -> Response:
    """One sentence for whatever goes wrong; the detail is in the log, and no path of this machine leaves it."""
    match error:
        case ImageError():
            return _said(415, str(error))
        case DataError():
            return _said(404, str(error))
        case MuslinError():
            return _said(422, str(error))
        case TooLargeError():
            return _said(413, "The request is larger than what is taken.")
        case HTTPException():
            return _said(error.status_code, str(error.detail))
    log.error("while answering %s", request.url.path, exc_info=error)
    return _said(500, "This is a fault of muslin; the terminal in which the studio runs shows more.")


_HANDLERS = dict.fromkeys((MuslinError, TooLargeError, HTTPException, Exception), _refused)


def _said(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


def _static_files() -> dict[str, tuple[str, bytes]]:
    """Every file under static/ by its name there, with its media type."""
    found: dict[str, tuple[str, bytes]] = {}
    with resources.as_file(resources.files("muslin.studio") / "static") as root:
        for path in sorted(Path(root).rglob("*")):
            if path.suffix in KINDS:
                found[path.relative_to(root).as_posix()] = (KINDS[path.suffix], path.read_bytes())
    return found


def colours_css() -> str:
    """The house's colours and font as a style sheet: by day, by night, and as the person has chosen."""

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
